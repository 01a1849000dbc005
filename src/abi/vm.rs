//! The state of one VM instance as hostcalls see it, and the view of the guest that they work through.

use std::collections::HashMap;
use std::rc::Rc;

use super::body::Body;
use super::error::HostcallError;
use super::host::{Host, HttpStream};
use super::log;
use super::types::{AbiVersion, LogLevel, Status};
use crate::engine::{Func, Guest, Trap};

/// What a VM keeps of its scratch memory.
const MAX_SCRATCH: usize = 64 * 1024;

/// The callback that is running, for the hostcalls whose answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `_initialize`, `_start`, `proxy_on_vm_start`: there is only the VM's configuration.
    Start,
    /// `proxy_on_configure`.
    Configure,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    /// `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    End,
    /// Anything that is not about a request.
    Background,
}

/// What is known of a plugin before its VM starts.
#[derive(Debug)]
pub struct PluginInfo {
    pub name: String,
    pub root_id: Vec<u8>,
    pub vm_id: Vec<u8>,
    pub vm_config: Vec<u8>,
    /// `NAME=value` pairs for WASI.
    pub env: Vec<(String, String)>,
    pub abi: AbiVersion,
}

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
    pub tick_period: u32,
}

/// The context of one request.
pub struct StreamContext {
    pub root_id: u32,
    pub stream: Rc<dyn HttpStream>,
    pub request_body: Body,
    pub response_body: Body,
    /// Properties that the proxy does not know and the plugin set, by path.
    pub properties: HashMap<Vec<u8>, Vec<u8>>,
    /// The plugin has asked for the paused request, or response, to go on.
    pub continue_request: bool,
    pub continue_response: bool,
}

/// A context of either kind.
pub enum ContextKind {
    Root(RootContext),
    Stream(Box<StreamContext>),
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
    free_roots: Vec<u32>,
    /// Plugin context and id; 0 where the plugin context is gone.
    free_streams: Vec<(u32, u32)>,
}

impl Contexts {
    /// Adds a context and gives its id.
    pub fn insert(&mut self, kind: ContextKind) -> u32 {
        let free = match &kind {
            ContextKind::Root(_) => self.free_roots.pop(),
            ContextKind::Stream(stream) => {
                let last = |root| self.free_streams.iter().rposition(|(r, _)| *r == root);
                let position = last(stream.root_id).or_else(|| last(0));
                position.map(|i| self.free_streams.swap_remove(i).1)
            }
        };
        let context = Context {
            kind,
            finish: Finish::No,
        };
        if let Some(id) = free {
            self.slots[id as usize - 1] = Some(context);
            return id;
        }
        self.slots.push(Some(context));
        u32::try_from(self.slots.len()).expect("fewer than 2^32 contexts fit into memory")
    }

    /// Takes a context out; its id is free from now on.
    pub fn remove(&mut self, id: u32) -> Option<Context> {
        let context = self.slots.get_mut((id as usize).wrapping_sub(1))?.take()?;
        match &context.kind {
            ContextKind::Root(_) => {
                self.free_roots.push(id);
                for (root, _) in &mut self.free_streams {
                    if *root == id {
                        *root = 0;
                    }
                }
            }
            ContextKind::Stream(stream) => self.free_streams.push((stream.root_id, id)),
        }
        Some(context)
    }

    pub fn get(&self, id: u32) -> Option<&Context> {
        self.slots.get((id as usize).wrapping_sub(1))?.as_ref()
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Context> {
        self.slots.get_mut((id as usize).wrapping_sub(1))?.as_mut()
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

/// The state behind one VM instance.
pub struct VmState {
    pub plugin: Rc<PluginInfo>,
    pub host: Rc<dyn Host>,
    pub contexts: Contexts,
    /// The effective context: the one that hostcalls are about.
    pub current: u32,
    pub phase: Phase,
    /// `proxy_on_memory_allocate` or `malloc`.
    pub allocator: Option<Func>,
    /// Set by `proxy_done`: some context is [`Finish::Due`].
    pub done_called: bool,
    /// The answer of the last foreign function or call, for buffers that outlive one hostcall.
    pub foreign_arguments: Vec<u8>,
    scratch: Vec<u8>,
}

impl VmState {
    pub fn new(plugin: Rc<PluginInfo>, host: Rc<dyn Host>) -> Self {
        Self {
            plugin,
            host,
            contexts: Contexts::default(),
            current: 0,
            phase: Phase::Start,
            allocator: None,
            done_called: false,
            foreign_arguments: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The stream of the effective context, if that is the context of a request.
    pub fn stream(&self) -> Option<&StreamContext> {
        match &self.contexts.get(self.current)?.kind {
            ContextKind::Stream(stream) => Some(stream),
            ContextKind::Root(_) => None,
        }
    }

    /// See [`VmState::stream`].
    pub fn stream_mut(&mut self) -> Option<&mut StreamContext> {
        match &mut self.contexts.get_mut(self.current)?.kind {
            ContextKind::Stream(stream) => Some(stream),
            ContextKind::Root(_) => None,
        }
    }

    /// The plugin context of the effective context.
    pub fn root(&self) -> Option<&RootContext> {
        let id = self.stream().map_or(self.current, |s| s.root_id);
        match &self.contexts.get(id)?.kind {
            ContextKind::Root(root) => Some(root),
            ContextKind::Stream(_) => None,
        }
    }

    /// See [`VmState::root`].
    pub fn root_mut(&mut self) -> Option<&mut RootContext> {
        let id = self.stream().map_or(self.current, |s| s.root_id);
        match &mut self.contexts.get_mut(id)?.kind {
            ContextKind::Root(root) => Some(root),
            ContextKind::Stream(_) => None,
        }
    }

    /// Writes to the proxy's log under the plugin's name, with the current request as context where there is one.
    pub fn log(&self, level: LogLevel, message: &[u8]) {
        if level < self.log_level() {
            return;
        }
        log::records(&self.plugin.name, message, |record| match self.stream() {
            Some(context) => context.stream.log(level, record),
            None => self.host.log(level, record),
        });
    }

    /// The least severe level that the proxy's log keeps.
    pub fn log_level(&self) -> LogLevel {
        match self.stream() {
            Some(context) => context.stream.log_level(),
            None => self.host.log_level(),
        }
    }
}

/// The guest as one hostcall sees it. All access to guest memory is checked here.
pub struct Vm<'a> {
    guest: &'a mut dyn Guest<VmState>,
}

impl<'a> Vm<'a> {
    pub fn new(guest: &'a mut dyn Guest<VmState>) -> Self {
        Self { guest }
    }

    pub fn state(&mut self) -> &mut VmState {
        self.guest.state()
    }

    /// `size` bytes of guest memory at `data`.
    ///
    /// # Errors
    /// [`Status::InvalidMemoryAccess`] where not all of them lie in memory.
    pub fn read(&mut self, data: u32, size: u32) -> Result<&[u8], HostcallError> {
        slice(self.guest.memory(), data, size)
    }

    /// Guest memory and the state at once.
    ///
    /// # Errors
    /// As [`Vm::read`].
    pub fn read_with_state(
        &mut self,
        data: u32,
        size: u32,
    ) -> Result<(&[u8], &mut VmState), HostcallError> {
        let (memory, state) = self.guest.split();
        Ok((slice(memory, data, size)?, state))
    }

    /// Two pieces of guest memory and the state at once.
    ///
    /// # Errors
    /// As [`Vm::read`].
    pub fn read2_with_state(
        &mut self,
        first: (u32, u32),
        second: (u32, u32),
    ) -> Result<(&[u8], &[u8], &mut VmState), HostcallError> {
        let (memory, state) = self.guest.split();
        let memory = &*memory;
        Ok((
            slice(memory, first.0, first.1)?,
            slice(memory, second.0, second.1)?,
            state,
        ))
    }

    /// The whole of guest memory and the state, for hostcalls with many arguments; cut with [`slice()`].
    pub fn memory_and_state(&mut self) -> (&[u8], &mut VmState) {
        let (memory, state) = self.guest.split();
        (memory, state)
    }

    /// Writes bytes into guest memory.
    ///
    /// # Errors
    /// [`Status::InvalidMemoryAccess`] where they do not fit; then nothing is written.
    pub fn write(&mut self, data: u32, bytes: &[u8]) -> Result<(), HostcallError> {
        let start = data as usize;
        start
            .checked_add(bytes.len())
            .and_then(|end| self.guest.memory().get_mut(start..end))
            .ok_or(Status::InvalidMemoryAccess)?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// See [`Vm::write`].
    pub fn write_u32(&mut self, data: u32, value: u32) -> Result<(), HostcallError> {
        self.write(data, &value.to_le_bytes())
    }

    /// See [`Vm::write`].
    pub fn write_u64(&mut self, data: u32, value: u64) -> Result<(), HostcallError> {
        self.write(data, &value.to_le_bytes())
    }

    /// Fails unless `size` bytes at `data` lie in memory.
    ///
    /// # Errors
    /// As [`Vm::read`].
    pub fn check(&mut self, data: u32, size: u32) -> Result<(), HostcallError> {
        self.read(data, size).map(|_| ())
    }

    /// Hands a buffer of the VM's own to `fill` and then its content to the guest, see [`Vm::give`].
    ///
    /// # Errors
    /// What `fill` answers, else as [`Vm::give`].
    pub fn give_filled(
        &mut self,
        return_data: u32,
        return_size: u32,
        fill: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<(), HostcallError>,
    ) -> Result<(), HostcallError> {
        self.check(return_data, 4)?;
        self.check(return_size, 4)?;
        let mut scratch = std::mem::take(&mut self.guest.state().scratch);
        scratch.clear();
        let result =
            fill(self, &mut scratch).and_then(|()| self.give(return_data, return_size, &scratch));
        // One huge value must not hold its memory for the rest of the VM's life.
        scratch.clear();
        scratch.shrink_to(MAX_SCRATCH);
        self.guest.state().scratch = scratch;
        result
    }

    /// Copies bytes into memory that the guest's allocator gives and writes pointer and size to where the guest wants
    /// them. No bytes need no memory: the pointer is then 0.
    ///
    /// # Errors
    /// [`Status::InvalidMemoryAccess`] where a pointer is out of range, be it the guest's or its allocator's; a trap of the
    /// allocator.
    pub fn give(
        &mut self,
        return_data: u32,
        return_size: u32,
        bytes: &[u8],
    ) -> Result<(), HostcallError> {
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let data = if size == 0 {
            0
        } else {
            let data = self.allocate(size)?;
            self.write(data, bytes)?;
            data
        };
        self.write_u32(return_data, data)?;
        self.write_u32(return_size, size)
    }

    fn allocate(&mut self, size: u32) -> Result<u32, HostcallError> {
        let Some(allocator) = self.guest.state().allocator else {
            return Err(Trap::new(
                "the plugin exports neither proxy_on_memory_allocate nor malloc",
            )
            .into());
        };
        let data = self.guest.call(allocator, &[u64::from(size)])? as u32;
        if data == 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        Ok(data)
    }
}

/// `size` bytes of `memory` at `data`.
///
/// # Errors
/// [`Status::InvalidMemoryAccess`] where not all of them lie in memory.
pub fn slice(memory: &[u8], data: u32, size: u32) -> Result<&[u8], HostcallError> {
    let start = data as usize;
    memory
        .get(start..start + size as usize)
        .ok_or(HostcallError::Status(Status::InvalidMemoryAccess))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    fn root() -> ContextKind {
        ContextKind::Root(RootContext {
            config: b"".as_slice().into(),
            tick_period: 0,
        })
    }

    fn stream() -> ContextKind {
        ContextKind::Stream(Box::new(StreamContext {
            root_id: 1,
            stream: FakeGuest::new().stream,
            request_body: Body::default(),
            response_body: Body::default(),
            properties: HashMap::new(),
            continue_request: false,
            continue_response: false,
        }))
    }

    #[test]
    fn ids_count_from_one_for_both_kinds() {
        let mut contexts = Contexts::default();
        assert!(contexts.is_empty());
        let ids = [root(), stream(), stream(), root()].map(|kind| contexts.insert(kind));
        assert_eq!(ids, [1, 2, 3, 4]);
        assert_eq!(contexts.len(), 4);
        for unknown in [0, 5, u32::MAX] {
            assert!(contexts.get(unknown).is_none());
            assert!(contexts.get_mut(unknown).is_none());
            assert!(contexts.remove(unknown).is_none());
        }
    }

    #[test]
    fn a_freed_id_is_used_again_by_its_kind_only() {
        let mut contexts = Contexts::default();
        for kind in [root(), stream(), root(), stream()] {
            contexts.insert(kind);
        }
        assert!(contexts.remove(3).is_some());
        assert!(contexts.remove(3).is_none(), "an id is freed once");
        assert!(contexts.remove(2).is_some());
        assert_eq!(contexts.len(), 2);
        assert_eq!(contexts.insert(root()), 3);
        assert_eq!(contexts.insert(root()), 5);
        assert_eq!(contexts.insert(stream()), 2);
        assert_eq!(contexts.insert(stream()), 6);
    }

    #[test]
    fn a_streams_id_is_used_again_by_its_plugin_context() {
        let of = |root_id| match stream() {
            ContextKind::Stream(context) => ContextKind::Stream(Box::new(StreamContext {
                root_id,
                ..*context
            })),
            root @ ContextKind::Root(_) => root,
        };
        let mut contexts = Contexts::default();
        for kind in [root(), root(), of(1), of(2), of(1)] {
            contexts.insert(kind);
        }
        for id in [3, 4, 5] {
            contexts.remove(id);
        }
        assert_eq!(contexts.insert(of(2)), 4);
        assert_eq!(contexts.insert(of(2)), 6, "3 and 5 are those of 1");
        assert_eq!(contexts.insert(of(1)), 5);
        contexts.remove(1);
        assert_eq!(contexts.insert(of(2)), 3, "1 is gone");
    }

    #[test]
    fn a_context_starts_anew_under_a_used_id() {
        let mut contexts = Contexts::default();
        let id = contexts.insert(stream());
        contexts.get_mut(id).unwrap().finish = Finish::Due;
        assert_eq!(contexts.due(), [id]);
        contexts.remove(id);
        assert!(contexts.due().is_empty());
        assert_eq!(contexts.insert(stream()), id);
        assert_eq!(contexts.get(id).unwrap().finish, Finish::No);
    }

    #[test]
    fn the_root_of_a_stream_is_its_plugin_context() {
        let mut guest = FakeGuest::with_stream();
        assert_eq!(guest.state.current, 2);
        assert_eq!(*guest.state.root().unwrap().config, *b"config");
        guest.state.root_mut().unwrap().tick_period = 5;
        guest.state.current = 1;
        assert_eq!(guest.state.root().unwrap().tick_period, 5);
        guest.state.current = 0;
        assert!(guest.state.root().is_none() && guest.state.root_mut().is_none());
    }

    #[test]
    fn no_bytes_need_no_memory_but_a_place_inside_it() {
        let mut guest = FakeGuest::new();
        let end = guest.memory.len() as u32;
        let mut vm = Vm::new(&mut guest);
        assert_eq!(vm.read(end, 0).unwrap(), b"");
        assert!(vm.write(end, b"").is_ok());
        assert!(vm.read(end + 1, 0).is_err());
        assert!(vm.write(u32::MAX, b"").is_err());
    }

    #[test]
    fn one_huge_value_does_not_hold_its_memory() {
        let mut guest = FakeGuest::new();
        let out = guest.room(8) as u32;
        let answer = Vm::new(&mut guest).give_filled(out, out + 4, |_, value| {
            value.resize(128 * 1024, 1);
            Ok(())
        });
        assert!(answer.is_ok());
        assert!(guest.state.scratch.capacity() <= MAX_SCRATCH);
    }
}
