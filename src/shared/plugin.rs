//! The metrics of one plugin: its own, and the host's about it.

use std::array;
use std::cell::Cell;
use std::sync::Arc;

use super::metrics::{self, HostMetric, Owner, Record, TIME_BOUNDS};
use super::region::Region;
use super::workers::Worker;
use crate::abi::host::{Event, MetricError, SHORT};
use crate::abi::types::MetricType;

/// The gauges that each process adds to.
const GAUGES: [HostMetric; 4] = [
    HostMetric::OutstandingCalls,
    HostMetric::Instances,
    HostMetric::Memory,
    HostMetric::BackedOff,
];

const _: () = assert!(SHORT as f64 <= TIME_BOUNDS[0]);

/// What can be counted of one plugin. Without room for it, nothing is.
pub struct PluginMetrics {
    region: Arc<Region>,
    owner: Option<Owner>,
    records: [Option<Record>; HostMetric::ALL.len()],
    /// Of the process that they were found in.
    parts: Cell<Option<(Worker, [Option<Record>; GAUGES.len()])>>,
}

impl PluginMetrics {
    pub fn new(region: Arc<Region>, plugin: &[u8]) -> Self {
        let owner = metrics::owner(&region, plugin);
        let records = HostMetric::ALL.map(|metric| match owner {
            Some(owner) if !GAUGES.contains(&metric) => metrics::host(&region, owner, metric),
            _ => None,
        });
        Self {
            region,
            owner,
            records,
            parts: Cell::new(None),
        }
    }

    pub fn define(&self, kind: MetricType, name: &[u8]) -> Result<u32, MetricError> {
        let owner = self.owner.ok_or(MetricError::Full)?;
        metrics::define(&self.region, owner, kind, name)
    }

    /// The owner of metrics that were defined. Without one, none were.
    fn definer(&self) -> Result<Owner, MetricError> {
        self.owner.ok_or(MetricError::NotFound)
    }

    pub fn record(&self, id: u32, value: u64) -> Result<(), MetricError> {
        self.region.record_metric(self.definer()?, id, value)
    }

    pub fn increment(&self, id: u32, delta: i64) -> Result<(), MetricError> {
        self.region.increment_metric(self.definer()?, id, delta)
    }

    pub fn get(&self, id: u32) -> Result<u64, MetricError> {
        self.region.get_metric(self.definer()?, id)
    }

    pub fn note(&self, event: Event) {
        match event {
            Event::Request => self.count(HostMetric::Requests),
            Event::Callback(time) => {
                if let Some(record) = self.records[HostMetric::CallbackTime as usize] {
                    self.region.sample(record, &TIME_BOUNDS, time);
                }
            }
            Event::Callbacks { count, nanoseconds } => {
                if let Some(record) = self.records[HostMetric::CallbackTime as usize] {
                    self.region.samples(record, 0, count, nanoseconds);
                }
            }
            Event::Trap => self.count(HostMetric::Traps),
            Event::Deadline => self.count(HostMetric::Deadlines),
            Event::Restart => self.count(HostMetric::Restarts),
            Event::BackOff { begins } => self.add([0, 0, 0, if begins { 1 } else { -1 }]),
            Event::Rejected => self.count(HostMetric::Rejected),
            Event::Renewal => self.count(HostMetric::Renewals),
            Event::CallBegun => {
                self.count(HostMetric::Calls);
                self.add([1, 0, 0, 0]);
            }
            Event::CallEnded { failed } => {
                if failed {
                    self.count(HostMetric::FailedCalls);
                }
                self.add([-1, 0, 0, 0]);
            }
            Event::Instances { count, memory } => self.add([0, count, memory, 0]),
        }
    }

    fn count(&self, metric: HostMetric) {
        if let Some(record) = self.records[metric as usize] {
            self.region.add(record, 1);
        }
    }

    /// Adds to this process's part of each of [`GAUGES`].
    fn add(&self, differences: [i64; GAUGES.len()]) {
        for (record, difference) in self.parts().into_iter().zip(differences) {
            if let Some(record) = record
                && difference != 0
            {
                self.region.add(record, difference);
            }
        }
    }

    fn parts(&self) -> [Option<Record>; GAUGES.len()] {
        let (Some(worker), Some(owner)) = (self.region.worker(), self.owner) else {
            return [None; GAUGES.len()];
        };
        match self.parts.get() {
            Some((whose, parts)) if whose == worker => parts,
            _ => {
                let parts =
                    array::from_fn(|i| metrics::part(&self.region, worker, owner, GAUGES[i]));
                self.parts.set(Some((worker, parts)));
                parts
            }
        }
    }
}
