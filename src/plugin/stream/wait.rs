//! When a request waits for what its plugin has called for, and what makes it go on.

use std::mem::take;
use std::time::{Duration, Instant};

use super::{BodyOutcome, Shown, Side, Stream};
use crate::abi::vm::VmState;
use crate::plugin::vm::Turn;
use crate::plugin::{Error, Waiting};

/// The plugin holds the request.
#[derive(Clone, Copy)]
pub(super) struct Paused {
    since: Instant,
    /// The same, counted in calls.
    moment: u64,
}

/// The last callback of the request, for what is to be done once the request goes on.
#[derive(Clone, Copy)]
pub(super) enum Last {
    Headers {
        body_follows: bool,
        /// The plugin has said that it waits for the body.
        body_first: bool,
    },
    Body(Shown),
}

/// For waits that something else ends.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

impl Stream {
    /// What became of the request's calls is told to the plugin, or time is up, or the request was woken.
    ///
    /// # Errors
    /// A callback trapped, or the VM had before. What was held back is in `out`.
    pub fn resume(&self, out: &mut Vec<u8>) -> Result<BodyOutcome, Error> {
        let mut turn = self.vm.turn()?;
        turn.stream(self.id)?.parked = false;
        let result = self.empty_inbox(&mut turn).and_then(|()| {
            if Side::Request.take_continue(turn.stream(self.id)?) {
                self.set_paused(&mut turn, false);
            }
            self.settle(&mut turn)
        });
        match result {
            Ok(()) => self.go_on(&mut turn, out),
            Err(error) => {
                self.wait.set(None);
                if let Last::Body(_) = self.last.get() {
                    turn.stream(self.id)?.request_body.take_into(out);
                }
                Err(error)
            }
        }
    }

    /// What came too late for the request to act on: a plugin may count its calls.
    pub(super) fn tell_the_rest(&self, turn: &mut Turn<'_>) {
        let Ok(context) = turn.stream(self.id) else {
            return;
        };
        context.abandoned = take(&mut context.parked);
        if context.inbox.is_empty() {
            return;
        }
        for (token, event) in take(&mut context.inbox) {
            // What fails has been logged.
            let _ = turn.on_call(token, event);
        }
    }

    /// What goes on after the last callback of the request. Nothing does while it waits.
    pub(super) fn go_on(
        &self,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Result<BodyOutcome, Error> {
        match self.last.get() {
            _ if self.wait.get().is_some() => Ok(BodyOutcome::Hold),
            Last::Headers { .. } => Ok(BodyOutcome::Pass),
            Last::Body(shown) => {
                let paused = self.is_paused();
                if shown.end_of_stream {
                    self.set_paused(turn, false);
                }
                self.body_outcome(turn, Side::Request, paused, shown, out)
            }
        }
    }

    /// Tells the plugin what has become of its calls while the request waited.
    fn empty_inbox(&self, turn: &mut Turn<'_>) -> Result<(), Error> {
        while !self.http.is_over()
            && let Some((token, event)) = turn.stream(self.id)?.inbox.pop_front()
        {
            turn.on_call(token, event)?;
        }
        if self.vm.is_usable() {
            return Ok(());
        }
        self.poisoned("the request cannot go on");
        Err(Error::Poisoned)
    }

    /// Decides whether the request waits.
    pub(super) fn settle(&self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let wait = if self.http.is_over() {
            None
        } else {
            self.reason_to_wait(turn.state())
        };
        self.wait.set(wait);
        if wait.is_some() {
            turn.stream(self.id)?.parked = true;
        }
        Ok(())
    }

    fn reason_to_wait(&self, state: &mut VmState) -> Option<Duration> {
        let Some(paused) = self.paused.get() else {
            let waits = self.waiting().for_calls && state.calls.awaits_http(self.id);
            return waits.then_some(LONGEST_WAIT);
        };
        if state.calls.awaits_answer(self.id) {
            // It ends with the call's own timeout.
            return Some(LONGEST_WAIT);
        }
        let (body_may_resume, body_first) = match self.last.get() {
            Last::Headers {
                body_follows,
                body_first,
            } => (body_follows, body_follows && body_first),
            Last::Body(shown) => (!shown.end_of_stream, !shown.end_of_stream),
        };
        // What another request called for before may be what this one waits for, too. What is called for later is not: with other
        // requests coming in, this one would wait for ever.
        let others = !body_first && state.calls.answer_is_due(paused.moment);
        let may_be_resumed =
            others || state.calls.has_stream(self.id) || !body_may_resume && state.acts_by_itself();
        if may_be_resumed {
            let left = self.waiting().pause.saturating_sub(paused.since.elapsed());
            if !left.is_zero() {
                if others && !state.watchers.contains(&self.id) {
                    state.watchers.push(self.id);
                }
                return Some(left);
            }
        }
        if !body_may_resume {
            self.release(may_be_resumed);
        }
        None
    }

    /// A paused request goes on though the plugin did not say so.
    fn release(&self, waited: bool) {
        self.paused.set(None);
        let what = match self.last.get() {
            Last::Headers { .. } => "proxy_on_request_headers paused the request",
            Last::Body(shown) if shown.taken => return,
            Last::Body(_) => "proxy_on_request_body paused at the end of the body",
        };
        self.warn(&if waited {
            format!(
                "{what} and did not resume it in {:?}, it goes on",
                self.waiting().pause
            )
        } else {
            format!("{what} with nothing outstanding that could resume it, it goes on")
        });
    }

    fn waiting(&self) -> Waiting {
        self.context.plugin().waiting
    }

    pub(super) fn set_paused(&self, turn: &mut Turn<'_>, paused: bool) {
        if !paused {
            self.paused.set(None);
        } else if self.paused.get().is_none() {
            self.paused.set(Some(Paused {
                since: Instant::now(),
                moment: turn.state().calls.now(),
            }));
        }
    }
}
