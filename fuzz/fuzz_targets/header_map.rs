//! The wire format of header maps: whatever is read is written again as it was, and the other way round.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resty_proxy_wasm::abi::wire::{COUNT, Encoder, decode, pair_size};

fn encode(pairs: &[(&[u8], &[u8])], expected: usize) -> Vec<u8> {
    // What is there before stays.
    let mut out = b"before".to_vec();
    let mut encoder = Encoder::new(&mut out, expected);
    for (key, value) in pairs {
        encoder.push(key, value);
    }
    encoder.finish();
    assert!(out.starts_with(b"before"));
    out.drain(..6);
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((&expected, bytes)) = data.split_first() else {
        return;
    };
    if let Ok(pairs) = decode(bytes) {
        let written = encode(&pairs, expected.into());
        // An empty map can be written in more than one way.
        assert!(written == bytes || pairs.is_empty());
        assert_eq!(decode(&written).unwrap(), pairs);
    }

    // Any pairs: what is between zeros, by twos.
    let parts: Vec<_> = bytes.split(|byte| *byte == 0).collect();
    let pairs: Vec<_> = parts
        .as_chunks()
        .0
        .iter()
        .map(|[key, value]| (*key, *value))
        .collect();
    let written = encode(&pairs, expected.into());
    let sizes: usize = pairs.iter().map(|(key, value)| pair_size(key, value)).sum();
    let count = if pairs.is_empty() { 0 } else { COUNT };
    assert_eq!(written.len(), count + sizes);
    // A longer one is not taken from a guest.
    if written.len() <= 1 << 20 {
        assert_eq!(decode(&written).unwrap(), pairs);
    }
});
