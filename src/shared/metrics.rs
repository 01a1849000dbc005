//! Metrics: numbers that all workers change at once, without the lock.
//!
//! A metric is defined once, under the lock, and never goes. Its record does not move, so that whoever knows its number changes it
//! with one atomic operation.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, compiler_fence};

use super::layout;
use super::region::{Locked, Region};
use super::workers::Worker;
use crate::abi::host::MetricError;
use crate::abi::types::MetricType;

/// The fields of a record. Its cells follow, then its name.
pub const HASH: usize = 0;
pub const NEXT_IN_BUCKET: usize = 1;
const KIND: usize = 2;
pub(super) const OWNER: usize = 3;
const NAME_LEN: usize = 4;
pub const CELLS: usize = 6;

/// The bits of a plugin's number for a metric that hold its type, as in Envoy; the rest is its place in the directory, from 1.
const TYPE_BITS: u32 = 2;

const _: () = assert!((MetricType::Histogram as u32) < 1 << TYPE_BITS);
const _: () = assert!(CELLS.is_multiple_of(2));

/// The upper bounds of a histogram's buckets, as in Envoy.
pub const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];
/// The same for the host's own, of nanoseconds: a microsecond to ten seconds.
pub const TIME_BOUNDS: [f64; 19] = [
    1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 1e9,
    5e9, 1e10,
];
/// One more bucket for what is above all bounds, and the sum.
pub(super) const HISTOGRAM_CELLS: usize = BOUNDS.len() + 2;
pub(super) const SUM: usize = BOUNDS.len() + 1;

/// The names that are kept are at most so long.
const MAX_NAME: usize = 1024;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plugin's metric.
    Plugin(MetricType),
    /// A plugin; it owns metrics.
    Owner,
    /// The host's own about a plugin.
    Host(HostMetric),
    /// What a process adds to one of the host's gauges. It counts for as long as the process lives, unless that is a master.
    Part(HostMetric, Worker),
}

/// The host's own metrics about a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum HostMetric {
    Requests,
    CallbackTime,
    Traps,
    Deadlines,
    Restarts,
    Calls,
    FailedCalls,
    OutstandingCalls,
    Instances,
    Memory,
    BackedOff,
    Rejected,
    Renewals,
}

impl HostMetric {
    pub const ALL: [Self; 13] = [
        Self::Requests,
        Self::CallbackTime,
        Self::Traps,
        Self::Deadlines,
        Self::Restarts,
        Self::Calls,
        Self::FailedCalls,
        Self::OutstandingCalls,
        Self::Instances,
        Self::Memory,
        Self::BackedOff,
        Self::Rejected,
        Self::Renewals,
    ];
}

const OWNER_CODE: u32 = 16;
const HOST_CODE: u32 = 32;
const PART_CODE: u32 = 64;

impl Kind {
    fn code(self) -> u32 {
        match self {
            Self::Plugin(kind) => kind as u32,
            Self::Owner => OWNER_CODE,
            Self::Host(metric) => HOST_CODE + metric as u32,
            Self::Part(metric, _) => PART_CODE + metric as u32,
        }
    }

    fn from_code(code: u32, cells: impl Fn(usize) -> u64) -> Option<Self> {
        let host = |code: u32| HostMetric::ALL.get(code as usize).copied();
        Some(match code {
            OWNER_CODE => Self::Owner,
            PART_CODE.. => Self::Part(host(code - PART_CODE)?, Worker::from_number(cells(1))),
            HOST_CODE.. => Self::Host(host(code - HOST_CODE)?),
            _ => Self::Plugin(MetricType::try_from(code).ok()?),
        })
    }

    /// How many numbers it has.
    pub(super) fn cells(self) -> usize {
        match self {
            Self::Owner => 0,
            Self::Plugin(MetricType::Histogram) | Self::Host(HostMetric::CallbackTime) => {
                HISTOGRAM_CELLS
            }
            Self::Plugin(_) | Self::Host(_) => 1,
            Self::Part(..) => 2,
        }
    }
}

/// A plugin that owns metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(u32);

/// A metric's record, which stays where it is.
#[derive(Clone, Copy, Debug)]
pub struct Record(usize);

/// A metric by its place in the directory, from 1, and what it is.
struct Found {
    index: u32,
    code: u32,
}

/// The owner of a plugin's metrics. `None` where there is no room for it.
pub fn owner(region: &Region, plugin: &[u8]) -> Option<Owner> {
    let plugin = &plugin[..plugin.len().min(MAX_NAME)];
    let locked = region.lock();
    locked.metric(Owner(0), Kind::Owner, plugin).ok().map(Owner)
}

/// See [`Host::define_metric`](crate::abi::host::Host::define_metric).
pub fn define(
    region: &Region,
    owner: Owner,
    kind: MetricType,
    name: &[u8],
) -> Result<u32, MetricError> {
    if name.len() > MAX_NAME {
        return Err(MetricError::Full);
    }
    let locked = region.lock();
    let found = locked.find_or_insert_metric(owner, Kind::Plugin(kind), name, |code| {
        MetricType::try_from(code).is_ok()
    })?;
    if found.code != kind as u32 {
        return Err(MetricError::BadArgument);
    }
    Ok(found.index << TYPE_BITS | kind as u32)
}

/// A metric of the host's own. `None` where there is no room for it.
pub fn host(region: &Region, owner: Owner, metric: HostMetric) -> Option<Record> {
    let locked = region.lock();
    let index = locked.metric(owner, Kind::Host(metric), &[]).ok()?;
    region.record(index)
}

/// What this process, `worker`, adds to a gauge of the host's own. It is 0 at first, whatever processes before have had the same place.
pub fn part(region: &Region, worker: Worker, owner: Owner, metric: HostMetric) -> Option<Record> {
    let locked = region.lock();
    let kind = Kind::Part(metric, worker);
    let index = locked
        .metric(owner, kind, &worker.place.to_ne_bytes())
        .ok()?;
    let record = region.record(index)?;
    if region.cell(record, 1).load(Relaxed) != worker.number() {
        region.cell(record, 0).store(0, Relaxed);
        compiler_fence(SeqCst);
        region.cell(record, 1).store(worker.number(), Relaxed);
    }
    Some(record)
}

impl Region {
    pub(super) fn record(&self, index: u32) -> Option<Record> {
        let place = index.checked_sub(1)?;
        if place >= self.peek(layout::METRICS) {
            return None;
        }
        let at = self.peek(self.layout.metric_directory_at + place as usize) as usize;
        let is_record = (self.layout.metrics_at..self.layout.metrics_end).contains(&at);
        (is_record && at.is_multiple_of(2)).then_some(Record(at))
    }

    pub(super) fn cell(&self, record: Record, index: usize) -> &AtomicU64 {
        self.memory.cell(record.0 + CELLS + 2 * index)
    }

    pub(super) fn field(&self, record: Record, field: usize) -> u32 {
        self.peek(record.0 + field)
    }

    /// The metric that a plugin knows by this number, which may be any.
    fn plugins_metric(&self, owner: Owner, id: u32) -> Result<(MetricType, Record), MetricError> {
        let code = id & ((1 << TYPE_BITS) - 1);
        let record = self.record(id >> TYPE_BITS).ok_or(MetricError::NotFound)?;
        let kind = MetricType::try_from(code).map_err(|_| MetricError::NotFound)?;
        if self.field(record, KIND) != code || self.field(record, OWNER) != owner.0 {
            return Err(MetricError::NotFound);
        }
        Ok((kind, record))
    }

    /// Adds to a counter or a gauge.
    pub fn add(&self, record: Record, difference: i64) {
        self.cell(record, 0)
            .fetch_add(difference.cast_unsigned(), Relaxed);
    }

    /// Adds a sample to a histogram.
    pub fn sample(&self, record: Record, bounds: &[f64; BOUNDS.len()], value: u64) {
        let bucket = bounds.partition_point(|bound| *bound < value as f64);
        self.samples(record, bucket, 1, value);
    }

    /// Adds samples of one bucket to a histogram, by their number and sum.
    pub fn samples(&self, record: Record, bucket: usize, count: u64, sum: u64) {
        self.cell(record, bucket).fetch_add(count, Relaxed);
        self.cell(record, SUM).fetch_add(sum, Relaxed);
    }

    /// See [`Host::record_metric`](crate::abi::host::Host::record_metric).
    pub fn record_metric(&self, owner: Owner, id: u32, value: u64) -> Result<(), MetricError> {
        match self.plugins_metric(owner, id)? {
            (MetricType::Counter | MetricType::Gauge, record) => {
                self.cell(record, 0).store(value, Relaxed);
            }
            (MetricType::Histogram, record) => self.sample(record, &BOUNDS, value),
        }
        Ok(())
    }

    /// See [`Host::increment_metric`](crate::abi::host::Host::increment_metric). A gauge goes below 0 in two's complement, as in Envoy,
    /// so that changes come to the same in whatever order they are made.
    pub fn increment_metric(&self, owner: Owner, id: u32, delta: i64) -> Result<(), MetricError> {
        match (self.plugins_metric(owner, id)?, delta) {
            ((MetricType::Counter, record), 0..) | ((MetricType::Gauge, record), _) => {
                self.add(record, delta);
                Ok(())
            }
            ((MetricType::Counter, _), ..0) | ((MetricType::Histogram, _), _) => {
                Err(MetricError::BadArgument)
            }
        }
    }

    /// See [`Host::get_metric`](crate::abi::host::Host::get_metric).
    pub fn get_metric(&self, owner: Owner, id: u32) -> Result<u64, MetricError> {
        Ok(match self.plugins_metric(owner, id)? {
            (MetricType::Counter | MetricType::Gauge, record) => self.cell(record, 0).load(Relaxed),
            (MetricType::Histogram, record) => self.bucket_counts(record).iter().sum(),
        })
    }

    pub(super) fn kind(&self, record: Record) -> Option<Kind> {
        let cells = |index| self.cell(record, index).load(Relaxed);
        Kind::from_code(self.field(record, KIND), cells)
    }

    pub(super) fn name(&self, record: Record) -> &[u8] {
        let cells = self.kind(record).map_or(0, Kind::cells);
        let len = self.field(record, NAME_LEN) as usize;
        // SAFETY: a name is written before anything leads to its record, and never again.
        unsafe { self.memory.bytes(record.0 + CELLS + 2 * cells, 0, len) }
    }

    /// How many samples each bucket of a histogram has.
    pub(super) fn bucket_counts(&self, record: Record) -> Vec<u64> {
        (0..SUM)
            .map(|bucket| self.cell(record, bucket).load(Relaxed))
            .collect()
    }
}

impl Locked<'_> {
    fn metric_bucket(&self, hash: u32) -> usize {
        let buckets = self.layout().max_metrics;
        self.layout().metric_buckets_at + (hash as usize & (buckets - 1))
    }

    fn metric_hash(&self, owner: Owner, name: &[u8]) -> u32 {
        self.region.hash([&owner.0.to_ne_bytes(), name])
    }

    /// The number of a metric, which is made if it is not there.
    fn metric(&self, owner: Owner, kind: Kind, name: &[u8]) -> Result<u32, MetricError> {
        self.find_or_insert_metric(owner, kind, name, |code| code == kind.code())
            .map(|found| found.index)
    }

    /// The metric of a name whose kind `is` takes, or else a new one of this kind.
    fn find_or_insert_metric(
        &self,
        owner: Owner,
        kind: Kind,
        name: &[u8],
        is: impl Fn(u32) -> bool,
    ) -> Result<Found, MetricError> {
        let hash = self.metric_hash(owner, name);
        let bucket = self.metric_bucket(hash);
        let mut index = self.get(bucket);
        let mut left = self.layout().max_metrics;
        while let Some(record) = self.region.record(index) {
            // Metrics stay where all else is lost: one that is damaged does no more harm than that it cannot be had.
            left = left.checked_sub(1).ok_or(MetricError::Full)?;
            let field = |field| self.region.field(record, field);
            let code = field(KIND);
            if field(HASH) == hash
                && is(code)
                && field(OWNER) == owner.0
                && field(NAME_LEN) as usize == name.len()
                && self.region.name(record) == name
            {
                return Ok(Found { index, code });
            }
            index = field(NEXT_IN_BUCKET);
        }
        let count = self.get(layout::METRICS);
        let at = self.get(layout::METRICS_END) as usize;
        let words = CELLS + 2 * kind.cells() + name.len().div_ceil(4);
        let end = (at + words).next_multiple_of(2);
        let layout = self.layout();
        let is_inside =
            at >= layout.metrics_at && at.is_multiple_of(2) && end <= layout.metrics_end;
        if count as usize >= layout.max_metrics || !is_inside {
            return Err(MetricError::Full);
        }
        let record = Record(at);
        self.put(at + HASH, hash);
        self.put(at + NEXT_IN_BUCKET, self.get(bucket));
        self.put(at + KIND, kind.code());
        self.put(at + OWNER, owner.0);
        self.put(at + NAME_LEN, name.len() as u32);
        for index in 0..kind.cells() {
            self.region.cell(record, index).store(0, Relaxed);
        }
        // SAFETY: the region is locked, and nothing leads to the place yet.
        unsafe {
            self.region
                .memory
                .write(at + CELLS + 2 * kind.cells(), 0, name);
        }
        self.put(
            self.layout().metric_directory_at + count as usize,
            at as u32,
        );
        self.set(bucket, count + 1);
        self.set(layout::METRICS, count + 1);
        self.set(layout::METRICS_END, end as u32);
        self.commit();
        Ok(Found {
            index: count + 1,
            code: kind.code(),
        })
    }
}
