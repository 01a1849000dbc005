//! What a request passes through, a layer at a time, without nginx: `cargo bench --locked --bench layers`. Words after `--` choose which.
//!
//! The layers are the library's own; below them is a proxy that has next to nothing to do, so that its part is not what is seen. What is
//! shared between workers is the library's too. WASM_VM names the engine, as for `t/`: wasmedge is there in a build with that feature.
//!
//! Where there are items, one run of the benchmark is that many of what its name says, and `item/s` is of one.

mod calling;
mod capi;
mod guest;
mod hostcalls;
mod loading;
mod proxy;
mod request;
mod sharing;
mod stream;

use std::time::Duration;

fn main() {
    proxy::start_clock();
    divan::Divan::default()
        .max_time(Duration::from_millis(400))
        .config_with_args()
        .main();
}
