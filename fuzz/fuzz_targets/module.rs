//! What is loaded as a plugin: any bytes, as a binary or as text. They are refused, or they run.

#![no_main]

use std::borrow::Cow;
use std::rc::Rc;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use resty_proxy_wasm::plugin::Plugin;
use resty_proxy_wasm_fuzz::engine::{WASMTIME, limits};
use resty_proxy_wasm_fuzz::host::AnyHost;
use resty_proxy_wasm_fuzz::{Input, life};

fuzz_target!(|data: &[u8]| {
    let input = Input::new(b"");
    let host = Rc::new(AnyHost::new(&input));
    let options = life::options(&input, limits());
    match Plugin::new(
        "fuzz",
        data,
        options,
        &*WASMTIME,
        Rc::<AnyHost>::clone(&host),
    ) {
        // A request passes through it.
        Ok(plugin) => life::run(
            plugin,
            &host,
            &Input::new(&[20, 0, 0, 20, 0, 3, 9, 2, 104, 105, 1]),
        ),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{text}");
        }
    }
});

// The seeds are text. Now and then one is assembled, so that binaries are tried too that are nearly right.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed.is_multiple_of(16)
        && !data.starts_with(b"\0asm")
        && let Ok(binary) = wat::parse_bytes(&data[..size]).map(Cow::into_owned)
        && let Some(room) = data[..max_size].get_mut(..binary.len())
    {
        room.copy_from_slice(&binary);
        return binary.len();
    }
    fuzzer_mutate(data, size, max_size)
});
