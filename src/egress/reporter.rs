use std::sync::Arc;

use super::calls::Calls;
use super::failure::UNAVAILABLE;
use crate::abi::host::{CallEvent, CallId};

/// Reports what becomes of one call. One that is dropped without a last event has failed.
pub struct Reporter {
    calls: Arc<Calls>,
    id: CallId,
    grpc: bool,
    over: bool,
}

impl Reporter {
    pub fn new(calls: Arc<Calls>, id: CallId, grpc: bool) -> Self {
        Self {
            calls,
            id,
            grpc,
            over: false,
        }
    }

    pub fn id(&self) -> CallId {
        self.id
    }

    pub fn event(&self, event: CallEvent) {
        self.calls.report(self.id, event, false);
    }

    pub fn last(&mut self, event: CallEvent) {
        self.over = true;
        self.calls.report(self.id, event, true);
    }

    /// Waits until the worker has taken enough of the stream's messages for there to be another.
    pub async fn room(&self) {
        while let Some(room) = self.calls.room(self.id) {
            room.notified().await;
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let reason = "the call was given up";
        self.last(if self.grpc {
            CallEvent::Closed {
                status: UNAVAILABLE,
                message: reason.into(),
                answered: false,
            }
        } else {
            CallEvent::Failed {
                reason: reason.to_owned(),
            }
        });
    }
}
