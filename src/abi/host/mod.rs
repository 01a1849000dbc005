//! What a plugin may ask of the proxy it runs in. `nginx`, `shared` and `egress` answer it.

mod call;

use super::types::{LogLevel, MetricType};

pub use call::{CallError, CallEvent, CallId, Fields, GrpcCall, HttpCall};

/// The two header maps that belong to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMap {
    Request,
    Response,
}

/// What a callback about a header map is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// How many headers [`HttpStream::headers`] would visit.
    pub count: usize,
    /// No body follows.
    pub end_of_stream: bool,
}

/// Why a header map could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The name or the value has bytes that no header may have, or a pseudo-header has a value it cannot take.
    Invalid,
    /// The map can no longer be changed: it has been sent.
    Sent,
    /// The proxy refused.
    Refused,
}

/// Why a property could not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyError {
    /// The proxy has no property of that name: the plugin may keep it for itself.
    Unknown,
    /// The property exists and cannot be written.
    ReadOnly,
}

/// A response that a plugin sends instead of the one from upstream.
#[derive(Clone, Debug, Default)]
pub struct LocalResponse {
    /// 200 to 999.
    pub status: u32,
    /// Why, for the log; never sent.
    pub details: Vec<u8>,
    pub body: Vec<u8>,
    /// In the plugin's order. Checked: no name or value can split a response. Pseudo-headers have been left out.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The gRPC status to send along, or -1.
    pub grpc_status: i32,
}

/// One HTTP request and its response.
///
/// Methods take `&self`: one stream is shared by all plugins that look at the request. All header names handed out are
/// lower case, and pseudo-headers come first.
pub trait HttpStream {
    /// Writes a record to the log, with the request as context.
    fn log(&self, level: LogLevel, message: &[u8]);

    /// The least severe level that the log keeps.
    fn log_level(&self) -> LogLevel;

    /// Calls `visit(name, value)` for each header of a map, pseudo-headers first.
    fn headers(&self, map: HeaderMap, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// A map at a glance.
    fn outline(&self, map: HeaderMap) -> Outline;

    /// Appends the first value of a header to `value`. False if there is none.
    fn header(&self, map: HeaderMap, name: &[u8], value: &mut Vec<u8>) -> bool;

    /// Adds a value to a header, beside those it has.
    ///
    /// # Errors
    /// See [`HeaderError`].
    fn add_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError>;

    /// Makes this the one value of a header.
    ///
    /// # Errors
    /// See [`HeaderError`].
    fn replace_header(&self, map: HeaderMap, name: &[u8], value: &[u8]) -> Result<(), HeaderError>;

    /// Removes all values of a header; there need be none.
    ///
    /// # Errors
    /// See [`HeaderError`].
    fn remove_header(&self, map: HeaderMap, name: &[u8]) -> Result<(), HeaderError>;

    /// Makes these the headers of a map. Pseudo-headers that are not named keep their value.
    ///
    /// # Errors
    /// See [`HeaderError`]; headers before the one that failed have been set.
    fn set_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> Result<(), HeaderError>;

    /// Appends the value of a property to `value`. The segments of `path` are separated by NUL. False if there is none.
    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool;

    /// Sets a property.
    ///
    /// # Errors
    /// See [`PropertyError`].
    fn set_property(&self, path: &[u8], value: &[u8]) -> Result<(), PropertyError>;

    /// Keeps a response to be sent as soon as the callback returns. False if the headers of a response have been sent
    /// already.
    fn send_local_response(&self, response: LocalResponse) -> bool;

    /// Asks for the request to be closed, without a response where none was sent yet, as soon as the callback returns.
    fn close(&self);

    /// Wakes whoever waits for a plugin to let the request go.
    fn wake(&self);

    /// Whether the plugin has sent a local response or closed the request, so that nothing is left to resume.
    fn is_over(&self) -> bool;

    /// Forgets what was decided by the proxy about the request's route. nginx keeps no such cache.
    fn clear_route_cache(&self) {}
}

/// Why shared data was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedDataError {
    CasMismatch,
    Full,
}

/// Why a shared queue did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    NotFound,
    Empty,
    Full,
}

/// Why a metric did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricError {
    NotFound,
    /// A counter never goes down, a histogram is only recorded, a name keeps its type.
    BadArgument,
    Full,
}

/// Callbacks that take no longer, in nanoseconds, may be told of together.
pub const SHORT: u64 = 1000;

/// Something about a plugin that operators count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request has come to the plugin.
    Request,
    /// A callback has run, for so many nanoseconds.
    Callback(u64),
    /// So many callbacks have run for no more than [`SHORT`] each, and so many nanoseconds in all.
    Callbacks { count: u64, nanoseconds: u64 },
    /// A callback, or the start of a VM, has trapped.
    Trap,
    /// It has, because it ran for too long.
    Deadline,
    /// A VM has been started in the place of one that trapped.
    Restart,
    /// The plugin has crashed too often and is not run for a while, or is run again.
    BackOff { begins: bool },
    /// A callback was not run because of that.
    Rejected,
    /// A VM that had grown too large was given up.
    Renewal,
    /// A call goes out.
    CallBegun,
    /// A call is over. `failed`: the other side has not answered it.
    CallEnded { failed: bool },
    /// There are so many more VMs in this process, or fewer, and so many bytes more of linear memory in them.
    Instances { count: i64, memory: i64 },
}

/// The proxy itself, outside any request. One for each plugin.
pub trait Host {
    /// Writes a record to the proxy's log.
    fn log(&self, level: LogLevel, message: &[u8]);

    /// The least severe level that the log keeps.
    fn log_level(&self) -> LogLevel;

    /// Appends the value of a property that needs no request to `value`. False if there is none.
    fn property(&self, path: &[u8], value: &mut Vec<u8>) -> bool;

    /// Appends the data kept under `key` in the namespace `vm_id` to `value` and gives its compare-and-swap number.
    fn get_shared_data(&self, vm_id: &[u8], key: &[u8], value: &mut Vec<u8>) -> Option<u32>;

    /// Keeps `value` under `key` if `cas` is 0 or the number that [`Host::get_shared_data`] gives, or the key is not there. A key with an
    /// empty value is there no longer than its room is not wanted.
    ///
    /// # Errors
    /// See [`SharedDataError`].
    fn set_shared_data(
        &self,
        vm_id: &[u8],
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), SharedDataError>;

    /// The queue of that name in the namespace `vm_id`, made if it is not there.
    ///
    /// # Errors
    /// [`QueueError::Full`]: there are too many queues.
    fn register_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<u32, QueueError>;

    /// The queue of that name in the namespace `vm_id`, if it is there.
    fn resolve_shared_queue(&self, vm_id: &[u8], name: &[u8]) -> Option<u32>;

    /// Adds an item to the end of a queue.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] or [`QueueError::Full`].
    fn enqueue_shared_queue(&self, queue_id: u32, value: &[u8]) -> Result<(), QueueError>;

    /// Takes the item at the front of a queue of the namespace `vm_id` and appends it to `value`.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] or [`QueueError::Empty`].
    fn dequeue_shared_queue(
        &self,
        vm_id: &[u8],
        queue_id: u32,
        value: &mut Vec<u8>,
    ) -> Result<(), QueueError>;

    /// The plugin's metric of that name, made if it is not there.
    ///
    /// # Errors
    /// [`MetricError::BadArgument`] where the name is taken by a metric of another type, or [`MetricError::Full`].
    fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32, MetricError>;

    /// Sets a counter or a gauge, or adds a sample to a histogram.
    ///
    /// # Errors
    /// [`MetricError::NotFound`].
    fn record_metric(&self, metric_id: u32, value: u64) -> Result<(), MetricError>;

    /// Changes a counter or a gauge.
    ///
    /// # Errors
    /// [`MetricError::NotFound`] or [`MetricError::BadArgument`].
    fn increment_metric(&self, metric_id: u32, delta: i64) -> Result<(), MetricError>;

    /// The value of a counter or a gauge; of a histogram, the number of its samples.
    ///
    /// # Errors
    /// [`MetricError::NotFound`].
    fn get_metric(&self, metric_id: u32) -> Result<u64, MetricError>;

    /// Begins an HTTP call. What becomes of it is told later, never within this function.
    ///
    /// # Errors
    /// [`CallError::Upstream`], [`CallError::Invalid`] or [`CallError::Full`]; then nothing is told later.
    fn http_call(&self, id: CallId, call: &HttpCall<'_>) -> Result<(), CallError>;

    /// Begins a gRPC call or opens a stream, as [`Host::http_call`].
    ///
    /// # Errors
    /// As [`Host::http_call`].
    fn grpc_call(&self, id: CallId, call: &GrpcCall<'_>) -> Result<(), CallError>;

    /// Sends a message on a stream, the last one if `end` says so.
    ///
    /// # Errors
    /// [`CallError::NotFound`].
    fn grpc_send(&self, id: CallId, message: &[u8], end: bool) -> Result<(), CallError>;

    /// Sends no more messages on a stream. What the other side sends is still told.
    fn grpc_close(&self, id: CallId);

    /// Gives a call of any kind up: nothing is told of it any more.
    fn cancel_call(&self, id: CallId);

    /// A time, for [`Host::between`].
    fn now(&self) -> u64;

    /// How many nanoseconds lie between two times.
    fn between(&self, then: u64, now: u64) -> u64;

    /// Counts something.
    fn note(&self, event: Event);
}

/// Whether `name` may be the name of a header: a token of RFC 9110.
pub fn is_header_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Whether `value` may be the value of a header: nothing in it ends the line.
pub fn is_header_value(value: &[u8]) -> bool {
    !value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
}
