use thiserror::Error;

/// Why a module could not be compiled or linked.
#[derive(Debug, Error)]
pub enum Error {
    /// The bytes are not a valid WebAssembly module.
    #[error("{0}")]
    Invalid(String),
    /// An import that no host can give.
    #[error("import \"{module}.{name}\" is not a function")]
    ImportKind { module: String, name: String },
    /// The engine itself could not be set up.
    #[error("{0}")]
    Engine(String),
}

/// Why a guest stopped before its function returned. The instance must not be used again.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Trap {
    /// One line: what happened.
    pub message: String,
    /// The guest's stack, innermost frame first, one line a frame; empty where the engine has none.
    pub backtrace: Vec<String>,
    /// It was stopped, because it took too long.
    pub timed_out: bool,
}

impl Trap {
    /// A trap that a host function raises; the engine adds the backtrace.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            backtrace: Vec::new(),
            timed_out: false,
        }
    }
}
