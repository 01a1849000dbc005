//! Processes that tests fork.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::*;
use crate::shared::memory::Memory;

/// How long something that hangs is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Failed,
    Killed,
}

/// A process forked from this one. It is killed when it is dropped.
pub struct Child {
    id: libc::pid_t,
    has_ended: bool,
}

impl Child {
    /// It does this and nothing else.
    pub fn new(work: impl FnOnce()) -> Self {
        // SAFETY: the child does the work and ends without any cleaning up. The C library lets it allocate.
        match unsafe { libc::fork() } {
            -1 => panic!("{}", io::Error::last_os_error()),
            0 => {
                // SAFETY: the arguments are those that the functions take.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::alarm(PATIENCE.as_secs() as u32);
                }
                forked();
                let status = match catch_unwind(AssertUnwindSafe(work)) {
                    Ok(()) => 0,
                    Err(payload) => {
                        let text = payload.downcast::<String>().map(|text| *text);
                        let text = text.unwrap_or_default() + "\n";
                        // Past the test harness, which keeps what is printed in memory that ends here.
                        // SAFETY: the text is valid for reads of its length.
                        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
                        1
                    }
                };
                // SAFETY: it takes any number.
                unsafe { libc::_exit(status) }
            }
            id => Self {
                id,
                has_ended: false,
            },
        }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> End {
        self.end()
    }

    /// Kills it, wherever it is.
    pub fn kill(mut self) -> End {
        self.signal();
        self.end()
    }

    fn signal(&self) {
        // SAFETY: the process is this one's own child, which has not been waited for.
        unsafe { libc::kill(self.id, libc::SIGKILL) };
    }

    fn end(&mut self) -> End {
        let mut status = 0;
        // SAFETY: the status is valid for writes.
        let id = unsafe { libc::waitpid(self.id, &raw mut status, 0) };
        assert_eq!(id, self.id, "{}", io::Error::last_os_error());
        self.has_ended = true;
        if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
            End::Done
        } else if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL {
            End::Killed
        } else {
            End::Failed
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.has_ended {
            self.signal();
            self.end();
        }
    }
}

/// A process that does what it is asked, request by request.
pub struct Peer {
    child: Child,
    stream: UnixStream,
}

impl Peer {
    pub fn new(mut answer: impl FnMut(u8) -> u8) -> Self {
        let (stream, mut other) = UnixStream::pair().unwrap();
        let child = Child::new(|| {
            let mut byte = [0];
            while other.read_exact(&mut byte).is_ok() {
                byte[0] = answer(byte[0]);
                other.write_all(&byte).unwrap();
            }
        });
        Self { child, stream }
    }

    pub fn send(&mut self, request: u8) {
        self.stream.write_all(&[request]).unwrap();
    }

    pub fn receive(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        byte[0]
    }

    pub fn ask(&mut self, request: u8) -> u8 {
        self.send(request);
        self.receive()
    }

    pub fn kill(self) {
        assert_eq!(self.child.kill(), End::Killed);
    }
}

/// Words that a process and those forked from it share, all 0 at first.
pub struct Words(Memory);

impl Words {
    pub fn new(count: usize) -> Self {
        Self(Memory::map(count * 4).unwrap())
    }

    pub fn word(&self, index: usize) -> &AtomicU32 {
        self.0.word(index)
    }

    pub fn add(&self, index: usize) -> u32 {
        self.word(index).fetch_add(1, Relaxed)
    }

    pub fn get(&self, index: usize) -> u32 {
        self.word(index).load(Relaxed)
    }
}

/// Ends the whole process, should a test hang.
pub struct Watchdog(#[expect(dead_code, reason = "dropped when the test ends")] mpsc::Sender<()>);

impl Watchdog {
    pub fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            if receiver.recv_timeout(2 * PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("a test hangs");
                std::process::abort();
            }
        });
        Self(sender)
    }
}
