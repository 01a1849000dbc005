//! A body filter of our own: it puts another body in the place of the one that a response has, for a response that was replaced when
//! its headers were about to be sent.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::process;
use super::symbols::{RequestPtr, find, symbols};

/// `ngx_buf_t`: unchanged since nginx 0.8.
#[repr(C)]
struct Buf {
    pos: *mut u8,
    last: *mut u8,
    file_pos: i64,
    file_last: i64,
    start: *mut u8,
    end: *mut u8,
    tag: *mut c_void,
    file: *mut c_void,
    shadow: *mut c_void,
    flags: u32,
    num: i32,
}

/// `ngx_chain_t`.
#[repr(C)]
struct Chain {
    buf: *mut Buf,
    next: *mut Chain,
}

const _: () = assert!(size_of::<Buf>() == 80);

/// Bits of `ngx_buf_t`, in the order of their declaration.
const MEMORY: u32 = 1 << 1;
const FLUSH: u32 = 1 << 5;
const SYNC: u32 = 1 << 6;
const LAST_BUF: u32 = 1 << 7;
const LAST_IN_CHAIN: u32 = 1 << 8;
/// What a buffer says about the response and not about its own bytes.
const MARKS: u32 = FLUSH | LAST_BUF | LAST_IN_CHAIN;

/// What becomes of the body of a response.
pub enum Replacement {
    /// Nothing: it goes on.
    None,
    /// These bytes go out, and nothing of it.
    Now(Vec<u8>),
    /// They have gone out.
    Done,
}

/// Asks what becomes of the body of a request's response.
pub type BodyHook = fn(RequestPtr) -> Replacement;

type Filter = unsafe extern "C" fn(RequestPtr, *mut Chain) -> isize;

const NGX_OK: isize = 0;
const NGX_ERROR: isize = -1;

static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static NEXT: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
/// The configuration that it was put in place for last, by the address of its `ngx_cycle`. nginx may refuse it yet.
static PLACED: AtomicUsize = AtomicUsize::new(0);
/// The one of those that workers have run with last.
static SETTLED: AtomicUsize = AtomicUsize::new(0);
/// Which filter is the first of that one's.
static FIRST: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
/// Where nginx has the first filter of its list: `ngx_http_top_body_filter`.
static TOP: AtomicPtr<*mut c_void> = AtomicPtr::new(ptr::null_mut());

/// How many responses of this process are to be replaced: with none, which is nearly always, the filter does nothing.
static REPLACING: AtomicUsize = AtomicUsize::new(0);

/// Whether the filter is there.
pub fn is_installed() -> bool {
    runs_with(&PLACED) || runs_with(&SETTLED)
}

fn runs_with(cycle: &AtomicUsize) -> bool {
    process::cycle() == Some(cycle.load(Ordering::Relaxed))
}

/// Says which configuration it was put in place for: nginx makes the list of filters anew with each.
pub fn belongs_to(cycle: usize) {
    PLACED.store(cycle, Ordering::Relaxed);
    if SETTLED.load(Ordering::Relaxed) == cycle {
        // One that is gone had the same address.
        SETTLED.store(0, Ordering::Relaxed);
    }
}

/// Workers are about to be forked: the list is complete if this is the first time with a configuration.
pub fn settle() {
    if runs_with(&PLACED) && !runs_with(&SETTLED) {
        SETTLED.store(PLACED.load(Ordering::Relaxed), Ordering::Relaxed);
        FIRST.store(first(), Ordering::Relaxed);
    }
}

/// A worker begins. Where nginx has refused a configuration since, its list is one that was begun for that, without what was to come:
/// the one before is put back.
pub fn forked() {
    if runs_with(&SETTLED) {
        set_first(FIRST.load(Ordering::Relaxed));
    }
}

/// Says what to ask for each response while one is to be replaced.
pub fn set_body_hook(hook: BodyHook) {
    HOOK.store(hook as *mut (), Ordering::Relaxed);
}

/// One more response is to be replaced, or one less.
pub fn count_replacing(more: bool) {
    if more {
        REPLACING.fetch_add(1, Ordering::Relaxed);
    } else {
        REPLACING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Puts the filter in front of those that are there. To be called once while nginx reads a configuration, which has made the list of
/// filters anew.
pub fn install() {
    if let Some(top) = find(c"ngx_http_top_body_filter") {
        TOP.store(top.cast(), Ordering::Relaxed);
        NEXT.store(first(), Ordering::Relaxed);
        set_first(filter as *mut c_void);
    }
}

/// The first of nginx's body filters.
fn first() -> *mut c_void {
    // SAFETY: it is null, or where nginx has the first filter.
    unsafe { TOP.load(Ordering::Relaxed).as_ref() }.map_or(ptr::null_mut(), |first| *first)
}

fn set_first(filter: *mut c_void) {
    // SAFETY: it is null, or where nginx has the first filter, which only this thread looks at.
    if let Some(first) = unsafe { TOP.load(Ordering::Relaxed).as_mut() } {
        *first = filter;
    }
}

unsafe extern "C" fn filter(r: RequestPtr, input: *mut Chain) -> isize {
    // SAFETY: `install` has put the filter that was first before there, and nothing calls this one before.
    let next: Filter = unsafe { std::mem::transmute(NEXT.load(Ordering::Relaxed)) };
    let replacement = if REPLACING.load(Ordering::Relaxed) == 0 {
        Replacement::None
    } else {
        ask(r)
    };
    let body = match replacement {
        Replacement::None => {
            // SAFETY: the next filter is called as this one was.
            return unsafe { next(r, input) };
        }
        Replacement::Now(body) => body,
        Replacement::Done => Vec::new(),
    };
    // SAFETY: nginx gives a chain of its own buffers.
    let marks = unsafe { consume(input) };
    if body.is_empty() && marks == 0 && !input.is_null() {
        return NGX_OK;
    }
    let Some(output) = buffer(r, &body, marks) else {
        return NGX_ERROR;
    };
    // SAFETY: the next filter is called as this one was.
    unsafe { next(r, output) }
}

fn ask(r: RequestPtr) -> Replacement {
    let hook = HOOK.load(Ordering::Relaxed);
    if hook.is_null() {
        return Replacement::None;
    }
    // SAFETY: `set_body_hook` has put a function of this type there.
    let hook: BodyHook = unsafe { std::mem::transmute(hook) };
    hook(r)
}

/// Takes all bytes of a chain for sent, and gives the marks of its buffers.
///
/// # Safety
/// `chain` is one of nginx's buffers, or null.
unsafe fn consume(mut chain: *mut Chain) -> u32 {
    let mut marks = 0;
    // SAFETY: the caller says that these are nginx's links and buffers; each has a buffer.
    while let Some(link) = unsafe { chain.as_mut() } {
        // SAFETY: as above.
        let buf = unsafe { &mut *link.buf };
        marks |= buf.flags & MARKS;
        buf.pos = buf.last;
        buf.file_pos = buf.file_last;
        chain = link.next;
    }
    marks
}

/// A chain of one buffer with a copy of these bytes, in the request's memory; of none where there is nothing to say. `None` where
/// there is no memory.
fn buffer(r: RequestPtr, bytes: &[u8], marks: u32) -> Option<*mut Chain> {
    if bytes.is_empty() && marks == 0 {
        return Some(ptr::null_mut());
    }
    let symbols = symbols().ok()?;
    let head = size_of::<Chain>() + size_of::<Buf>();
    // SAFETY: nginx has just given this request to the filter. The record has no handler: it only carries the memory.
    let record = unsafe { (symbols.http_cleanup_add)(r, head + bytes.len()).as_mut() }?;
    let memory: *mut u8 = record.data.cast();
    if memory.is_null() {
        return None;
    }
    // SAFETY: nginx's memory is aligned for any of its structures, has room for a link, a buffer and the bytes, and lasts as long as
    // the request.
    unsafe {
        let chain: *mut Chain = memory.cast();
        let buf: *mut Buf = memory.add(size_of::<Chain>()).cast();
        let data = memory.add(head);
        ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
        let (start, end, kind) = if bytes.is_empty() {
            // nginx wants a reason for a buffer without bytes.
            (ptr::null_mut(), ptr::null_mut(), SYNC)
        } else {
            (data, data.add(bytes.len()), MEMORY)
        };
        buf.write(Buf {
            pos: start,
            last: end,
            file_pos: 0,
            file_last: 0,
            start,
            end,
            tag: ptr::null_mut(),
            file: ptr::null_mut(),
            shadow: ptr::null_mut(),
            flags: marks | kind,
            num: 0,
        });
        chain.write(Chain {
            buf,
            next: ptr::null_mut(),
        });
        Some(chain)
    }
}
