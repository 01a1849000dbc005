//! What all metrics have come to.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use super::layout;
use super::metrics::{HISTOGRAM_CELLS, Kind, OWNER, SUM};
use super::region::Region;

/// What a metric has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(u64),
    Histogram { counts: Vec<u64>, sum: u64 },
}

/// One metric of a plugin, or of the host's own about it.
pub struct Sample<'a> {
    pub plugin: &'a [u8],
    pub kind: Kind,
    /// Empty for the host's own.
    pub name: &'a [u8],
    pub value: Value,
}

/// All metrics, in the order of their definitions. What processes add to gauges comes in sum.
pub fn samples(region: &Region) -> Vec<Sample<'_>> {
    // Under the lock, all that count are whole.
    let count = region.lock().get(layout::METRICS);
    let count = count.min(region.layout.max_metrics as u32);
    let mut samples: Vec<Sample<'_>> = Vec::with_capacity(count as usize);
    let mut sums: HashMap<(u32, u32), usize> = HashMap::new();
    for record in (1..=count).filter_map(|index| region.record(index)) {
        let owner = region.field(record, OWNER);
        let (Some(kind), Some(plugin)) = (region.kind(record), region.record(owner)) else {
            continue;
        };
        let number = || region.cell(record, 0).load(Relaxed);
        let (kind, name, value) = match kind {
            Kind::Owner => continue,
            Kind::Part(metric, worker) => {
                let counts = {
                    let _locked = region.lock();
                    region.counts(worker)
                };
                let number = if counts { number() } else { 0 };
                let next = samples.len();
                let place = *sums.entry((owner, metric as u32)).or_insert(next);
                if let Some(Sample {
                    value: Value::Number(sum),
                    ..
                }) = samples.get_mut(place)
                {
                    *sum = sum.wrapping_add(number);
                    continue;
                }
                (Kind::Host(metric), &[][..], Value::Number(number))
            }
            kind if kind.cells() == HISTOGRAM_CELLS => {
                let value = Value::Histogram {
                    counts: region.bucket_counts(record),
                    sum: region.cell(record, SUM).load(Relaxed),
                };
                (kind, region.name(record), value)
            }
            kind => (kind, region.name(record), Value::Number(number())),
        };
        samples.push(Sample {
            plugin: region.name(plugin),
            kind,
            name,
            value,
        });
    }
    samples
}
