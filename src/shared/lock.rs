//! A mutex between processes that a dead one does not keep.

use std::cell::UnsafeCell;
use std::hint;
use std::mem::MaybeUninit;

use libc::{EBUSY, EDEADLK, EOWNERDEAD};

/// How long one waits before it sleeps, some microseconds: most of what is done with the mutex takes less than to sleep and be woken.
const MAX_PAUSES: u32 = 512;

/// How a mutex was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Clean,
    /// Whoever had it has died with it.
    OwnerDied,
}

/// A robust mutex between processes (`pthread_mutex_t`), in shared memory.
#[repr(transparent)]
pub struct RobustMutex(UnsafeCell<libc::pthread_mutex_t>);

const _: () = assert!(size_of::<RobustMutex>() <= 64 && align_of::<RobustMutex>() <= 64);

impl RobustMutex {
    /// Makes it usable.
    ///
    /// # Safety
    /// It is all zeros, and nobody uses it yet.
    pub unsafe fn init(&self) {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the attributes are initialized by the first call and used by the others; the mutex is new, as the caller says. The
        // constants are valid for what they are passed to, so nothing of it fails.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            let attributes = attributes.as_mut_ptr();
            // Miri knows neither, and runs one process only.
            if !cfg!(miri) {
                libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED);
                libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST);
            }
            // A thread that takes it twice is to learn so rather than to hang.
            libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK);
            libc::pthread_mutex_init(self.0.get(), attributes);
            libc::pthread_mutexattr_destroy(attributes);
        }
    }

    /// Waits for it.
    ///
    /// # Panics
    /// This thread has it already.
    pub fn lock(&self) -> Taken {
        let mut pauses = 1;
        while pauses < MAX_PAUSES {
            if let Some(taken) = self.try_lock() {
                return taken;
            }
            for _ in 0..pauses {
                hint::spin_loop();
            }
            pauses *= 2;
        }
        // SAFETY: it was initialized, and lives as long as the mapping.
        match unsafe { libc::pthread_mutex_lock(self.0.get()) } {
            0 => Taken::Clean,
            EOWNERDEAD => self.inherit(),
            error => panic!("the shared memory cannot be locked: error {error}"),
        }
    }

    /// Takes it if nobody living has it.
    pub fn try_lock(&self) -> Option<Taken> {
        // SAFETY: as above.
        match unsafe { libc::pthread_mutex_trylock(self.0.get()) } {
            0 => Some(Taken::Clean),
            EOWNERDEAD => Some(self.inherit()),
            // This thread's own, too.
            EBUSY | EDEADLK => None,
            error => panic!("the shared memory cannot be locked: error {error}"),
        }
    }

    fn inherit(&self) -> Taken {
        // SAFETY: this thread has just become its owner.
        unsafe { libc::pthread_mutex_consistent(self.0.get()) };
        Taken::OwnerDied
    }

    /// Lets it go. False if this thread does not have it.
    pub fn unlock(&self) -> bool {
        // SAFETY: as above. Should this thread not have it, that is an error without effect.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) == 0 }
    }
}
