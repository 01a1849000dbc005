//! The store that workers share: operations that a model does too, and damage to it, which is found or does no harm.

#![no_main]

use std::panic;

use libfuzzer_sys::fuzz_target;
use resty_proxy_wasm::shared::fuzz;

fuzz_target!(
    init: {
        let abort = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !fuzz::is_damaged() {
                abort(info);
            }
        }));
    },
    |data: &[u8]| {
        fuzz::run(data);
    }
);
