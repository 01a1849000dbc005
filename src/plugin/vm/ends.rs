//! The ends of contexts.

use std::time::Instant;

use super::Vm;
use crate::abi::contexts::{ContextKind, Finish};
use crate::abi::vm::Phase;
use crate::plugin::Error;

impl Vm {
    /// Ends the contexts whose plugin has called `proxy_done`, and those for which it does so meanwhile. All that takes no longer than a
    /// callback may; what is left then is ended after the next.
    pub(super) fn end_what_is_due(&self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let due = self.with_state(|state| state.contexts.due())?;
            if due.is_empty() {
                return Ok(());
            }
            for id in due {
                if begun.elapsed() > self.limits.callback {
                    return self.with_state(|state| state.done_called = true);
                }
                self.end(id)?;
            }
        }
    }

    /// Runs `proxy_on_done` and, if the plugin agrees, ends the context. Otherwise it ends with `proxy_done`.
    pub fn finish(&self, id: u32) -> Result<(), Error> {
        self.with_state(|state| {
            if let Some(context) = state.contexts.get_mut(id) {
                context.finish = Finish::Pending;
            }
        })?;
        let done = self.run(
            "proxy_on_done",
            self.callbacks.on_done,
            id,
            Phase::End,
            &[id],
        )?;
        let ended = self.with_state(|state| state.contexts.get(id).is_none())?;
        if done == Some(0) || ended {
            return Ok(());
        }
        self.end(id)
    }

    /// Runs `proxy_on_log`, for a request, and `proxy_on_delete`.
    pub(super) fn end(&self, id: u32) -> Result<(), Error> {
        let is_stream = self.with_state(|state| {
            state.contexts.get_mut(id).is_some_and(|context| {
                context.finish = Finish::No;
                matches!(context.kind, ContextKind::Stream(_))
            })
        })?;
        if is_stream {
            self.run("proxy_on_log", self.callbacks.on_log, id, Phase::End, &[id])?;
        }
        self.delete(id)
    }

    pub(super) fn delete(&self, id: u32) -> Result<(), Error> {
        self.run(
            "proxy_on_delete",
            self.callbacks.on_delete,
            id,
            Phase::End,
            &[id],
        )?;
        self.with_state(|state| {
            state.disown_calls(id);
            state.contexts.remove(id)
        })?;
        Ok(())
    }
}
