//! The ends of contexts.

use std::time::Instant;

use super::Turn;
use crate::abi::contexts::{ContextKind, Finish};
use crate::abi::vm::Phase;
use crate::plugin::Error;

impl Turn<'_> {
    /// Ends the contexts whose plugin has called `proxy_done`, and those for which it does so meanwhile. All that takes no longer than a
    /// callback may; what is left then is ended after the next.
    pub(super) fn end_what_is_due(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let due = self.state().contexts.due();
            if due.is_empty() {
                return Ok(());
            }
            for id in due {
                if begun.elapsed() > self.vm.limits.callback {
                    self.state().done_called = true;
                    return Ok(());
                }
                self.end(id)?;
            }
        }
    }

    /// Runs `proxy_on_done` and, if the plugin agrees, ends the context. Otherwise it ends with `proxy_done`.
    ///
    /// # Errors
    /// A callback trapped, or the VM had before.
    pub fn finish(&mut self, id: u32) -> Result<(), Error> {
        let Some(on_done) = self.vm.callbacks.on_done else {
            return self.end(id);
        };
        if let Some(context) = self.state().contexts.get_mut(id) {
            context.finish = Finish::Pending;
        }
        let done = self.run("proxy_on_done", Some(on_done), id, Phase::End, &[id])?;
        if done == Some(0) {
            return Ok(());
        }
        self.end(id)
    }

    /// Runs `proxy_on_log`, for a request, and `proxy_on_delete`. Nothing where it has ended.
    pub(super) fn end(&mut self, id: u32) -> Result<(), Error> {
        let Some(context) = self.state().contexts.get_mut(id) else {
            return Ok(());
        };
        context.finish = Finish::No;
        if let ContextKind::Stream(_) = context.kind {
            let on_log = self.vm.callbacks.on_log;
            self.run("proxy_on_log", on_log, id, Phase::End, &[id])?;
        }
        self.delete(id)
    }

    pub(super) fn delete(&mut self, id: u32) -> Result<(), Error> {
        let on_delete = self.vm.callbacks.on_delete;
        self.run("proxy_on_delete", on_delete, id, Phase::End, &[id])?;
        let state = self.state();
        state.disown_calls(id);
        state.contexts.remove(id);
        Ok(())
    }
}
