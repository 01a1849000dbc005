use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::mem;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::failure::RESOURCE_EXHAUSTED;
use super::name::Upstream;
use super::outgoing::{MAX_OUTGOING, Outgoing};
use crate::abi::host::{CallError, CallEvent, CallId};

/// A stream is not read on while the worker has this many messages of it to take, or this many bytes.
const MAX_UNTAKEN: usize = 16;
const MAX_UNTAKEN_BYTES: usize = 1024 * 1024;

/// All calls together may hold so many bytes that are to be sent, streams' messages apart.
pub const MAX_HELD: usize = 64 << 20;

/// Where a call goes: to that upstream, to its own, or nowhere.
pub type Answer = Result<Option<Upstream>, String>;

/// The calls that are not over, and what there is for the worker to take. The worker and the thread share it.
pub struct Calls {
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: bool,
    ask_for_names: bool,
    entries: HashMap<CallId, Entry>,
    /// Bytes that entries hold.
    held: usize,
    events: Vec<Queued>,
    unresolved: VecDeque<(CallId, Vec<u8>)>,
    wakeup: Option<Arc<UnixStream>>,
    signalled: bool,
}

struct Queued {
    id: CallId,
    event: CallEvent,
    last: bool,
}

#[derive(Default)]
struct Entry {
    /// The last event is queued.
    over: bool,
    /// Bytes that are to be sent.
    held: usize,
    task: Option<AbortHandle>,
    answer: Option<oneshot::Sender<Answer>>,
    /// `None` once no more may be sent, and for what is not a stream.
    outgoing: Option<Outgoing>,
    events: usize,
    untaken: usize,
    untaken_bytes: usize,
    /// Of a stream that waits for its messages to be taken.
    room: Option<Arc<Notify>>,
}

/// A call that waits for an answer.
pub struct Asked {
    pub name: Vec<u8>,
    pub answer: oneshot::Sender<Answer>,
}

impl Calls {
    pub fn new(max: usize) -> Self {
        Self {
            max,
            state: Mutex::default(),
        }
    }

    pub fn is_started(&self) -> bool {
        self.state.lock().started
    }

    pub fn set_started(&self) {
        self.state.lock().started = true;
    }

    pub fn outstanding(&self) -> usize {
        self.state.lock().entries.len()
    }

    pub fn asks_for_names(&self) -> bool {
        self.state.lock().ask_for_names
    }

    pub fn ask_for_names(&self, ask: bool) {
        self.state.lock().ask_for_names = ask;
    }

    pub fn add(
        &self,
        id: CallId,
        held: usize,
        outgoing: Option<Outgoing>,
        asked: Option<Asked>,
    ) -> Result<(), CallError> {
        let mut state = self.state.lock();
        if state.entries.len() >= self.max || state.held + held > MAX_HELD {
            return Err(CallError::Full);
        }
        state.held += held;
        let mut entry = Entry {
            held,
            outgoing,
            ..Entry::default()
        };
        if let Some(asked) = asked {
            entry.answer = Some(asked.answer);
            state.unresolved.push_back((id, asked.name));
            state.signal();
        }
        state.entries.insert(id, entry);
        Ok(())
    }

    pub fn send(&self, id: CallId, message: Bytes, end: bool) -> Result<(), CallError> {
        let mut state = self.state.lock();
        let entry = state.entries.get_mut(&id).ok_or(CallError::NotFound)?;
        let outgoing = entry.outgoing.as_ref().ok_or(CallError::NotFound)?;
        let sent = outgoing.send(message);
        if end {
            entry.outgoing = None;
        }
        if sent {
            return Ok(());
        }
        let task = entry.task.take();
        let closed = CallEvent::Closed {
            status: RESOURCE_EXHAUSTED,
            message: format!("more than {MAX_OUTGOING} bytes wait to be sent").into_bytes(),
            answered: false,
        };
        state.push(id, closed, true);
        drop(state);
        if let Some(task) = task {
            task.abort();
        }
        Ok(())
    }

    pub fn half_close(&self, id: CallId) {
        if let Some(entry) = self.state.lock().entries.get_mut(&id) {
            entry.outgoing = None;
        }
    }

    pub fn cancel(&self, id: CallId) {
        let mut state = self.state.lock();
        let Some(entry) = state.remove(id) else {
            return;
        };
        if entry.events > 0 {
            state.events.retain(|queued| queued.id != id);
        }
        if entry.answer.is_some() {
            state.unresolved.retain(|(waiting, _)| *waiting != id);
        }
        drop(state);
        if let Some(task) = entry.task {
            task.abort();
        }
    }

    pub fn set_wakeup(&self, wakeup: Option<UnixStream>) {
        let wakeup = wakeup.filter(|socket| socket.set_nonblocking(true).is_ok());
        let mut state = self.state.lock();
        state.wakeup = wakeup.map(Arc::new);
        state.signalled = false;
        if !state.events.is_empty() || !state.unresolved.is_empty() {
            state.signal();
        }
    }

    pub fn take_events(&self, into: &mut impl Extend<(CallId, CallEvent)>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.signalled = false;
        let mut events = mem::take(&mut state.events);
        for Queued { id, event, last } in events.drain(..) {
            if last {
                state.remove(id);
            } else if let Some(entry) = state.entries.get_mut(&id) {
                entry.events = 0;
                entry.untaken = 0;
                entry.untaken_bytes = 0;
                if let Some(room) = entry.room.take() {
                    room.notify_one();
                }
            }
            into.extend([(id, event)]);
        }
        // With the room that it has.
        state.events = events;
    }

    pub fn take_unresolved(&self) -> Option<(CallId, Vec<u8>)> {
        self.state.lock().unresolved.pop_front()
    }

    pub fn resolve(&self, id: CallId, answer: Answer) {
        let waiting = match self.state.lock().entries.get_mut(&id) {
            Some(entry) => entry.answer.take(),
            None => None,
        };
        if let Some(waiting) = waiting {
            // A call that has been given up does not listen any more.
            let _ = waiting.send(answer);
        }
    }

    pub fn report(&self, id: CallId, event: CallEvent, last: bool) {
        self.state.lock().push(id, event, last);
    }

    /// Tells when the worker has taken the stream's messages, if there are too many.
    pub fn room(&self, id: CallId) -> Option<Arc<Notify>> {
        let mut state = self.state.lock();
        let entry = state.entries.get_mut(&id)?;
        if entry.untaken < MAX_UNTAKEN && entry.untaken_bytes < MAX_UNTAKEN_BYTES {
            return None;
        }
        Some(Arc::clone(entry.room.get_or_insert_with(Arc::default)))
    }

    /// Lets `cancel` end the call's task, or ends it now if the call was cancelled before.
    pub fn attach(&self, id: CallId, task: AbortHandle) {
        match self.state.lock().entries.get_mut(&id) {
            Some(entry) if !entry.over => entry.task = Some(task),
            _ => task.abort(),
        }
    }
}

impl State {
    fn remove(&mut self, id: CallId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.held -= entry.held;
        Some(entry)
    }

    fn push(&mut self, id: CallId, event: CallEvent, last: bool) {
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.over) else {
            return;
        };
        entry.events += 1;
        if last {
            entry.over = true;
            entry.task = None;
            entry.outgoing = None;
            entry.answer = None;
        } else if let CallEvent::Message(message) = &event {
            entry.untaken += 1;
            entry.untaken_bytes += message.len();
        }
        self.events.push(Queued { id, event, last });
        self.signal();
    }

    fn signal(&mut self) {
        if self.signalled {
            return;
        }
        if let Some(wakeup) = &self.wakeup {
            self.signalled = true;
            // A full socket has bytes to wake the worker with, and a closed one has no worker.
            let _ = wakeup.as_ref().write(&[1]);
        }
    }
}
