//! Calls into the library as LuaJIT makes them, through a pointer, which have little to do: what is left is the boundary.

use std::ffi::c_void;
use std::os::raw::{c_char, c_int};
use std::ptr;

use divan::{Bencher, black_box};
use resty_proxy_wasm::capi::{
    ProxyWasmStr, proxy_wasm_request_bypass, proxy_wasm_shared_get, proxy_wasm_shared_set,
    proxy_wasm_worker_requests,
};

#[divan::bench(sample_size = 10_000)]
fn worker_requests(bencher: Bencher) {
    let call: extern "C" fn() -> usize = black_box(proxy_wasm_worker_requests);
    bencher.bench_local(|| call());
}

/// Of a request that no plugin has looked at.
#[divan::bench(sample_size = 10_000)]
fn request_bypass(bencher: Bencher) {
    let call: extern "C" fn(*mut c_void) = black_box(proxy_wasm_request_bypass);
    bencher.bench_local(|| call(ptr::null_mut()));
}

/// 64 bytes.
#[divan::bench(sample_size = 10_000)]
fn shared_get(bencher: Bencher) {
    let (key, value) = (b"key", [b'x'; 64]);
    let (key_data, key_len) = (key.as_ptr().cast::<c_char>(), key.len());
    let mut error = [0; 256];
    let (errbuf, mut errlen) = (error.as_mut_ptr(), error.len());
    // SAFETY: pointers and lengths are those of arrays that live as long.
    let set = unsafe {
        proxy_wasm_shared_set(
            key_data,
            key_len,
            value.as_ptr().cast(),
            value.len(),
            0,
            ptr::null(),
            0,
            errbuf,
            &mut errlen,
        )
    };
    assert_eq!(set, 0);
    let (mut found, mut cas) = (ProxyWasmStr::EMPTY, 0);
    bencher.bench_local(|| -> c_int {
        // SAFETY: as above, and what is written to lives as long too.
        unsafe {
            proxy_wasm_shared_get(
                black_box(key_data),
                key_len,
                ptr::null(),
                0,
                &mut found,
                &mut cas,
                errbuf,
                &mut errlen,
            )
        }
    });
    assert_eq!(found.len, value.len());
}
