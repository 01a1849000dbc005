//! Test doubles: a guest that is a piece of memory, and a proxy and a request that are collections.
//!
//! Start with [`FakeGuest::new`] or [`FakeGuest::with_stream`], lay arguments out with [`FakeGuest::put`], call a function of
//! the host with [`FakeGuest::import`], and look at the public fields.

#![allow(dead_code, reason = "no test needs all of it")]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::contexts::{ContextKind, RootContext, StreamContext};
use super::host::{
    HeaderError, HeaderMap, Host, HttpStream, LocalResponse, MetricError, PropertyError,
    QueueError, SharedDataError, is_header_name, is_header_value,
};
use super::types::{AbiVersion, LogLevel, MetricType, Status};
use super::vm::{PluginInfo, VmState};
use super::{Body, imports, wasi};
use crate::engine::{Func, Guest, Trap};

/// A plugin named `test`, of ABI 0.2.1.
pub fn plugin_info() -> PluginInfo {
    PluginInfo {
        name: "test".into(),
        root_id: b"root".to_vec(),
        vm_id: b"vm".to_vec(),
        vm_config: b"vm config".to_vec(),
        env: Vec::new(),
        abi: AbiVersion::V0_2_1,
    }
}

/// A guest with 256 KiB of memory and an allocator that never frees.
pub struct FakeGuest {
    pub memory: Vec<u8>,
    pub state: VmState,
    /// What `state.host` is.
    pub host: Rc<FakeHost>,
    /// The stream of the effective context, after [`FakeGuest::with_stream`].
    pub stream: Rc<FakeStream>,
    /// The arguments of every call into the guest.
    pub calls: Vec<Vec<u64>>,
    /// Where calls into the guest return this instead of memory.
    pub allocates: Option<u64>,
    next: usize,
}

impl FakeGuest {
    /// A guest in a plugin context, whose configuration is `config`.
    pub fn new() -> Self {
        let host = Rc::new(FakeHost::default());
        let mut state = VmState::new(Rc::new(plugin_info()), Rc::<FakeHost>::clone(&host));
        state.allocator = Some(Func::fake(1));
        state.current = state.contexts.insert(ContextKind::Root(RootContext {
            config: b"config".as_slice().into(),
            tick_period: 0,
        }));
        Self {
            memory: vec![0; 256 * 1024],
            state,
            host,
            stream: Rc::default(),
            calls: Vec::new(),
            allocates: None,
            next: 1024,
        }
    }

    /// A guest in a stream context, of [`FakeGuest::stream`].
    pub fn with_stream() -> Self {
        let mut guest = Self::new();
        let context = StreamContext {
            root_id: guest.state.current,
            stream: Rc::<FakeStream>::clone(&guest.stream),
            request_body: Body::default(),
            response_body: Body::default(),
            properties: HashMap::new(),
            continue_request: false,
            continue_response: false,
        };
        let kind = ContextKind::Stream(Box::new(context));
        guest.state.current = guest.state.contexts.insert(kind);
        guest
    }

    /// Makes the plugin one of another ABI.
    pub fn set_abi(&mut self, abi: AbiVersion) {
        self.state.plugin = Rc::new(PluginInfo {
            abi,
            ..plugin_info()
        });
    }

    /// Zeroed memory of the guest's, as an argument.
    pub fn room(&mut self, size: u32) -> u64 {
        let at = self.next;
        // Numbers in memory are found by their address, so it had better be a round one.
        self.next = (at + size as usize).next_multiple_of(8);
        assert!(self.next <= self.memory.len(), "the fake guest is full");
        at as u64
    }

    /// Puts bytes into memory and gives their address.
    pub fn put(&mut self, bytes: &[u8]) -> u64 {
        let at = self.room(bytes.len() as u32);
        self.memory[at as usize..][..bytes.len()].copy_from_slice(bytes);
        at
    }

    pub fn bytes_at(&self, at: u64, size: u32) -> &[u8] {
        &self.memory[at as usize..][..size as usize]
    }

    pub fn u32_at(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes_at(at, 4).try_into().unwrap())
    }

    pub fn u64_at(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes_at(at, 8).try_into().unwrap())
    }

    /// The bytes behind the pointer and the size that a hostcall has written.
    pub fn given(&self, return_data: u64, return_size: u64) -> &[u8] {
        self.bytes_at(self.u32_at(return_data).into(), self.u32_at(return_size))
    }

    /// Calls the hostcall or the function of WASI with that name, as the plugin would.
    pub fn import(&mut self, name: &str, args: &[u64]) -> Result<u64, Trap> {
        let hostcalls = imports::HOSTCALLS.iter().map(|row| (row.name, row.call));
        let wasi = wasi::FUNCTIONS.iter().map(|row| (row.name, row.call));
        let (_, call) = hostcalls
            .chain(wasi)
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("nothing is called {name}"));
        call(self, args)
    }

    /// As [`FakeGuest::import`], for a hostcall that does not trap.
    pub fn status(&mut self, name: &str, args: &[u64]) -> Status {
        let number = self.import(name, args).unwrap_or_else(|t| panic!("{t}"));
        STATUSES
            .into_iter()
            .find(|status| *status as u64 == number)
            .unwrap_or_else(|| panic!("{name}: {number} is no status"))
    }

    /// Puts bytes into memory and gives their address and size, as two arguments.
    pub fn string(&mut self, bytes: &[u8]) -> [u64; 2] {
        [self.put(bytes), bytes.len() as u64]
    }

    /// Calls a hostcall with each of `args` whose place is in `places` made to lead out of memory. It has to answer
    /// [`Status::InvalidMemoryAccess`] and write nothing. The pieces that `args` name have 4 bytes at least.
    pub fn assert_bounds(
        &mut self,
        name: &str,
        args: &[u64],
        places: impl IntoIterator<Item = usize>,
    ) {
        let end = self.memory.len() as u64;
        let before = self.memory.clone();
        for place in places {
            for hostile in [end - 3, end, u64::from(u32::MAX) - 3, u64::from(u32::MAX)] {
                let mut args = args.to_vec();
                args[place] = hostile;
                let status = self.status(name, &args);
                assert_eq!(status, Status::InvalidMemoryAccess, "{name}{args:x?}");
                assert!(self.memory == before, "{name}{args:x?} has written");
            }
        }
    }
}

const STATUSES: [Status; 10] = [
    Status::Ok,
    Status::NotFound,
    Status::BadArgument,
    Status::SerializationFailure,
    Status::ParseFailure,
    Status::InvalidMemoryAccess,
    Status::Empty,
    Status::CasMismatch,
    Status::InternalFailure,
    Status::Unimplemented,
];

impl Guest<VmState> for FakeGuest {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn state(&mut self) -> &mut VmState {
        &mut self.state
    }

    fn split(&mut self) -> (&mut [u8], &mut VmState) {
        (&mut self.memory, &mut self.state)
    }

    /// Every function is the allocator.
    fn call(&mut self, func: Func, args: &[u64]) -> Result<u64, Trap> {
        assert_eq!(args.len(), usize::from(func.params));
        self.calls.push(args.to_vec());
        match self.allocates {
            Some(data) => Ok(data),
            None => Ok(self.room(args[0] as u32)),
        }
    }
}

type Log = RefCell<Vec<(LogLevel, String)>>;

fn keep(log: &Log, level: LogLevel, message: &[u8]) {
    let message = String::from_utf8_lossy(message).into_owned();
    log.borrow_mut().push((level, message));
}

/// Namespace and key to value and compare-and-swap number.
pub type Data = HashMap<(Vec<u8>, Vec<u8>), (Vec<u8>, u32)>;

struct Queue {
    vm_id: Vec<u8>,
    name: Vec<u8>,
    items: VecDeque<Vec<u8>>,
}

/// A proxy. Ids of queues and metrics are places in their lists, from 1.
pub struct FakeHost {
    pub logs: Log,
    pub level: Cell<LogLevel>,
    pub properties: RefCell<HashMap<Vec<u8>, Vec<u8>>>,
    pub data: RefCell<Data>,
    /// Nothing more is taken: every change that needs room fails.
    pub full: Cell<bool>,
    queues: RefCell<Vec<Queue>>,
    metrics: RefCell<Vec<(MetricType, Vec<u8>, u64)>>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            logs: Log::default(),
            level: Cell::new(LogLevel::Trace),
            properties: RefCell::default(),
            data: RefCell::default(),
            full: Cell::new(false),
            queues: RefCell::default(),
            metrics: RefCell::default(),
        }
    }
}

/// The element with an id that counts from 1.
fn by_id<T>(list: &mut [T], id: u32) -> Option<&mut T> {
    list.get_mut((id as usize).wrapping_sub(1))
}

impl FakeHost {
    fn metric<R>(
        &self,
        id: u32,
        change: impl FnOnce(MetricType, &mut u64) -> Result<R, MetricError>,
    ) -> Result<R, MetricError> {
        let mut metrics = self.metrics.borrow_mut();
        let (kind, _, value) = by_id(&mut metrics, id).ok_or(MetricError::NotFound)?;
        change(*kind, value)
    }
}

impl Host for FakeHost {
    fn log(&self, level: LogLevel, message: &[u8]) {
        keep(&self.logs, level, message);
    }

    fn log_level(&self) -> LogLevel {
        self.level.get()
    }

    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        let properties = self.properties.borrow();
        let found = properties.get(path);
        value.extend(found.into_iter().flatten());
        found.is_some()
    }

    fn get_shared_data(&self, vm_id: &[u8], key: &[u8], value: &mut Vec<u8>) -> Option<u32> {
        let data = self.data.borrow();
        let (bytes, cas) = data.get(&(vm_id.to_vec(), key.to_vec()))?;
        value.extend_from_slice(bytes);
        Some(*cas)
    }

    fn set_shared_data(
        &self,
        vm_id: &[u8],
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), SharedDataError> {
        if self.full.get() {
            return Err(SharedDataError::Full);
        }
        let mut data = self.data.borrow_mut();
        let entry = data.entry((vm_id.to_vec(), key.to_vec())).or_default();
        if cas != 0 && entry.1 != 0 && cas != entry.1 {
            return Err(SharedDataError::CasMismatch);
        }
        *entry = (value.to_vec(), entry.1 + 1);
        Ok(())
    }

    fn register_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError> {
        if let Some(id) = self.resolve_shared_queue(vm_id, name) {
            return Ok(id);
        }
        if self.full.get() {
            return Err(QueueError::Full);
        }
        let mut queues = self.queues.borrow_mut();
        queues.push(Queue {
            vm_id: vm_id.to_vec(),
            name: name.to_vec(),
            items: VecDeque::new(),
        });
        Ok(queues.len() as u32)
    }

    fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        (1..)
            .zip(self.queues.borrow().iter())
            .find(|(_, queue)| queue.vm_id == vm_id && queue.name == name)
            .map(|(id, _)| id)
    }

    fn enqueue_shared_queue(&self, queue_id: u32, value: &[u8]) -> Result<(), QueueError> {
        let mut queues = self.queues.borrow_mut();
        let queue = by_id(&mut queues, queue_id).ok_or(QueueError::NotFound)?;
        if self.full.get() {
            return Err(QueueError::Full);
        }
        queue.items.push_back(value.to_vec());
        Ok(())
    }

    fn dequeue_shared_queue(&self, queue_id: u32, value: &mut Vec<u8>) -> Result<(), QueueError> {
        let mut queues = self.queues.borrow_mut();
        let queue = by_id(&mut queues, queue_id).ok_or(QueueError::NotFound)?;
        value.extend(queue.items.pop_front().ok_or(QueueError::Empty)?);
        Ok(())
    }

    fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32, MetricError> {
        let mut metrics = self.metrics.borrow_mut();
        if let Some(i) = metrics.iter().position(|(_, known, _)| known == name) {
            let same = metrics[i].0 == kind;
            return same.then_some(i as u32 + 1).ok_or(MetricError::BadArgument);
        }
        if self.full.get() {
            return Err(MetricError::Full);
        }
        metrics.push((kind, name.to_vec(), 0));
        Ok(metrics.len() as u32)
    }

    fn record_metric(&self, metric_id: u32, value: u64) -> Result<(), MetricError> {
        self.metric(metric_id, |kind, old| {
            *old = match kind {
                MetricType::Counter | MetricType::Gauge => value,
                MetricType::Histogram => *old + 1,
            };
            Ok(())
        })
    }

    fn increment_metric(&self, metric_id: u32, delta: i64) -> Result<(), MetricError> {
        self.metric(metric_id, |kind, value| {
            if kind == MetricType::Histogram || kind == MetricType::Counter && delta < 0 {
                return Err(MetricError::BadArgument);
            }
            *value = value.wrapping_add_signed(delta);
            Ok(())
        })
    }

    fn get_metric(&self, metric_id: u32) -> Result<u64, MetricError> {
        self.metric(metric_id, |_, value| Ok(*value))
    }
}

/// Headers by lower-case name, in order.
pub type Headers = RefCell<Vec<(Vec<u8>, Vec<u8>)>>;

/// A request and its response.
pub struct FakeStream {
    pub logs: Log,
    pub level: Cell<LogLevel>,
    pub request: Headers,
    pub response: Headers,
    /// The response's headers can no longer be changed.
    pub sent: Cell<bool>,
    pub properties: RefCell<HashMap<Vec<u8>, Vec<u8>>>,
    /// Properties that are there and cannot be set.
    pub read_only: RefCell<Vec<Vec<u8>>>,
    pub local_response: RefCell<Option<LocalResponse>>,
    pub closed: Cell<bool>,
    pub no_bodies: Cell<bool>,
}

impl Default for FakeStream {
    fn default() -> Self {
        Self {
            logs: Log::default(),
            level: Cell::new(LogLevel::Trace),
            request: Headers::default(),
            response: Headers::default(),
            sent: Cell::new(false),
            properties: RefCell::default(),
            read_only: RefCell::default(),
            local_response: RefCell::default(),
            closed: Cell::new(false),
            no_bodies: Cell::new(false),
        }
    }
}

impl FakeStream {
    /// Puts headers into a map as the proxy would.
    pub fn fill(&self, map: HeaderMap, headers: &[(&str, &str)]) {
        self.map(map)
            .borrow_mut()
            .extend(headers.iter().map(|(n, v)| ((*n).into(), (*v).into())));
    }

    fn map(&self, map: HeaderMap) -> &Headers {
        match map {
            HeaderMap::Request => &self.request,
            HeaderMap::Response => &self.response,
        }
    }

    fn check(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        if map == HeaderMap::Response && self.sent.get() {
            return Err(HeaderError::Sent);
        }
        let token = name.strip_prefix(b":").unwrap_or(name);
        if is_header_name(token) && is_header_value(value) {
            Ok(())
        } else {
            Err(HeaderError::Invalid)
        }
    }
}

impl HttpStream for FakeStream {
    fn log(&self, level: LogLevel, message: &[u8]) {
        keep(&self.logs, level, message);
    }

    fn log_level(&self) -> LogLevel {
        self.level.get()
    }

    fn headers(&self, map: HeaderMap, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.map(map).borrow().iter() {
            visit(name, value);
        }
    }

    fn header_count(&self, map: HeaderMap) -> usize {
        self.map(map).borrow().len()
    }

    fn header(&self, map: HeaderMap, name: &[u8], value: &mut Vec<u8>) -> bool {
        let headers = self.map(map).borrow();
        let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        value.extend(found.into_iter().flat_map(|(_, value)| value));
        found.is_some()
    }

    fn add_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.check(map, name, value)?;
        let header = (name.to_ascii_lowercase(), value.to_vec());
        self.map(map).borrow_mut().push(header);
        Ok(())
    }

    fn replace_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.check(map, name, value)?;
        self.remove_header(map, name)?;
        self.add_header(map, name, value)
    }

    fn remove_header(&self, map: HeaderMap, name: &[u8]) -> Result<(), HeaderError> {
        self.check(map, name, b"")?;
        let mut headers = self.map(map).borrow_mut();
        headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        Ok(())
    }

    fn set_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> Result<(), HeaderError> {
        self.check(map, b"any", b"")?;
        let named = |name: &[u8]| headers.iter().any(|(n, _)| *n == name);
        self.map(map)
            .borrow_mut()
            .retain(|(name, _)| name.starts_with(b":") && !named(name));
        headers
            .iter()
            .try_for_each(|(name, value)| self.add_header(map, name, value))
    }

    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool {
        let properties = self.properties.borrow();
        let found = properties.get(path);
        value.extend(found.into_iter().flatten());
        found.is_some()
    }

    fn set_property(&self, path: &[u8], value: &[u8]) -> Result<(), PropertyError> {
        if self.read_only.borrow().iter().any(|known| known == path) {
            return Err(PropertyError::ReadOnly);
        }
        let mut properties = self.properties.borrow_mut();
        let known = properties.get_mut(path).ok_or(PropertyError::Unknown)?;
        *known = value.to_vec();
        Ok(())
    }

    fn send_local_response(&self, response: LocalResponse) -> bool {
        if self.sent.get() {
            return false;
        }
        self.local_response.replace(Some(response));
        true
    }

    fn close(&self) {
        self.closed.set(true);
    }

    fn request_has_no_body(&self) -> bool {
        self.no_bodies.get()
    }

    fn response_has_no_body(&self) -> bool {
        self.no_bodies.get()
    }
}
