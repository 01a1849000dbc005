//! Plugin contexts and the contexts of requests.

use std::collections::VecDeque;
use std::rc::Rc;

use super::body::Body;
use super::changes::Changes;
use super::host::{CallEvent, HttpStream};

/// Whether `proxy_on_done` has run for a context and what it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// In use.
    No,
    /// `proxy_on_done` answered false: the plugin will call `proxy_done`.
    Pending,
    /// The plugin has called `proxy_done`; `proxy_on_log` and `proxy_on_delete` are due.
    Due,
}

/// A plugin context (root context).
#[derive(Debug)]
pub struct RootContext {
    pub config: Rc<[u8]>,
    /// In milliseconds; 0 for no ticks.
    pub tick_period: u32,
    /// It is told of items in a queue.
    pub has_queue: bool,
    /// What the proxy knows it by, across VMs.
    pub serial: u32,
}

/// The context of one request.
pub struct StreamContext {
    pub root_id: u32,
    pub stream: Rc<dyn HttpStream>,
    pub request_body: Body,
    pub response_body: Body,
    /// Properties that the proxy does not know and the plugin set, by path.
    pub properties: Vec<(Vec<u8>, Vec<u8>)>,
    /// What it may still change of headers and variables.
    pub changes: Changes,
    /// The plugin has asked for the paused request, or response, to go on.
    pub continue_request: bool,
    pub continue_response: bool,
    /// The request waits: who wants it to go on has to wake it.
    pub parked: bool,
    /// The request has ended while it waited.
    pub abandoned: bool,
    /// What has become of its calls while it waits, for it to see.
    pub inbox: VecDeque<(u32, CallEvent)>,
}

impl StreamContext {
    /// The context of a request that begins.
    fn new(root_id: u32, stream: Rc<dyn HttpStream>) -> Self {
        Self {
            root_id,
            stream,
            request_body: Body::default(),
            response_body: Body::default(),
            properties: Vec::new(),
            changes: Changes::default(),
            continue_request: false,
            continue_response: false,
            parked: false,
            abandoned: false,
            inbox: VecDeque::new(),
        }
    }

    /// Wakes the request if it waits.
    pub fn wake(&self) {
        if self.parked {
            self.stream.wake();
        }
    }
}

/// A context of either kind.
pub enum ContextKind {
    Root(RootContext),
    Stream(StreamContext),
}

/// A context and how far its end has come.
pub struct Context {
    pub kind: ContextKind,
    pub finish: Finish,
}

/// The contexts of one VM instance by id. Ids count from 1; a freed one is used again by the next context of its kind, for
/// requests by the next of the same plugin context, because guests index arrays and maps with them.
#[derive(Default)]
pub struct Contexts {
    slots: Vec<Option<Context>>,
    /// How many of them are those of requests.
    streams: usize,
    free_roots: Vec<u32>,
    /// Plugin context and id; 0 where the plugin context is gone.
    free_streams: Vec<(u32, u32)>,
    /// Ids that must not be used again yet.
    held: Vec<Held>,
}

/// Calls outlive the context of a request: its id waits for them, or what they answer would reach the next request of that id.
struct Held {
    id: u32,
    calls: u32,
    /// The plugin context, once the context is gone.
    free: Option<u32>,
}

impl Contexts {
    /// Adds a plugin context and gives its id.
    pub fn insert_root(&mut self, root: RootContext) -> u32 {
        let free = self.free_roots.pop();
        self.put(free, ContextKind::Root(root))
    }

    /// Adds the context of a request that begins, and gives its id.
    pub fn insert_stream(&mut self, root_id: u32, stream: Rc<dyn HttpStream>) -> u32 {
        self.streams += 1;
        let last = |root| self.free_streams.iter().rposition(|(r, _)| *r == root);
        let free = last(root_id)
            .or_else(|| last(0))
            .map(|i| self.free_streams.swap_remove(i).1);
        self.put(
            free,
            ContextKind::Stream(StreamContext::new(root_id, stream)),
        )
    }

    /// Puts it where it stays: a context of a request is large.
    #[inline(always)]
    fn put(&mut self, free: Option<u32>, kind: ContextKind) -> u32 {
        let id = free.unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len()).expect("fewer than 2^32 contexts fit into memory")
        });
        self.slots[id as usize - 1] = Some(Context {
            kind,
            finish: Finish::No,
        });
        id
    }

    /// Drops a context; its id is free from now on. False where there is none.
    pub fn remove(&mut self, id: u32) -> bool {
        let Some(slot) = self.slots.get_mut((id as usize).wrapping_sub(1)) else {
            return false;
        };
        match slot.as_ref().map(|context| &context.kind) {
            None => return false,
            Some(ContextKind::Root(_)) => {
                self.free_roots.push(id);
                for (root, _) in &mut self.free_streams {
                    if *root == id {
                        *root = 0;
                    }
                }
            }
            Some(ContextKind::Stream(stream)) => {
                self.streams -= 1;
                match self.held.iter_mut().find(|held| held.id == id) {
                    Some(held) => held.free = Some(stream.root_id),
                    None => self.free_streams.push((stream.root_id, id)),
                }
            }
        }
        *slot = None;
        true
    }

    /// Keeps the id of a request's context from being used again until it is released as often.
    pub fn hold(&mut self, id: u32) {
        match self.held.iter_mut().find(|held| held.id == id) {
            Some(held) => held.calls += 1,
            None => self.held.push(Held {
                id,
                calls: 1,
                free: None,
            }),
        }
    }

    /// See [`Contexts::hold`].
    pub fn release(&mut self, id: u32) {
        let Some(place) = self.held.iter().position(|held| held.id == id) else {
            return;
        };
        self.held[place].calls -= 1;
        if self.held[place].calls == 0
            && let Some(root_id) = self.held.swap_remove(place).free
        {
            let root_id = if self.get(root_id).is_some() {
                root_id
            } else {
                0
            };
            self.free_streams.push((root_id, id));
        }
    }

    pub fn get(&self, id: u32) -> Option<&Context> {
        self.slots.get((id as usize).wrapping_sub(1))?.as_ref()
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Context> {
        self.slots.get_mut((id as usize).wrapping_sub(1))?.as_mut()
    }

    /// Whether a plugin context runs by itself: it has asked for ticks or for the items of a queue.
    pub fn act_by_themselves(&self) -> bool {
        self.slots
            .iter()
            .flatten()
            .any(|context| match &context.kind {
                ContextKind::Root(root) => root.tick_period > 0 || root.has_queue,
                ContextKind::Stream(_) => false,
            })
    }

    /// Whether a plugin context has asked for ticks.
    pub fn ticks(&self, id: u32) -> bool {
        self.root(id).is_some_and(|root| root.tick_period > 0)
    }

    /// What the proxy knows a plugin context by.
    pub fn serial(&self, id: u32) -> Option<u32> {
        self.root(id).map(|root| root.serial)
    }

    fn root(&self, id: u32) -> Option<&RootContext> {
        match &self.get(id)?.kind {
            ContextKind::Root(root) => Some(root),
            ContextKind::Stream(_) => None,
        }
    }

    /// How many contexts of requests there are.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// The context of a request that has ended, whose plugin has yet to call `proxy_done`.
    pub fn pending(&self) -> Option<u32> {
        let is_pending = |context: &Context| {
            context.finish == Finish::Pending && matches!(context.kind, ContextKind::Stream(_))
        };
        let slots = (1..).zip(&self.slots);
        slots
            .filter_map(|(id, slot)| slot.as_ref().map(|context| (id, context)))
            .find(|(_, context)| is_pending(context))
            .map(|(id, _)| id)
    }

    /// The contexts of requests.
    pub fn all_streams(&self) -> impl Iterator<Item = &StreamContext> {
        self.slots
            .iter()
            .flatten()
            .filter_map(|context| match &context.kind {
                ContextKind::Stream(stream) => Some(stream),
                ContextKind::Root(_) => None,
            })
    }

    /// How many contexts there are.
    pub fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of contexts whose plugin has called `proxy_done`.
    pub fn due(&self) -> Vec<u32> {
        (1..)
            .zip(&self.slots)
            .filter(|(_, slot)| matches!(slot, Some(c) if c.finish == Finish::Due))
            .map(|(id, _)| id)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    /// Adds a plugin context.
    fn root(contexts: &mut Contexts) -> u32 {
        contexts.insert_root(RootContext {
            config: b"".as_slice().into(),
            tick_period: 0,
            has_queue: false,
            serial: 1,
        })
    }

    /// Adds the context of a request.
    fn stream(contexts: &mut Contexts) -> u32 {
        stream_of(contexts, 1)
    }

    fn stream_of(contexts: &mut Contexts, root_id: u32) -> u32 {
        contexts.insert_stream(root_id, FakeGuest::new().stream)
    }

    type Insert = fn(&mut Contexts) -> u32;

    #[test]
    fn ids_count_from_one_for_both_kinds() {
        let mut contexts = Contexts::default();
        assert!(contexts.is_empty());
        let ids = [root as Insert, stream, stream, root].map(|insert| insert(&mut contexts));
        assert_eq!(ids, [1, 2, 3, 4]);
        assert_eq!(contexts.len(), 4);
        for unknown in [0, 5, u32::MAX] {
            assert!(contexts.get(unknown).is_none());
            assert!(contexts.get_mut(unknown).is_none());
            assert!(!contexts.remove(unknown));
        }
    }

    #[test]
    fn a_freed_id_is_used_again_by_its_kind_only() {
        let mut contexts = Contexts::default();
        for insert in [root as Insert, stream, root, stream] {
            insert(&mut contexts);
        }
        assert!(contexts.remove(3));
        assert!(!contexts.remove(3), "an id is freed once");
        assert!(contexts.remove(2));
        assert_eq!(contexts.len(), 2);
        assert_eq!(root(&mut contexts), 3);
        assert_eq!(root(&mut contexts), 5);
        assert_eq!(stream(&mut contexts), 2);
        assert_eq!(stream(&mut contexts), 6);
    }

    #[test]
    fn a_streams_id_is_used_again_by_its_plugin_context() {
        let mut contexts = Contexts::default();
        root(&mut contexts);
        root(&mut contexts);
        for root_id in [1, 2, 1] {
            stream_of(&mut contexts, root_id);
        }
        for id in [3, 4, 5] {
            contexts.remove(id);
        }
        assert_eq!(contexts.streams(), 0);
        assert_eq!(stream_of(&mut contexts, 2), 4);
        assert_eq!(stream_of(&mut contexts, 2), 6, "3 and 5 are those of 1");
        assert_eq!(stream_of(&mut contexts, 1), 5);
        contexts.remove(1);
        assert_eq!(stream_of(&mut contexts, 2), 3, "1 is gone");
    }

    #[test]
    fn a_context_starts_anew_under_a_used_id() {
        let mut contexts = Contexts::default();
        let id = stream(&mut contexts);
        contexts.get_mut(id).unwrap().finish = Finish::Due;
        assert_eq!(contexts.due(), [id]);
        contexts.remove(id);
        assert!(contexts.due().is_empty());
        assert_eq!(stream(&mut contexts), id);
        assert_eq!(contexts.get(id).unwrap().finish, Finish::No);
    }

    #[test]
    fn an_id_that_is_held_waits_until_it_is_released_as_often() {
        for removed_first in [true, false] {
            let mut contexts = Contexts::default();
            for insert in [root as Insert, stream, stream] {
                insert(&mut contexts);
            }
            contexts.hold(2);
            contexts.hold(2);
            if removed_first {
                contexts.remove(2);
                assert_eq!(stream(&mut contexts), 4);
            }
            contexts.release(2);
            assert!(contexts.get(2).is_none() || !removed_first);
            assert_eq!(stream(&mut contexts), if removed_first { 5 } else { 4 });
            contexts.release(2);
            contexts.release(2);
            if !removed_first {
                assert_eq!(stream(&mut contexts), 5);
                contexts.remove(2);
            }
            assert_eq!(stream(&mut contexts), 2);
        }
    }
}
