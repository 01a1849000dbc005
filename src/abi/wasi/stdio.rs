use super::errno::{Answer, Errno};
use crate::abi::guest::{Vm, slice};
use crate::abi::vm::Output;

pub const STDIN: u32 = 0;
pub const STDOUT: u32 = 1;
pub const STDERR: u32 = 2;

/// The most pieces that one message can be in, as on other systems.
const MAX_IOVECS: u32 = 1024;
/// What is kept of a message; the log cuts at the same length.
const MAX_MESSAGE: usize = 64 * 1024;

const CHARACTER_DEVICE: u8 = 2;
const RIGHT_FD_READ: u64 = 1 << 1;
const RIGHT_FD_WRITE: u64 = 1 << 6;
const RIGHT_POLL_FD_READWRITE: u64 = 1 << 27;

/// `fd_read`: standard input is at its end. `BADF` for any other file, `FAULT` for a pointer outside memory.
pub fn fd_read(vm: &mut Vm<'_>, fd: u32, nread: u32) -> Answer {
    if fd != STDIN {
        return Err(Errno::Badf.into());
    }
    Ok(vm.write_u32(nread, 0)?)
}

/// `fd_write`: each line is a record in the log; standard output's is info, standard error's an error. What has no newline yet waits for it,
/// or for the end of the callback: Go's runtime writes a stack trace word by word.
///
/// `BADF` for any other file, `FAULT` for more than 1024 pieces or one outside memory; then nothing is logged.
pub fn fd_write(vm: &mut Vm<'_>, fd: u32, iovs: u32, iovs_len: u32, nwritten: u32) -> Answer {
    let stream = match fd {
        STDOUT => Output::Stdout,
        STDERR => Output::Stderr,
        _ => return Err(Errno::Badf.into()),
    };
    if iovs_len > MAX_IOVECS {
        return Err(Errno::Fault.into());
    }
    vm.check(nwritten, 4)?;

    let (memory, state) = vm.memory_and_state();
    let mut message = Vec::new();
    let mut written = 0u32;
    // Pieces may overlap, so their sum is bounded by neither memory nor 32 bits.
    let (numbers, _) = slice(memory, iovs, iovs_len * 8)?.as_chunks();
    for [buf, len] in numbers.as_chunks().0 {
        let len = u32::from_le_bytes(*len);
        let piece = slice(memory, u32::from_le_bytes(*buf), len)?;
        written = written.checked_add(len).ok_or(Errno::Fault)?;
        let room = MAX_MESSAGE - message.len();
        message.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    state.print(stream, &message);
    Ok(vm.write_u32(nwritten, written)?)
}

/// `fd_fdstat_get`: the standard streams are character devices, so that a C library writes line by line. `BADF` for any other
/// file, `FAULT` for a pointer outside memory.
pub fn fd_fdstat_get(vm: &mut Vm<'_>, fd: u32, stat: u32) -> Answer {
    let rights = match fd {
        STDIN => RIGHT_FD_READ,
        STDOUT | STDERR => RIGHT_FD_WRITE,
        _ => return Err(Errno::Badf.into()),
    };
    let mut bytes = [0; 24];
    bytes[0] = CHARACTER_DEVICE;
    bytes[8..16].copy_from_slice(&(rights | RIGHT_POLL_FD_READWRITE).to_le_bytes());
    Ok(vm.write(stat, &bytes)?)
}

/// What a standard stream takes and nothing comes of. `BADF` for any other file.
pub fn is_open(fd: u32) -> Answer {
    if fd > STDERR {
        return Err(Errno::Badf.into());
    }
    Ok(())
}

/// What not even a standard stream can do: `errno`. `BADF` for any other file.
pub fn refuse(fd: u32, errno: Errno) -> Answer {
    is_open(fd)?;
    Err(errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;
    use crate::abi::types::LogLevel;

    /// Writes the pieces and gives the errno and the number of bytes written.
    fn write(guest: &mut FakeGuest, fd: u64, pieces: &[&[u8]]) -> (u64, u32) {
        let mut iovs = Vec::new();
        for piece in pieces {
            let at = guest.put(piece) as u32;
            iovs.extend_from_slice(&at.to_le_bytes());
            iovs.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        }
        let iovs = guest.put(&iovs);
        let nwritten = guest.put(&[0xee; 4]);
        let args = [fd, iovs, pieces.len() as u64, nwritten];
        let answer = guest.import("fd_write", &args).unwrap();
        guest.state.finish_output();
        (answer, guest.u32_at(nwritten))
    }

    #[test]
    fn a_write_is_a_message() {
        let mut guest = FakeGuest::new();
        assert_eq!(write(&mut guest, 1, &[b"one ", b"", b"message\n"]), (0, 12));
        assert_eq!(write(&mut guest, 2, &[b"two\nlines\n\n"]), (0, 11));
        assert_eq!(write(&mut guest, 1, &[b"\n"]), (0, 1));
        assert_eq!(write(&mut guest, 1, &[]), (0, 0));
        assert_eq!(
            *guest.host.logs.borrow(),
            [
                (LogLevel::Info, "proxy-wasm test: one message".into()),
                (LogLevel::Error, "proxy-wasm test: two".into()),
                (LogLevel::Error, "proxy-wasm test: lines".into()),
            ]
        );
    }

    #[test]
    fn a_long_message_is_cut_and_counted_whole() {
        let mut guest = FakeGuest::new();
        let piece = vec![b'x'; 50_000];
        assert_eq!(write(&mut guest, 1, &[&piece, &piece]), (0, 100_000));
        let logs = guest.host.logs.borrow();
        let prefix = "proxy-wasm test: ".len();
        let logged: usize = logs.iter().map(|(_, record)| record.len() - prefix).sum();
        assert_eq!(logged, MAX_MESSAGE);
    }

    #[test]
    fn pieces_that_add_up_to_more_than_memory_are_harmless() {
        let mut guest = FakeGuest::new();
        let len = guest.memory.len() as u32;
        let iov = [0u32.to_le_bytes(), len.to_le_bytes()].concat();
        let iovs = guest.put(&iov.repeat(1024));
        let nwritten = guest.room(4);
        let answer = guest
            .import("fd_write", &[1, iovs, 1024, nwritten])
            .unwrap();
        assert_eq!(answer, 0);
        assert_eq!(guest.u32_at(nwritten), len * 1024);
        let answer = guest
            .import("fd_write", &[1, iovs, 1025, nwritten])
            .unwrap();
        assert_eq!(answer, Errno::Fault as u64);
    }

    #[test]
    fn nothing_is_logged_where_a_piece_is_outside_memory() {
        let mut guest = FakeGuest::new();
        let end = guest.memory.len() as u32;
        let good = guest.put(b"good") as u32;
        let iov = |at: u32, len: u32| [at.to_le_bytes(), len.to_le_bytes()].concat();
        let good_iov = iov(good, 4);
        let nwritten = guest.room(4);
        for bad in [
            iov(end - 1, 2),
            iov(u32::MAX, 1),
            iov(0, u32::MAX),
            iov(end + 1, 0),
        ] {
            let iovs = guest.put(&[good_iov.clone(), bad].concat());
            let answer = guest.import("fd_write", &[1, iovs, 2, nwritten]).unwrap();
            assert_eq!(answer, Errno::Fault as u64);
        }
        let iovs = guest.put(&good_iov);
        let end = u64::from(end);
        for args in [[1, end - 7, 1, nwritten], [1, iovs, 1, end - 3]] {
            let answer = guest.import("fd_write", &args).unwrap();
            assert_eq!(answer, Errno::Fault as u64);
        }
        assert_eq!(write(&mut guest, 0, &[b"x"]).0, Errno::Badf as u64);
        assert_eq!(write(&mut guest, 3, &[b"x"]).0, Errno::Badf as u64);
        assert!(guest.host.logs.borrow().is_empty());
    }

    #[test]
    fn standard_input_is_at_its_end() {
        let mut guest = FakeGuest::new();
        let nread = guest.put(&[0xff; 4]);
        assert_eq!(guest.import("fd_read", &[0, 0, 0, nread]).unwrap(), 0);
        assert_eq!(guest.u32_at(nread), 0);
        let answer = guest.import("fd_read", &[1, 0, 0, nread]).unwrap();
        assert_eq!(answer, Errno::Badf as u64);
    }

    #[test]
    fn standard_streams_are_character_devices() {
        let mut guest = FakeGuest::new();
        for (fd, right) in [(0, RIGHT_FD_READ), (1, RIGHT_FD_WRITE), (2, RIGHT_FD_WRITE)] {
            let stat = guest.put(&[0xff; 25]);
            assert_eq!(guest.import("fd_fdstat_get", &[fd, stat]).unwrap(), 0);
            assert_eq!(guest.u64_at(stat), u64::from(CHARACTER_DEVICE));
            assert_eq!(guest.u64_at(stat + 8), right | RIGHT_POLL_FD_READWRITE);
            assert_eq!(guest.bytes_at(stat + 16, 9), b"\0\0\0\0\0\0\0\0\xff");
            assert_eq!(guest.import("fd_close", &[fd]).unwrap(), 0);
        }
    }
}
