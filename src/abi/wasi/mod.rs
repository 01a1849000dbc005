//! WASI preview 1: the functions that toolchains link into a plugin whether or not it uses them.
//!
//! Logs, clocks, randomness and environment variables are real. There are no arguments, files, directories or sockets: what
//! asks for one gets the errno of a system that has only the three standard streams. One table serves `wasi_snapshot_preview1`
//! and the older `wasi_unstable`. Where the layouts of the two differ, nothing is read or written but what is common to both.
//! Start reading at [`FUNCTIONS`].

mod clock;
mod environ;
mod errno;
mod poll;
mod process;
mod stdio;

use super::guest::Vm;
use super::vm::VmState;
use crate::engine::{HostCall, Trap, ValType};

pub use errno::{Answer, Errno, WasiError};

/// One function of WASI.
pub struct WasiFunction {
    pub name: &'static str,
    pub params: &'static [ValType],
    /// The errno; `None` for the one function that does not return.
    pub result: Option<ValType>,
    pub call: HostCall<VmState>,
}

/// A row: the type of each parameter under the specification's name for it, the result, and what answers.
macro_rules! functions {
    ($vm:ident: $($name:ident($($param:ident: $ty:ident),* $(,)?) -> $result:ident = $answer:expr;)+) => {
        /// Every function of `wasi_snapshot_preview1` and `wasi_unstable`.
        #[allow(unused_variables, reason = "a row names every parameter and uses some")]
        pub static FUNCTIONS: &[WasiFunction] = &[$(
            WasiFunction {
                name: stringify!($name),
                params: &[$(functions!(@type $ty)),*],
                result: functions!(@result $result),
                call: |guest, args| {
                    let &[$($param),*] = args else {
                        return Err(Trap::new(concat!(stringify!($name), ": wrong number of arguments")));
                    };
                    $(let $param = functions!(@cast $ty $param);)*
                    let $vm = &mut Vm::new(guest);
                    finish($answer)
                },
            },
        )+];
    };
    (@type i32) => { ValType::I32 };
    (@type i64) => { ValType::I64 };
    (@cast i32 $arg:ident) => { $arg as u32 };
    (@cast i64 $arg:ident) => { $arg };
    (@result errno) => { Some(ValType::I32) };
    (@result never) => { None };
}

functions! { vm:
    // There are none to write.
    args_get(argv: i32, argv_buf: i32) -> errno = Ok(());
    args_sizes_get(argc: i32, argv_buf_size: i32) -> errno =
        environ::args_sizes_get(vm, argc, argv_buf_size);
    environ_get(environ: i32, environ_buf: i32) -> errno =
        environ::environ_get(vm, environ, environ_buf);
    environ_sizes_get(count: i32, buf_size: i32) -> errno =
        environ::environ_sizes_get(vm, count, buf_size);

    clock_res_get(id: i32, resolution: i32) -> errno = clock::clock_res_get(vm, id, resolution);
    clock_time_get(id: i32, precision: i64, time: i32) -> errno =
        clock::clock_time_get(vm, id, time);
    poll_oneoff(subscriptions: i32, events: i32, nsubscriptions: i32, nevents: i32) -> errno =
        poll::poll_oneoff(vm, subscriptions, events, nsubscriptions, nevents);

    proc_exit(rval: i32) -> never = process::proc_exit(rval);
    proc_raise(sig: i32) -> errno = Err(Errno::Notsup.into());
    sched_yield() -> errno = Ok(());
    random_get(buf: i32, buf_len: i32) -> errno = process::random_get(vm, buf, buf_len);

    fd_read(fd: i32, iovs: i32, iovs_len: i32, nread: i32) -> errno =
        stdio::fd_read(vm, fd, nread);
    fd_write(fd: i32, iovs: i32, iovs_len: i32, nwritten: i32) -> errno =
        stdio::fd_write(vm, fd, iovs, iovs_len, nwritten);
    fd_fdstat_get(fd: i32, stat: i32) -> errno = stdio::fd_fdstat_get(vm, fd, stat);
    fd_close(fd: i32) -> errno = stdio::is_open(fd);
    fd_advise(fd: i32, offset: i64, len: i64, advice: i32) -> errno =
        stdio::refuse(fd, Errno::Spipe);
    fd_allocate(fd: i32, offset: i64, len: i64) -> errno = stdio::refuse(fd, Errno::Spipe);
    fd_datasync(fd: i32) -> errno = stdio::is_open(fd);
    fd_sync(fd: i32) -> errno = stdio::is_open(fd);
    fd_fdstat_set_flags(fd: i32, flags: i32) -> errno = stdio::is_open(fd);
    fd_fdstat_set_rights(fd: i32, rights_base: i64, rights_inheriting: i64) -> errno =
        stdio::is_open(fd);
    // Its layout is longer in preview 1 than in `wasi_unstable`.
    fd_filestat_get(fd: i32, stat: i32) -> errno = Err(Errno::Badf.into());
    fd_filestat_set_size(fd: i32, size: i64) -> errno = stdio::refuse(fd, Errno::Inval);
    fd_filestat_set_times(fd: i32, atim: i64, mtim: i64, fst_flags: i32) -> errno =
        stdio::refuse(fd, Errno::Notsup);
    fd_pread(fd: i32, iovs: i32, iovs_len: i32, offset: i64, nread: i32) -> errno =
        stdio::refuse(fd, Errno::Spipe);
    fd_pwrite(fd: i32, iovs: i32, iovs_len: i32, offset: i64, nwritten: i32) -> errno =
        stdio::refuse(fd, Errno::Spipe);
    // `wasi_unstable` numbers `whence` otherwise; no stream can seek by any of them.
    fd_seek(fd: i32, offset: i64, whence: i32, new_offset: i32) -> errno =
        stdio::refuse(fd, Errno::Spipe);
    fd_tell(fd: i32, offset: i32) -> errno = stdio::refuse(fd, Errno::Spipe);
    fd_renumber(fd: i32, to: i32) -> errno = stdio::refuse(fd.max(to), Errno::Notsup);
    fd_readdir(fd: i32, buf: i32, buf_len: i32, cookie: i64, bufused: i32) -> errno =
        stdio::refuse(fd, Errno::Notdir);
    // A C library asks for one directory after the other, from 3 on, until this answer.
    fd_prestat_get(fd: i32, prestat: i32) -> errno = Err(Errno::Badf.into());
    fd_prestat_dir_name(fd: i32, path: i32, path_len: i32) -> errno = Err(Errno::Badf.into());

    path_create_directory(fd: i32, path: i32, path_len: i32) -> errno =
        stdio::refuse(fd, Errno::Notdir);
    path_filestat_get(fd: i32, flags: i32, path: i32, path_len: i32, stat: i32) -> errno =
        stdio::refuse(fd, Errno::Notdir);
    path_filestat_set_times(
        fd: i32, flags: i32, path: i32, path_len: i32, atim: i64, mtim: i64, fst_flags: i32,
    ) -> errno = stdio::refuse(fd, Errno::Notdir);
    path_link(
        old_fd: i32, old_flags: i32, old_path: i32, old_path_len: i32,
        new_fd: i32, new_path: i32, new_path_len: i32,
    ) -> errno = stdio::refuse(old_fd.max(new_fd), Errno::Notdir);
    path_open(
        fd: i32, dirflags: i32, path: i32, path_len: i32, oflags: i32,
        rights_base: i64, rights_inheriting: i64, fdflags: i32, opened_fd: i32,
    ) -> errno = stdio::refuse(fd, Errno::Notdir);
    path_readlink(
        fd: i32, path: i32, path_len: i32, buf: i32, buf_len: i32, bufused: i32,
    ) -> errno = stdio::refuse(fd, Errno::Notdir);
    path_remove_directory(fd: i32, path: i32, path_len: i32) -> errno =
        stdio::refuse(fd, Errno::Notdir);
    path_rename(
        fd: i32, old_path: i32, old_path_len: i32, new_fd: i32, new_path: i32, new_path_len: i32,
    ) -> errno = stdio::refuse(fd.max(new_fd), Errno::Notdir);
    path_symlink(old_path: i32, old_path_len: i32, fd: i32, new_path: i32, new_path_len: i32) -> errno =
        stdio::refuse(fd, Errno::Notdir);
    path_unlink_file(fd: i32, path: i32, path_len: i32) -> errno =
        stdio::refuse(fd, Errno::Notdir);

    sock_accept(fd: i32, flags: i32, accepted_fd: i32) -> errno =
        stdio::refuse(fd, Errno::Notsock);
    sock_recv(
        fd: i32, ri_data: i32, ri_data_len: i32, ri_flags: i32, ro_datalen: i32, ro_flags: i32,
    ) -> errno = stdio::refuse(fd, Errno::Notsock);
    sock_send(fd: i32, si_data: i32, si_data_len: i32, si_flags: i32, so_datalen: i32) -> errno =
        stdio::refuse(fd, Errno::Notsock);
    sock_shutdown(fd: i32, how: i32) -> errno = stdio::refuse(fd, Errno::Notsock);
}

fn finish(answer: Answer) -> Result<u64, Trap> {
    match answer {
        Ok(()) => Ok(0),
        Err(WasiError::Errno(errno)) => Ok(errno as u64),
        Err(WasiError::Trap(trap)) => Err(trap),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::abi::testing::FakeGuest;

    #[test]
    fn every_function_is_there_once() {
        let names: HashSet<_> = FUNCTIONS.iter().map(|f| f.name).collect();
        assert_eq!(names.len(), 46);
        assert_eq!(FUNCTIONS.len(), 46);
    }

    #[test]
    fn only_proc_exit_has_no_result() {
        for function in FUNCTIONS {
            assert_eq!(
                function.result.is_none(),
                function.name == "proc_exit",
                "{}",
                function.name
            );
        }
    }

    #[test]
    fn nothing_panics_whatever_the_arguments() {
        for function in FUNCTIONS {
            for arg in [0, 1, 3, 0xffff, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff] {
                let args: Vec<u64> = function.params.iter().map(|_| arg).collect();
                let mut guest = FakeGuest::new();
                let answer = (function.call)(&mut guest, &args);
                assert_eq!(answer.is_err(), function.name == "proc_exit");
            }
            let mut guest = FakeGuest::new();
            assert!((function.call)(&mut guest, &[0; 10]).is_err());
        }
    }

    #[test]
    fn no_file_is_open() {
        let mut guest = FakeGuest::new();
        for function in FUNCTIONS {
            if !matches!(&function.name[..3], "fd_" | "pat" | "soc") {
                continue;
            }
            let args: Vec<u64> = function.params.iter().map(|_| 3).collect();
            let answer = guest.import(function.name, &args).unwrap();
            assert_eq!(answer, Errno::Badf as u64, "{}", function.name);
        }
    }

    #[test]
    fn standard_streams_are_neither_files_nor_directories_nor_sockets() {
        let mut guest = FakeGuest::new();
        for (name, args, errno) in [
            ("fd_seek", &[1, 0, 0, 0][..], Errno::Spipe),
            ("fd_tell", &[1, 0], Errno::Spipe),
            ("fd_readdir", &[0, 0, 0, 0, 0], Errno::Notdir),
            ("fd_renumber", &[1, 2], Errno::Notsup),
            ("fd_renumber", &[1, 3], Errno::Badf),
            ("path_unlink_file", &[2, 0, 0], Errno::Notdir),
            ("sock_shutdown", &[0, 0], Errno::Notsock),
            ("proc_raise", &[6], Errno::Notsup),
        ] {
            assert_eq!(guest.import(name, args).unwrap(), errno as u64, "{name}");
        }
        assert_eq!(guest.import("sched_yield", &[]).unwrap(), 0);
    }
}
