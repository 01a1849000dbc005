//! The worker's calls to other services.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use super::{settings, thread};
use crate::abi::host::{CallError, CallEvent, CallId, GrpcCall, HttpCall};
use crate::abi::types::LogLevel;
use crate::egress::Egress;
use crate::nginx;
use crate::plugin::background::{self, Delivered};
use crate::plugin::process::Own;

/// TLS handshakes and look-ups of names are the deepest that it goes.
const STACK_SIZE: usize = 512 * 1024;

thread_local! {
    /// Its thread is not there after a fork.
    static EGRESS: RefCell<Option<Own<Egress>>> = const { RefCell::new(None) };
    /// What plugins have yet to be told.
    static EVENTS: RefCell<VecDeque<(CallId, CallEvent)>> = const { RefCell::new(VecDeque::new()) };
}

/// Works with this process's calls, if there have been any.
pub fn with_any<R>(work: impl FnOnce(&Egress) -> R) -> Option<R> {
    EGRESS.with_borrow(|slot| slot.as_ref().and_then(Own::get).map(work))
}

/// Works with this process's calls.
pub fn with<R>(work: impl FnOnce(&Egress) -> R) -> R {
    EGRESS.with_borrow_mut(|slot| {
        if slot.as_ref().and_then(Own::get).is_none() {
            let egress = Egress::new(settings::calls());
            egress.ask_for_names(super::background::asks_for_names());
            *slot = Some(Own::new(egress));
        }
    });
    EGRESS.with_borrow(|slot| {
        let egress = slot.as_ref().and_then(Own::get);
        work(egress.expect("it was made above"))
    })
}

/// Starts the thread that sends calls. In the master there is none: what a plugin calls while it is configured there, it calls again in
/// each worker.
pub fn start(egress: &Egress) -> bool {
    let started = egress.start(|work| thread::spawn("wasm calls", STACK_SIZE, work).map(drop));
    if let Err(error) = &started {
        let text = format!("proxy-wasm: no thread can be started for calls: {error}");
        nginx::log(LogLevel::Error, text.as_bytes());
    }
    started.is_ok()
}

// In the master a call is only looked at: with each configuration that it reads there would be more that nobody sends.

pub fn http_call(id: CallId, call: &HttpCall<'_>) -> Result<(), CallError> {
    if nginx::is_master() {
        return with(|egress| egress.check_http(call));
    }
    begin(|egress| egress.http_call(id, call))
}

pub fn grpc_call(id: CallId, call: &GrpcCall<'_>) -> Result<(), CallError> {
    if nginx::is_master() {
        return with(|egress| egress.check_grpc(call));
    }
    begin(|egress| egress.grpc_call(id, call))
}

fn begin(work: impl FnOnce(&Egress) -> Result<(), CallError>) -> Result<(), CallError> {
    with(|egress| {
        if (nginx::is_worker() || super::background::listens()) && !start(egress) {
            return Err(CallError::Full);
        }
        work(egress)
    })?;
    super::background::called();
    Ok(())
}

/// Tells plugins what has become of their calls. Gives how many answers there were.
pub fn deliver() -> usize {
    let mut events = EVENTS.take();
    with_any(|egress| egress.take_events(&mut events));
    let begun = Instant::now();
    let mut count = 0;
    while let Some((id, event)) = events.pop_front() {
        count += 1;
        let dropped = background::deliver(id, event) == Delivered::Dropped;
        if dropped {
            // Of a call whose plugin is gone there may be more to come.
            with_any(|egress| egress.cancel(id));
        }
        if begun.elapsed() > background::AT_ONCE {
            break;
        }
    }
    // Meanwhile some may have been taken for others.
    let mut later = EVENTS.replace(events);
    EVENTS.with_borrow_mut(|events| events.append(&mut later));
    count
}

/// Whether [`deliver`] has left some for later.
pub fn any_left() -> bool {
    EVENTS.with_borrow(|events| !events.is_empty())
}
