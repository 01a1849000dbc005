//! What is read out of plugins' and users' words: paths of properties, request targets, names of upstreams, messages of gRPC, settings.

#![no_main]

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use resty_proxy_wasm::abi::host::HttpCall;
use resty_proxy_wasm::capi::check_directive;
use resty_proxy_wasm::egress::Http2;
use resty_proxy_wasm::egress::fuzz::{
    Address, Destination, Frames, GrpcService, Upstream, Wishes, frame, is_message, prepare,
};
use resty_proxy_wasm::nginx::fuzz::{
    Pairs, find, is_target_of, join, nanoseconds, seconds, strip_origin,
};
use resty_proxy_wasm::nginx::{ATTRIBUTES, Directive, PathChange, process_property};
use resty_proxy_wasm_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    match kind % 7 {
        0 => path(rest),
        1 => target(rest),
        2 => upstream(rest),
        3 => grpc_service(rest),
        4 => call(&Input::new(rest)),
        5 => frames(&Input::new(rest)),
        _ => setting(rest),
    }
});

fn path(path: &[u8]) {
    if let Some((attribute, header)) = find(path) {
        assert!(ATTRIBUTES.contains(attribute));
        let own = attribute.path.replace('.', "\0");
        assert!(path.starts_with(own.as_bytes()));
        let length = own.len() + header.map_or(0, |header| 1 + header.len());
        assert_eq!(path.len(), length);
    }
    let mut value = b"before".to_vec();
    process_property(path, &mut value);
    assert!(value.starts_with(b"before"));

    let mut time = Vec::new();
    if let Some(duration) = seconds(path) {
        nanoseconds(duration, &mut time);
        assert!(i64::from_le_bytes(time.try_into().unwrap()) >= 0);
    }
    let mut pairs = Pairs::default();
    for part in path.split(|byte| *byte == b'=') {
        pairs.push(part, path);
    }
    pairs.write(&mut value);
}

fn target(text: &[u8]) {
    let (uri, args) = match text.iter().position(|byte| *byte == b' ') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b""[..]),
    };
    is_target_of(strip_origin(text), uri, args);

    let Some(change) = PathChange::parse(text) else {
        return;
    };
    let args = change.args.as_deref().unwrap_or_default();
    assert!(change.is(&change.path, args));
    assert!(!args.iter().any(|byte| *byte <= b' ' || *byte == b'#'));
    if change.path == b"*" {
        return;
    }
    // It leads nowhere else.
    assert!(change.path.starts_with(b"/") && !change.path.contains(&0));
    let mut segments = change.path.split(|byte| *byte == b'/');
    assert!(!segments.any(|segment| matches!(segment, b"." | b"..")));
    // What is made of it is that again.
    let mut target = Vec::new();
    join(&change.path, args, &mut target);
    assert!(target.iter().all(|byte| *byte > b' '));
    assert!(is_target_of(&target, &change.path, args));
}

fn upstream(name: &[u8]) {
    let Some(upstream) = Upstream::parse(name) else {
        return;
    };
    for tls in [false, true] {
        let authority = upstream.authority(tls);
        let again = Upstream::parse(authority.as_bytes()).expect("an authority is a name");
        if let (Address::Host(host, _), Address::Host(same, _)) =
            (&upstream.address, &again.address)
        {
            assert_eq!(host, same);
        }
    }
    resolve(Some(upstream), name);
}

fn resolve(own: Option<Upstream>, name: &[u8]) {
    let wishes = Wishes {
        authority: None,
        tls: [None, Some(true), Some(false)][name.len() % 3],
        grpc: name.len().is_multiple_of(2),
        http2: [Http2::Off, Http2::On, Http2::Auto][name.len() / 2 % 3],
    };
    let destination = Destination {
        own,
        name: String::from_utf8_lossy(name).into_owned(),
        answered: None,
    };
    let resolved = std::pin::pin!(destination.resolve(wishes));
    let poll = resolved.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Ready(_)));
}

fn grpc_service(message: &[u8]) {
    is_message(message);
    if let Some(service) = GrpcService::read(message) {
        assert!(!service.name.is_empty());
        if let Some(upstream) = service.upstream() {
            resolve(Some(upstream), service.name.as_bytes());
        }
    }
}

fn call(input: &Input) {
    let upstream = input.bytes();
    let lines = || -> Vec<(Vec<u8>, Vec<u8>)> {
        let names: [&[u8]; 12] = [
            b":method",
            b":path",
            b":authority",
            b":scheme",
            b"host",
            b"te",
            b"connection",
            b"content-length",
            b"transfer-encoding",
            b"x-a",
            b"trailer",
            b":other",
        ];
        let line = |_| match input.below(16) {
            known @ ..12 => (names[known].to_vec(), input.bytes()),
            _ => (input.bytes(), input.bytes()),
        };
        (0..input.below(8)).map(line).collect()
    };
    let (headers, trailers) = (lines(), lines());
    fn borrowed(lines: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
        lines
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect()
    }
    let call = HttpCall {
        upstream: &upstream,
        headers: &borrowed(&headers),
        body: &input.bytes(),
        trailers: &borrowed(&trailers),
        timeout: Some(Duration::from_millis(input.u16().into())),
    };
    let Ok(request) = prepare(&call) else {
        return;
    };
    let Some(authority) = &request.authority else {
        return;
    };
    if let Ok(sent) = request.http1(authority) {
        let headers = sent.headers();
        let is = |name: &str| headers.get_all(name).iter().count();
        assert_eq!(is("host"), 1);
        assert!(
            is("content-length") + is("transfer-encoding") <= 1,
            "two ends of a body"
        );
        assert_eq!(is("connection") + is("upgrade"), 0);
    }
    for tls in [false, true] {
        if let Ok(sent) = request.http2(authority, tls) {
            let headers = sent.headers();
            for name in ["host", "connection", "transfer-encoding", "upgrade"] {
                assert!(!headers.contains_key(name), "{name} in HTTP/2");
            }
        }
    }
}

fn frames(input: &Input) {
    let max = input.byte();
    let mut frames = Frames::new(max.into());
    let mut taken = 0;
    let mut given = 0;
    while !input.is_empty() {
        let mut bytes = input.bytes();
        if input.flag() {
            bytes = frame(&bytes).to_vec();
        }
        given += bytes.len();
        frames.add(&bytes);
        loop {
            match frames.next() {
                Ok(Some(message)) => {
                    assert!(message.len() <= usize::from(max));
                    taken += 5 + message.len();
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(taken <= given && frames.is_empty() == (taken == given));
    }
}

fn setting(text: &[u8]) {
    let Some((number, word)) = text.split_first() else {
        return;
    };
    let directive = Directive::ALL[usize::from(*number) % Directive::ALL.len()];
    // A file is opened.
    if directive == Directive::CallSslTrustedCertificate {
        return;
    }
    let word = String::from_utf8_lossy(word);
    if let Err(text) = check_directive(directive, &word) {
        assert!(text.contains(&*word));
    }
}
