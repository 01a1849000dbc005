use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a plugin may have sent on a stream and the network not have taken.
pub const MAX_OUTGOING: usize = 16 * 1024 * 1024;
/// What is counted for a message besides its bytes.
const OUTGOING_OVERHEAD: usize = 64;

/// The worker's end of what is sent on a stream. Dropped, it closes that direction.
pub struct Outgoing {
    messages: UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// The thread's end.
pub struct Messages {
    messages: UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    begun: bool,
}

impl Outgoing {
    pub fn new() -> (Self, Messages) {
        let (sender, receiver) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        (
            Self {
                messages: sender,
                waiting: Arc::clone(&waiting),
            },
            Messages {
                messages: receiver,
                waiting,
                begun: false,
            },
        )
    }

    /// False where there is too much already.
    pub fn send(&self, message: Bytes) -> bool {
        let size = message.len() + OUTGOING_OVERHEAD;
        if self.waiting.fetch_add(size, Ordering::Relaxed) + size > MAX_OUTGOING {
            return false;
        }
        // A stream whose thread has let go of it is told so by its last event.
        let _ = self.messages.send(message);
        true
    }
}

impl Messages {
    pub async fn next(&mut self) -> Option<Bytes> {
        let message = self.messages.recv().await;
        self.begun |= message.is_some();
        message
    }

    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// The network has taken a message of that many bytes.
    pub fn taken(&self, bytes: usize) {
        self.waiting
            .fetch_sub(bytes + OUTGOING_OVERHEAD, Ordering::Relaxed);
    }
}
