//! What a worker has to do without a request. The library has no way to run by itself: Lua asks what there is to do, after a call
//! that says so, and runs timers and a light thread.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::fs::{self, DirBuilder};
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::raw::{c_char, c_int};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::boundary::{ProxyWasmStr, bytes, fail, guard};
use super::{calls, queues, worker};
use crate::abi::host::CallId;
use crate::plugin::background;

/// Start, change or stop (0) the ticks of the plugin context `id`, `period` in milliseconds.
pub const TASK_TICK: c_int = 1;
/// Say where the call `token` of VM `id` goes: `name` is its upstream.
pub const TASK_RESOLVE: c_int = 2;
/// Listen for what becomes of calls.
pub const TASK_LISTEN: c_int = 3;
/// Look soon for what requests have left to do at their end.
pub const TASK_KEEP: c_int = 4;
/// Run callbacks.
pub const TASK_RUN: c_int = 5;

/// Something for Lua to do. The name is valid until the next one.
#[repr(C)]
pub struct ProxyWasmTask {
    pub id: u32,
    pub token: u32,
    pub period: u32,
    pub name: ProxyWasmStr,
}

/// A plugin of this process, or of the one that forked it, has made a call or registered a queue. This and what follows are asked for after each
/// callback.
static STIRRED: AtomicBool = AtomicBool::new(false);

/// A request has a plugin that may leave something to do at its end.
static KEEP: AtomicBool = AtomicBool::new(false);

/// Lua looks for that.
static KEEPING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static STATE: State = const { State::new() };
}

struct State {
    /// Calls were made since somebody last looked.
    called: Cell<bool>,
    listening: Cell<Listening>,
    /// Lua is about to run callbacks.
    running: Cell<bool>,
    /// Lua maps the names of upstreams.
    asks: Cell<bool>,
    listener: RefCell<Option<(UnixListener, PathBuf)>>,
    /// Since when the worker is known to quit.
    exiting: Cell<Option<Instant>>,
    /// Behind a task's name.
    name: RefCell<Vec<u8>>,
}

/// Whether Lua listens for what becomes of calls.
#[derive(Clone, Copy)]
enum Listening {
    No,
    /// It was asked to. A timer that there is no room for is dropped without a word to us.
    Asked(Instant),
    Yes,
}

/// How long Lua may take to begin to listen before it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

impl Listening {
    fn is_due(self) -> bool {
        match self {
            Self::No => true,
            Self::Asked(when) => when.elapsed() > PATIENCE,
            Self::Yes => false,
        }
    }
}

impl State {
    const fn new() -> Self {
        Self {
            called: Cell::new(false),
            listening: Cell::new(Listening::No),
            running: Cell::new(false),
            asks: Cell::new(false),
            listener: RefCell::new(None),
            exiting: Cell::new(None),
            name: RefCell::new(Vec::new()),
        }
    }

    fn has_to_listen(&self) -> bool {
        self.called.get() || queues::are_awaited()
    }
}

fn outstanding() -> usize {
    calls::with_any(crate::egress::Egress::outstanding).unwrap_or(0)
}

/// A call was made: somebody has to listen for what becomes of it.
pub fn called() {
    STIRRED.store(true, Relaxed);
    STATE.with(|state| state.called.set(true));
}

/// A queue was registered: somebody may have to listen for its items.
pub fn awaited() {
    STIRRED.store(true, Relaxed);
}

/// Whether Lua listens for what becomes of calls.
pub fn listens() -> bool {
    STATE.with(|state| matches!(state.listening.get(), Listening::Yes))
}

/// A request has a plugin that may leave something to do at its end, where no Lua runs.
pub fn keep() {
    KEEP.store(true, Relaxed);
}

/// Whether Lua maps the names of upstreams.
pub fn asks_for_names() -> bool {
    STATE.with(|state| state.asks.get())
}

/// Whether [`proxy_wasm_worker_next`] may have something.
pub fn has_tasks() -> bool {
    KEEP.load(Relaxed) && !KEEPING.load(Relaxed)
        || STIRRED.load(Relaxed) && has_calls_or_items()
        || background::has_ticks()
}

fn has_calls_or_items() -> bool {
    STATE.with(|state| {
        (state.called.get() && state.asks.get())
            || (state.has_to_listen() && state.listening.get().is_due())
            || (more_to_tell() && !state.running.get())
    })
}

/// Says what there is to do without a request; to be called until there is nothing, after each function that answers 256 and after each that
/// says so here. Not in `init_by_lua*`.
///
/// Returns 0 for nothing, or what is to be done with `*task`. 1: `proxy_wasm_context_tick(id)` is to be called every `period` milliseconds from
/// now on, or never for 0. 2: `proxy_wasm_call_resolve(id, token, …)` is to be called for the upstream `name`. 3: a light thread is to
/// listen, as `proxy_wasm_worker_listen` says. 4: soon, and for as long as it says so, `proxy_wasm_worker_keep` is to be called. 5:
/// `proxy_wasm_worker_events` is to be called from a timer.
///
/// # Safety
/// `task` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_worker_next(task: *mut ProxyWasmTask) -> c_int {
    guard(0, || {
        // SAFETY: the caller says that it is writable.
        let task = unsafe { &mut *task };
        next(task)
    })
}

fn next(task: &mut ProxyWasmTask) -> c_int {
    if let Some(tick) = background::next_tick() {
        task.id = tick.context;
        task.period = tick.period;
        return TASK_TICK;
    }
    if let Some((id, name)) = calls::with_any(crate::egress::Egress::take_unresolved).flatten() {
        task.id = id.vm;
        task.token = id.token;
        task.name = ProxyWasmStr::new(&name);
        // The bytes stay where they are.
        STATE.with(|state| state.name.replace(name));
        return TASK_RESOLVE;
    }
    STATE.with(|state| {
        if state.listening.get().is_due() && state.has_to_listen() {
            state.listening.set(Listening::Asked(Instant::now()));
            return TASK_LISTEN;
        }
        if KEEP.swap(false, Relaxed) && !KEEPING.swap(true, Relaxed) {
            return TASK_KEEP;
        }
        if more_to_tell() && !state.running.replace(true) {
            return TASK_RUN;
        }
        if let Listening::Yes = state.listening.get() {
            state.called.set(false);
        }
        0
    })
}

/// Makes the socket that a light thread connects to, and reads from, to learn of what becomes of calls. It is for this one connection: Lua
/// connects, calls `proxy_wasm_worker_accept`, reads, and calls `proxy_wasm_worker_events` whenever bytes came.
///
/// Returns 0 and the path in `*path`, valid until the next call into the library; or -1, when Lua has to call
/// `proxy_wasm_worker_events` from time to time instead.
///
/// Errors: no folder can be written to; the text says why.
///
/// # Safety
/// `path` is writable, `errlen` points at the size of the writable buffer `errbuf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_worker_listen(
    path: *mut ProxyWasmStr,
    errbuf: *mut c_char,
    errlen: *mut usize,
) -> c_int {
    guard(-1, || {
        STATE.with(|state| {
            state.called.set(false);
            state.listening.set(Listening::Yes);
        });
        if outstanding() > 0 {
            // With one process for all, nobody could do so while it read the configuration.
            calls::with(calls::start);
        }
        match listen() {
            Ok((listener, socket)) => {
                worker::with_given_out(|out| {
                    out.text = socket.to_string_lossy().into_owned();
                    // SAFETY: the caller says that it is writable.
                    unsafe { *path = ProxyWasmStr::new(out.text.as_bytes()) };
                });
                STATE.with(|state| state.listener.replace(Some((listener, socket))));
                0
            }
            // SAFETY: the caller says so of the error buffer.
            Err(error) => unsafe {
                fail(&format!("no socket for answers: {error}"), errbuf, errlen)
            },
        }
    })
}

/// A socket in a folder that nobody else may enter.
fn listen() -> io::Result<(UnixListener, PathBuf)> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| io::Error::other(e.to_string()))?;
    let name = format!("proxy-wasm-{:016x}", u64::from_le_bytes(random));
    let folders = [std::env::temp_dir(), "/dev/shm".into(), "/var/tmp".into()];
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for folder in folders {
        let folder = folder.join(&name);
        let socket = folder.join("s");
        let made = DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .and_then(|()| {
                let listener = UnixListener::bind(&socket)?;
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
        match made {
            Ok(listener) => return Ok((listener, socket)),
            Err(error) => {
                failed = error;
                // It may not have come to be.
                let _ = fs::remove_dir(&folder);
            }
        }
    }
    Err(failed)
}

/// Takes the connection that Lua has made, and removes the socket's file, whether that went well or not.
///
/// Returns 0, or -1: Lua had not connected.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_worker_accept() -> c_int {
    guard(-1, || {
        let Some((listener, socket)) = STATE.with(|state| state.listener.take()) else {
            return -1;
        };
        let accepted = accept(&listener);
        // What cannot be removed is left: an empty folder and a socket that nobody listens on.
        let _ = fs::remove_file(&socket);
        if let Some(folder) = socket.parent() {
            let _ = fs::remove_dir(folder);
        }
        match accepted {
            Some(stream) => {
                queues::announce(stream.try_clone().ok());
                calls::with(|egress| egress.set_wakeup(Some(stream)));
                0
            }
            None => -1,
        }
    })
}

/// The first connection of this process's own.
fn accept(listener: &UnixListener) -> Option<UnixStream> {
    loop {
        let (stream, _) = listener.accept().ok()?;
        if is_own(&stream) {
            return Some(stream);
        }
    }
}

fn is_own(stream: &UnixStream) -> bool {
    let mut peer = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut size = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `peer` has room for the answer, whose size is `size`; the descriptor is open.
    let answered = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast::<c_void>(),
            &raw mut size,
        )
    };
    answered == 0 && u32::try_from(peer.pid) == Ok(std::process::id())
}

/// Whether plugins are to be told of items, or of what is left of calls.
fn more_to_tell() -> bool {
    queues::have_items() || calls::any_left()
}

/// Tells plugins what has become of their calls: runs the callbacks of calls that no request waits for, and wakes the requests that
/// wait. And tells them of items in queues. `proxy_wasm_worker_next` may then have something.
///
/// Returns how many answers there were.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_worker_events() -> c_int {
    guard(0, || {
        STATE.with(|state| state.running.set(false));
        queues::run();
        c_int::try_from(calls::deliver()).unwrap_or(c_int::MAX)
    })
}

/// How long a worker that is to quit waits for calls that no request waits for.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Whether a light thread should go on listening: for what becomes of calls, or for items in queues. `exiting` says that the worker is to quit: then only for requests and what they wait for,
/// and for a short time for other calls, but no streams that plugin contexts keep open.
///
/// Returns 1 or 0.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_worker_awaits(exiting: c_int) -> c_int {
    guard(0, || {
        let awaits = if exiting == 0 {
            outstanding() > 0 || calls::any_left() || queues::are_awaited()
        } else {
            queues::retire();
            let since = STATE.with(|state| match state.exiting.get() {
                Some(since) => since,
                None => {
                    let now = Instant::now();
                    state.exiting.set(Some(now));
                    now
                }
            });
            worker::request_count() > 0
                || (since.elapsed() < LAST_CALLS && background::awaits_end())
        };
        c_int::from(awaits)
    })
}

/// Nobody listens any more: the connection is closed, which ends the light thread that reads from it. `proxy_wasm_worker_next` may then have
/// something.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_worker_hang_up() {
    guard((), || {
        calls::with_any(|egress| egress.set_wakeup(None));
        queues::announce(None);
        STATE.with(|state| {
            state.listening.set(Listening::No);
            state.called.set(outstanding() > 0);
        });
    });
}

/// Whether requests may still leave something to do at their end; if not, `proxy_wasm_worker_next` says so the next time.
///
/// Returns 1 or 0.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_worker_keep() -> c_int {
    guard(0, || {
        let keep = worker::request_count() > 0;
        KEEPING.store(keep, Relaxed);
        c_int::from(keep)
    })
}

/// Makes a VM for each plugin context that has none in this process, which runs `proxy_on_vm_start` and `proxy_on_configure`: so that plugins
/// tick, and call, before there is a request. `proxy_wasm_worker_next` may then have something.
///
/// Returns how many failed; nginx's error log has the causes.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_worker_start() -> c_int {
    guard(-1, || {
        c_int::try_from(background::start_contexts()).unwrap_or(c_int::MAX)
    })
}

/// Runs `proxy_on_tick` on the plugin context `id`. `proxy_wasm_worker_next` may then have something.
///
/// Returns 1, or 0 where the plugin context is gone.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_context_tick(id: u32) -> c_int {
    guard(1, || {
        let begun = Instant::now();
        if !background::tick(id) {
            return 0;
        }
        c_int::try_from(begun.elapsed().as_millis())
            .map_or(c_int::MAX, |took| took.saturating_add(1))
    })
}

/// Says whether calls are to wait for `proxy_wasm_call_resolve`.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_calls_ask(ask: c_int) {
    guard((), || {
        STATE.with(|state| state.asks.set(ask != 0));
        calls::with_any(|egress| egress.ask_for_names(ask != 0));
    });
}

/// Says where a call of the VM `id` goes: to the upstream `name`, or, for a null `name`, to the one that the call names; with `failed`,
/// nowhere, and `name` is the reason.
///
/// # Safety
/// `(name, name_len)` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_call_resolve(
    id: u32,
    token: u32,
    name: *const c_char,
    name_len: usize,
    failed: c_int,
) {
    guard((), || {
        // SAFETY: the caller says that it is a string.
        let text = unsafe { bytes(name, name_len) };
        let reason = String::from_utf8_lossy(text);
        let address = match (failed != 0, name.is_null()) {
            (true, _) => Err(&*reason),
            (false, true) => Ok(None),
            (false, false) => Ok(Some(text)),
        };
        let id = CallId { vm: id, token };
        calls::with_any(|egress| egress.resolve(id, address));
    });
}
