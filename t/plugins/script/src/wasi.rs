//! WASI functions called by hand, with arguments that do no harm.

use crate::guest_memory::scratch;

pub struct Function {
    pub name: &'static str,
    pub arity: usize,
    /// Arguments for when the script gives none; the number is the scratch memory's address.
    pub defaults: fn(i64) -> Vec<i64>,
    call: fn(&[i64]) -> u32,
}

macro_rules! functions {
    ($($name:ident($($type:ty),*): $defaults:expr;)*) => {
        mod preview1 {
            #[link(wasm_import_module = "wasi_snapshot_preview1")]
            unsafe extern "C" {
                $(pub fn $name($(_: $type),*) -> u32;)*
                pub fn proc_exit(code: u32) -> !;
            }
        }

        const FUNCTIONS: &[Function] = &[$(Function {
            name: stringify!($name),
            arity: <[&str]>::len(&[$(stringify!($type)),*]),
            defaults: $defaults,
            call: |args| {
                #[allow(unused_variables, unused_mut, reason = "some take nothing")]
                let mut args = args.iter();
                // SAFETY: the host checks every pointer; at worst this guest's own memory is overwritten.
                unsafe { preview1::$name($(*args.next().expect("checked by call") as $type),*) }
            },
        }),*];
    };
}

functions! {
    args_get(u32, u32): |at| vec![at, at + 1024];
    args_sizes_get(u32, u32): |at| vec![at, at + 4];
    clock_res_get(u32, u32): |at| vec![0, at];
    clock_time_get(u32, u64, u32): |at| vec![0, 1, at];
    environ_get(u32, u32): |at| vec![at, at + 1024];
    environ_sizes_get(u32, u32): |at| vec![at, at + 4];
    fd_close(u32): |_| vec![1];
    fd_fdstat_get(u32, u32): |at| vec![1, at];
    fd_fdstat_set_flags(u32, u32): |_| vec![1, 0];
    fd_filestat_get(u32, u32): |at| vec![1, at];
    fd_pread(u32, u32, u32, u64, u32): |at| vec![0, iovec(at), 1, 0, at + 64];
    fd_prestat_dir_name(u32, u32, u32): |at| vec![3, at, 64];
    fd_prestat_get(u32, u32): |at| vec![3, at];
    fd_read(u32, u32, u32, u32): |at| vec![0, iovec(at), 1, at + 64];
    fd_readdir(u32, u32, u32, u64, u32): |at| vec![3, at, 256, 0, at + 512];
    fd_seek(u32, i64, u32, u32): |at| vec![1, 0, 0, at];
    fd_write(u32, u32, u32, u32): |at| vec![1, iovec(at), 1, at + 64];
    path_filestat_get(u32, u32, u32, u32, u32): |at| vec![3, 0, file_name(at), 4, at + 64];
    path_open(u32, u32, u32, u32, u32, u64, u64, u32, u32): |at| vec![3, 0, file_name(at), 4, 0, 0, 0, 0, at + 64];
    poll_oneoff(u32, u32, u32, u32): |at| vec![no_wait(at), at + 512, 1, at + 1024];
    random_get(u32, u32): |at| vec![at, 8];
    sched_yield(): |_| vec![];
}

pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

pub fn exit(code: u32) -> ! {
    // SAFETY: it takes no pointer and does not return.
    unsafe { preview1::proc_exit(code) }
}

impl Function {
    /// The errno; `Err` is the number of arguments wanted.
    pub fn call(&self, args: &[i64]) -> Result<u32, usize> {
        if args.len() == self.arity {
            Ok((self.call)(args))
        } else {
            Err(self.arity)
        }
    }
}

fn put(at: usize, bytes: &[u8]) {
    // SAFETY: the callers write a few bytes near the start of the scratch memory.
    unsafe {
        scratch()
            .add(at)
            .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
    };
}

/// One vector of 16 bytes at `at`, which holds a text for `fd_write`.
fn iovec(at: i64) -> i64 {
    put(0, &(at as u32 + 256).to_le_bytes());
    put(4, &16u32.to_le_bytes());
    put(256, b"written by hand\n");
    at
}

fn file_name(at: i64) -> i64 {
    put(0, b"file");
    at
}

/// A subscription to a clock that is due at once.
fn no_wait(at: i64) -> i64 {
    put(0, &[0; 48]);
    at
}
