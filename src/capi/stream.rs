use std::cell::Cell;
use std::ffi::c_void;
use std::os::raw::{c_char, c_int};
use std::ptr;
use std::slice;

use super::background;
use super::boundary::{ProxyWasmHeader, ProxyWasmStr, bytes, guard, headers};
use super::context::ProxyWasmContext;
use super::plugin::{FLAG_ACTS_AT_END, FLAG_RESPONSE_BODY, FLAG_SETS_BODY};
use super::worker::{self, GivenOut};
use crate::nginx::{Phase, Request, Semaphore};
use crate::plugin::{BodyOutcome, Error, Stream};

/// Another body goes on than came: `body`.
pub const OUTCOME_BODY: c_int = 1;
/// Nothing goes on now: the plugin waits for more.
pub const OUTCOME_HOLD: c_int = 2;
/// A response was sent by the plugin: `status`, `headers`, `local_body`.
pub const OUTCOME_LOCAL_RESPONSE: c_int = 4;
/// The request is to be closed.
pub const OUTCOME_CLOSE: c_int = 8;
/// The request goes to another path: `path`, and `args` where `OUTCOME_ARGS` is set too.
pub const OUTCOME_PATH: c_int = 16;
/// See `OUTCOME_PATH`.
pub const OUTCOME_ARGS: c_int = 32;
/// The plugin holds the request.
pub const OUTCOME_PAUSED: c_int = 64;
/// The request has to wait: see `proxy_wasm_request_park`.
pub const OUTCOME_WAIT: c_int = 128;
/// `proxy_wasm_worker_next` has something.
pub const OUTCOME_TASKS: c_int = 256;

/// `r` is none that a client made.
pub const NO_REQUEST: c_int = -2;

const CHANGES_BODY: c_int = FLAG_RESPONSE_BODY | FLAG_SETS_BODY;

/// What is left to do after a callback. Only what the function's answer names is valid, until the next call of such a function.
#[repr(C)]
pub struct ProxyWasmOutcome {
    pub body: ProxyWasmStr,
    pub local_body: ProxyWasmStr,
    pub headers: *const ProxyWasmHeader,
    pub headers_len: usize,
    pub path: ProxyWasmStr,
    pub args: ProxyWasmStr,
    pub status: c_int,
    pub grpc_status: c_int,
    /// How long the request waits at most, in milliseconds.
    pub wait: c_int,
    /// How many plugins of a list have run; the last of them is the one that left something to do, or failed.
    pub ran: usize,
}

/// Runs `proxy_on_request_headers` of each of `contexts`, until there is something to do.
///
/// Returns 0 where nothing is left to do, or there are no `contexts`; or what the last that has run, of `outcome->ran`, has left. That is a sum
/// of the numbers below; or -1 where the plugin trapped, with the cause in nginx's error log; or -2 where `r` is none that a client made, as in
/// timers.
/// 4: a local response was sent, 8: the request is to be closed, 16: the path changed, 32: with it the arguments, 64: the plugin
/// holds the request, 128: it has to wait, as `proxy_wasm_request_park` says, 256: `proxy_wasm_worker_next` has something. After -1 that is
/// to be asked too.
///
/// # Safety
/// `contexts` points at `contexts_len` that came from `proxy_wasm_context_new`, `r` is the `ngx_http_request_t` that runs, in a phase before its
/// response, `outcome` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_streams_request_headers(
    contexts: *const *const ProxyWasmContext,
    contexts_len: usize,
    r: *mut c_void,
    outcome: *mut ProxyWasmOutcome,
) -> c_int {
    if contexts_len == 0 {
        return 0;
    }
    guard(-1, || {
        // SAFETY: the caller says so of each pointer.
        unsafe {
            let contexts = list(contexts, contexts_len);
            run(contexts, r, Phase::Request, outcome, |_, _, stream, _| {
                stream.on_request_headers().map(|()| BodyOutcome::Pass)
            })
        }
    })
}

/// Runs `proxy_on_request_body` with the next piece of the body. A null `body` means that there is none to show; an empty one is
/// shown.
///
/// Returns as `proxy_wasm_streams_request_headers`, with 1: `outcome->body` goes on instead, 2: nothing goes on now. After -1,
/// `outcome->body` is what was held back before, null where nothing was.
///
/// # Safety
/// As `proxy_wasm_streams_request_headers`, of one context; `(body, body_len)` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_stream_request_body(
    context: *const ProxyWasmContext,
    r: *mut c_void,
    body: *const c_char,
    body_len: usize,
    end_of_stream: c_int,
    outcome: *mut ProxyWasmOutcome,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says so of each pointer.
        unsafe {
            let chunk = (!body.is_null()).then(|| bytes(body, body_len));
            run(
                [context],
                r,
                Phase::Request,
                outcome,
                |_, _, stream, out| stream.on_request_body(chunk, end_of_stream != 0, out),
            )
        }
    })
}

/// A light thread is about to wait on `semaphore` for the request `r`: `outcome->wait` milliseconds at most, or until it is posted. Then
/// `proxy_wasm_stream_resume` is to be called, with the same semaphore.
///
/// # Safety
/// `semaphore` is the `ngx_http_lua_sema_t` of an `ngx.semaphore` that is not collected before that, or before the request has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_request_park(r: *mut c_void, semaphore: *mut c_void) {
    guard((), || {
        // SAFETY: the caller says so.
        let semaphore = unsafe { Semaphore::new(semaphore) };
        worker::with_request(r, |request| request.park(semaphore));
    });
}

/// A semaphore that was given to `proxy_wasm_request_park` and that nobody waits on any more, because its request has ended: a client that goes
/// away takes the light thread with it. To be asked for before another is made.
///
/// Returns null where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_request_left_semaphore() -> *mut c_void {
    guard(ptr::null_mut(), || {
        worker::left_semaphore().map_or(ptr::null_mut(), Semaphore::pointer)
    })
}

/// Runs the callbacks that the request has waited for, on the plugin contexts of their calls, and lets the request go on if the plugin did,
/// or if it has waited long enough.
///
/// Returns as `proxy_wasm_stream_request_body`; with 128 the request has to wait on. -1 where a callback trapped, or the VM had before.
///
/// # Safety
/// As `proxy_wasm_streams_request_headers`, of one context; `semaphore` was given to `proxy_wasm_request_park`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_stream_resume(
    context: *const ProxyWasmContext,
    r: *mut c_void,
    semaphore: *mut c_void,
    outcome: *mut ProxyWasmOutcome,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says so of each pointer.
        unsafe {
            let semaphore = Semaphore::new(semaphore);
            worker::with_request(r, |request| request.unpark(semaphore));
            run(
                [context],
                r,
                Phase::Request,
                outcome,
                |_, _, stream, out| stream.resume(out),
            )
        }
    })
}

/// Runs `proxy_on_response_headers` of each of `contexts`, until there is something to do. `response_headers` are all headers of the
/// response; null where nothing but plugins has changed them since the last call for this request, and for plugins whose flags lack 64.
///
/// Returns as `proxy_wasm_streams_request_headers`.
///
/// # Safety
/// As `proxy_wasm_streams_request_headers`, in the header filter; the headers are valid for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_streams_response_headers(
    contexts: *const *const ProxyWasmContext,
    contexts_len: usize,
    r: *mut c_void,
    response_headers: *const ProxyWasmHeader,
    response_headers_len: usize,
    outcome: *mut ProxyWasmOutcome,
) -> c_int {
    if contexts_len == 0 {
        return 0;
    }
    guard(-1, || {
        // SAFETY: the caller says so of each pointer.
        unsafe {
            let contexts = list(contexts, contexts_len);
            let given = headers(response_headers, response_headers_len);
            let mut given = (!response_headers.is_null()).then_some(given);
            run(
                contexts,
                r,
                Phase::ResponseHeaders,
                outcome,
                |context, request, stream, _| {
                    if let Some(given) = given.take() {
                        request.set_response_headers(given);
                    }
                    stream.on_response_headers()?;
                    if context.flags & CHANGES_BODY == CHANGES_BODY {
                        request.clear_response_length(|| asks_for_body(request, &context.asks));
                    }
                    Ok(BodyOutcome::Pass)
                },
            )
        }
    })
}

/// Runs `proxy_on_response_body` with the next piece of the body.
///
/// Returns as `proxy_wasm_stream_request_body`.
///
/// # Safety
/// As `proxy_wasm_streams_request_headers`, of one context, in the body filter; `(body, body_len)` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_stream_response_body(
    context: *const ProxyWasmContext,
    r: *mut c_void,
    body: *const c_char,
    body_len: usize,
    end_of_stream: c_int,
    outcome: *mut ProxyWasmOutcome,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says so of each pointer.
        unsafe {
            let chunk = bytes(body, body_len);
            run(
                [context],
                r,
                Phase::ResponseBody,
                outcome,
                |_, request, stream, out| {
                    let body = stream.on_response_body(chunk, end_of_stream != 0, out)?;
                    if body == BodyOutcome::Replace && request.response_has_no_body() {
                        // The client would take it for the next response.
                        out.clear();
                    }
                    Ok(body)
                },
            )
        }
    })
}

/// No plugin sees more of the request `r`, but for its end: all that runs on it answers 0 from now on.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_request_bypass(r: *mut c_void) {
    guard((), || worker::bypass(r));
}

/// Keeps the body of a local response from a response phase: the library's own body filter sends it in the place of the response's, and
/// no plugin sees more of the request `r`, but for its end.
///
/// Returns 0; or -1 where there is no such filter, because nginx learnt of the library only after it had read its configuration.
///
/// # Safety
/// `(body, body_len)` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn proxy_wasm_request_keep_body(
    r: *mut c_void,
    body: *const c_char,
    body_len: usize,
) -> c_int {
    guard(-1, || {
        // SAFETY: the caller says that it is a string.
        let body = unsafe { bytes(body, body_len) };
        if worker::keep_body(r, body) { 0 } else { -1 }
    })
}

/// Says that the body of a local response to the request `r` from a response phase has still to be sent (1), or that it has been (0).
/// A request that ends with its body owed leaves an error in the log.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_request_owes_body(r: *mut c_void, owes: c_int) {
    guard((), || worker::set_owes_body(r, owes != 0));
}

/// How many requests of this worker have stream contexts now.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_wasm_worker_requests() -> usize {
    guard(0, worker::request_count)
}

/// Whether the body filter will call the plugin: a response whose body may change goes out without a length. APISIX says through a variable
/// that it will not. nginx has that in all requests of a configuration, where it may be empty, or in none: then it is asked for once.
fn asks_for_body(request: &Request, asks: &Cell<bool>) -> bool {
    let mut asked = Vec::new();
    if asks.get() && !request.var(b"wasm_process_resp_body", &mut asked) {
        asks.set(false);
    }
    !asks.get() || !asked.is_empty()
}

/// # Safety
/// `contexts` points at so many.
unsafe fn list<'a>(
    contexts: *const *const ProxyWasmContext,
    len: usize,
) -> impl Iterator<Item = *const ProxyWasmContext> + 'a {
    // SAFETY: the caller says that so many are there.
    let contexts: &'a [*const ProxyWasmContext] = unsafe { slice::from_raw_parts(contexts, len) };
    contexts.iter().copied()
}

/// Finds the stream of each of `contexts`, runs `callback` and writes down what is left to do, if anything: then it goes no further.
///
/// # Safety
/// As `proxy_wasm_streams_request_headers`.
unsafe fn run(
    contexts: impl IntoIterator<Item = *const ProxyWasmContext>,
    r: *mut c_void,
    phase: Phase,
    outcome: *mut ProxyWasmOutcome,
    mut callback: impl FnMut(
        &ProxyWasmContext,
        &Request,
        &Stream,
        &mut Vec<u8>,
    ) -> Result<BodyOutcome, Error>,
) -> c_int {
    // SAFETY: the caller says that it is writable.
    let outcome = unsafe { &mut *outcome };
    outcome.body = ProxyWasmStr::EMPTY;
    // Whatever fails does so for the first.
    outcome.ran = 1;
    worker::with(|worker| {
        // SAFETY: the caller says that the request has not ended.
        let entry = match unsafe { worker.entry(r) } {
            Ok(Some(entry)) => entry,
            Ok(None) => return NO_REQUEST,
            Err(_) => return -1,
        };
        if entry.is_bypassed() {
            return 0;
        }
        let request = entry.request();
        request.set_phase(phase);
        let out = &mut *worker.given_out.borrow_mut();
        for (position, context) in contexts.into_iter().enumerate() {
            // SAFETY: the caller says that it is a context.
            let context = unsafe { &*context };
            outcome.ran = position + 1;
            if context.flags & FLAG_ACTS_AT_END != 0 {
                background::keep();
            }
            let Some(stream) = entry.stream(&context.context) else {
                return -1;
            };
            out.body.clear();
            let left = match callback(context, request, &stream, &mut out.body) {
                Ok(body) => describe(request, &stream, body, out, outcome),
                Err(_) => {
                    request.drop_asked();
                    if !out.body.is_empty() {
                        outcome.body = ProxyWasmStr::new(&out.body);
                    }
                    -1
                }
            };
            if left != 0 {
                return left;
            }
        }
        0
    })
}

fn describe(
    request: &Request,
    stream: &Stream,
    body: BodyOutcome,
    out: &mut GivenOut,
    outcome: &mut ProxyWasmOutcome,
) -> c_int {
    let mut flags = match body {
        BodyOutcome::Pass => 0,
        BodyOutcome::Hold => OUTCOME_HOLD,
        BodyOutcome::Replace => {
            outcome.body = ProxyWasmStr::new(&out.body);
            OUTCOME_BODY
        }
    };
    if stream.is_paused() {
        flags |= OUTCOME_PAUSED;
    }
    if let Some(wait) = stream.wait() {
        flags |= OUTCOME_WAIT;
        // Rounded up: what is not over a moment early is not asked for again.
        outcome.wait = c_int::try_from(wait.as_millis() + 1).unwrap_or(c_int::MAX);
    }
    if background::has_tasks() {
        flags |= OUTCOME_TASKS;
    }
    if !request.take_asked() {
        return flags;
    }
    if request.take_close() {
        flags |= OUTCOME_CLOSE;
    }
    if let Some(change) = request.take_path_change() {
        let change = out.path.insert(change);
        flags |= OUTCOME_PATH;
        outcome.path = ProxyWasmStr::new(&change.path);
        if let Some(args) = &change.args {
            flags |= OUTCOME_ARGS;
            outcome.args = ProxyWasmStr::new(args);
        }
    }
    if let Some(local) = request.take_local_response() {
        flags |= OUTCOME_LOCAL_RESPONSE;
        out.local = local;
        out.headers.clear();
        out.headers.extend(
            out.local
                .headers
                .iter()
                .map(|(name, value)| ProxyWasmHeader {
                    name: ProxyWasmStr::new(name),
                    value: ProxyWasmStr::new(value),
                }),
        );
        outcome.status = out.local.status as c_int;
        outcome.grpc_status = out.local.grpc_status;
        outcome.local_body = ProxyWasmStr::new(&out.local.body);
        outcome.headers = out.headers.as_ptr();
        outcome.headers_len = out.headers.len();
    }
    flags
}
