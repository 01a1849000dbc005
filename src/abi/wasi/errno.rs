use crate::abi::error::HostcallError;
use crate::engine::Trap;

macro_rules! errno {
    ($($variant:ident = $value:literal),+ $(,)?) => {
        /// `errno`: what a WASI function answers where it does not succeed, as far as it is used here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Errno { $($variant = $value),+ }

        $(const _: () = assert!(Errno::$variant as u16 == $value);)+
    };
}

errno! {
    Badf = 8,
    Fault = 21,
    Inval = 28,
    Io = 29,
    Notdir = 54,
    Notsock = 57,
    Notsup = 58,
    Overflow = 61,
    Spipe = 70,
}

/// How a WASI function ends other than well.
#[derive(Debug)]
pub enum WasiError {
    /// The guest is told.
    Errno(Errno),
    /// The guest cannot go on.
    Trap(Trap),
}

/// What a WASI function gives: success, an [`Errno`] for the guest, or a trap.
pub type Answer = Result<(), WasiError>;

impl From<Errno> for WasiError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Trap> for WasiError {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

impl From<HostcallError> for WasiError {
    fn from(error: HostcallError) -> Self {
        match error {
            // WASI asks a `Vm` only for access to memory, which fails in one way.
            HostcallError::Status(_) => Self::Errno(Errno::Fault),
            HostcallError::Trap(trap) => Self::Trap(trap),
        }
    }
}
