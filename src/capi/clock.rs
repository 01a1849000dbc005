//! The thread behind the engines' clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::thread::spawn;
use crate::engine::clock::{self, Temporary};
use crate::nginx;

const NAME: &str = "wasm clock";
const STACK: usize = 128 * 1024;

/// To be called once: without a clock that runs, a call has one started.
pub fn set_up() {
    clock::set_starter(|| {
        if nginx::is_worker() {
            start();
            return None;
        }
        // A thread that nginx's master leaves running is not there after a fork.
        ForOneCall::start().map(|clock| Box::new(clock) as Temporary)
    });
}

/// Starts it, once in each process, where there is a request.
pub fn start() {
    if clock::runs() || clock::set_runs(true) {
        return;
    }
    let started = spawn(NAME, STACK, || {
        let mut idle = 0;
        loop {
            thread::sleep(clock::period());
            clock::tick(&mut idle);
        }
    });
    if started.is_err() {
        // Guests run without a limit of time, as there is nothing that could end them.
        clock::set_runs(false);
    }
}

/// A clock that is gone when the call is over.
struct ForOneCall {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ForOneCall {
    fn start() -> Option<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        clock::set_runs(true);
        let started = spawn(NAME, STACK, move || {
            while !seen.load(Ordering::Acquire) {
                thread::park_timeout(clock::period());
                clock::advance();
            }
        });
        let Ok(thread) = started else {
            clock::set_runs(false);
            return None;
        };
        Some(Self {
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for ForOneCall {
    fn drop(&mut self) {
        clock::set_runs(false);
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that could fail.
            let _ = thread.join();
        }
    }
}

/// To be called in the child after each fork.
pub fn forked() {
    clock::set_runs(false);
}
