//! The thread behind the engines' clock.

use std::thread;

use super::thread::spawn;
use crate::engine::clock;
use crate::nginx;

/// Starts it where a guest is about to run without a request, if this is a worker: a thread that nginx's master starts is not there
/// after a fork.
pub fn start_in_worker() {
    if !clock::runs() && nginx::is_worker() {
        start();
    }
}

/// Starts it, once in each process, where there is a request.
pub fn start() {
    if clock::runs() || clock::set_runs(true) {
        return;
    }
    let started = spawn("wasm clock", 128 * 1024, || {
        let mut idle = 0;
        loop {
            thread::sleep(clock::TICK);
            clock::tick(&mut idle);
        }
    });
    if started.is_err() {
        // Guests run without a limit of time, as there is nothing that could end them.
        clock::set_runs(false);
    }
}

/// To be called in the child after each fork.
pub fn forked() {
    clock::set_runs(false);
}
