//! The shared queues that plugins of this worker are told of.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::thread;
use crate::abi::types::LogLevel;
use crate::nginx;
use crate::plugin::background::{self, Left};
use crate::plugin::process::Own;
use crate::shared::{Bell, Store};

const STACK_SIZE: usize = 128 * 1024;

/// Where it is announced that there are items.
type Line = Arc<Mutex<Option<UnixStream>>>;

/// After so long what was left for later is looked at again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Items were left because their plugin is not run for a while.
static LATER: AtomicBool = AtomicBool::new(false);

thread_local! {
    static STATE: State = const { State::new() };
}

struct State {
    /// Where this process has registered queues.
    store: RefCell<Option<Own<Store>>>,
    /// Items were left for later.
    more: Cell<bool>,
    /// To the thread that is woken when there are items.
    line: RefCell<Option<Own<Line>>>,
}

impl State {
    const fn new() -> Self {
        Self {
            store: RefCell::new(None),
            more: Cell::new(false),
            line: RefCell::new(None),
        }
    }
}

/// Plugins of this process are to be told of a queue's items.
pub fn registered(store: &Store) {
    STATE.with(|state| state.store.replace(Some(Own::new(store.clone()))));
    super::background::awaited();
}

fn with_store<R>(work: impl FnOnce(&Store) -> R) -> Option<R> {
    STATE.with(|state| state.store.borrow().as_ref().and_then(Own::get).map(work))
}

/// Whether this process is to be told of items.
pub fn are_awaited() -> bool {
    with_store(|_| background::has_queues()).unwrap_or(false)
}

/// Whether [`run`] may have something to do.
pub fn have_items() -> bool {
    with_store(|store| store.is_rung() || STATE.with(|state| state.more.get())).unwrap_or(false)
}

/// Tells plugins of items.
pub fn run() {
    let store = with_store(|store| {
        store.silence();
        store.clone()
    });
    if let Some(store) = store {
        let left = background::run_queues(|id| store.tell(id), |id| store.leave_queue(id));
        STATE.with(|state| state.more.set(left == Left::More));
        LATER.store(left == Left::Later, Ordering::Relaxed);
    }
}

/// The worker is about to quit: another is to be told.
pub fn retire() {
    with_store(Store::retire);
    STATE.with(|state| state.store.take());
}

/// Has it announced on a connection that there are items, with a byte, or no longer.
pub fn announce(stream: Option<UnixStream>) {
    STATE.with(|state| {
        let mut line = state.line.borrow_mut();
        if let Some(line) = line.as_ref().and_then(Own::get) {
            let mut line = line.lock();
            *line = stream;
            if have_items() {
                say_so(&mut line);
            }
        } else if stream.is_some()
            && let Some(bell) = with_store(Store::bell).flatten()
        {
            let new = Line::new(Mutex::new(stream));
            *line = Some(Own::new(Arc::clone(&new)));
            if let Err(error) = thread::spawn("wasm queues", STACK_SIZE, move || ring(bell, &new)) {
                *line = None;
                let text = format!("proxy-wasm: no thread can be started for queues: {error}");
                nginx::log(LogLevel::Error, text.as_bytes());
            }
        }
    });
}

fn ring(mut bell: Bell, line: &Mutex<Option<UnixStream>>) {
    loop {
        if bell.wait(PATIENCE) || LATER.swap(false, Ordering::Relaxed) {
            say_so(&mut line.lock());
        }
    }
}

fn say_so(line: &mut Option<UnixStream>) {
    if let Some(stream) = line {
        // Where it is full, whoever reads has not seen the last byte either.
        let _ = stream.write(&[0]);
    }
}
