//! What operators see of it all.

use super::Stats;
use super::metrics::{BOUNDS, HostMetric, Kind, TIME_BOUNDS};
use super::prometheus::{self, Name, Series};
use super::region::Region;
use super::samples::{Sample, Value, samples};
use crate::abi::types::MetricType;

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;

impl HostMetric {
    fn name(self) -> Name<'static> {
        let (name, help) = match self {
            Self::Requests => (
                "proxy_wasm_requests_total",
                "Requests that have come to the plugin.",
            ),
            Self::CallbackTime => (
                "proxy_wasm_callback_seconds",
                "How long the plugin's callbacks have run.",
            ),
            Self::Traps => (
                "proxy_wasm_traps_total",
                "Callbacks and starts that have trapped.",
            ),
            Self::Deadlines => (
                "proxy_wasm_deadline_exceeded_total",
                "Those of them that ran for too long.",
            ),
            Self::Restarts => (
                "proxy_wasm_restarts_total",
                "VMs started in the place of one that has trapped.",
            ),
            Self::Calls => (
                "proxy_wasm_calls_total",
                "HTTP and gRPC calls that the plugin has made.",
            ),
            Self::FailedCalls => (
                "proxy_wasm_calls_failed_total",
                "Those of them that were not answered.",
            ),
            Self::OutstandingCalls => (
                "proxy_wasm_calls_outstanding",
                "HTTP and gRPC calls that are not over.",
            ),
            Self::Instances => ("proxy_wasm_instances", "The plugin's VMs, in all workers."),
            Self::Memory => ("proxy_wasm_memory_bytes", "Linear memory of these VMs."),
            Self::BackedOff => (
                "proxy_wasm_backed_off",
                "Workers that do not run the plugin for a while, as it has crashed too often.",
            ),
            Self::Rejected => (
                "proxy_wasm_rejected_total",
                "Callbacks that were not run because of that.",
            ),
            Self::Renewals => (
                "proxy_wasm_renewals_total",
                "VMs that were given up because they had grown too large.",
            ),
        };
        Name::Host { name, help }
    }

    fn is_gauge(self) -> bool {
        matches!(
            self,
            Self::OutstandingCalls | Self::Instances | Self::Memory | Self::BackedOff
        )
    }
}

/// All metrics, and what the region itself has come to, as Prometheus reads them.
pub fn prometheus(region: &Region, stats: &Stats) -> String {
    let mut samples = samples(region);
    // The host's own come in the order in which they are listed.
    samples.sort_by_key(|sample| match sample.kind {
        Kind::Host(metric) => metric as usize,
        _ => HostMetric::ALL.len(),
    });
    let mut series: Vec<_> = samples.iter().filter_map(series_of).collect();
    let gauge = |bytes: u64| prometheus::Value::Gauge(bytes.cast_signed());
    let counter = prometheus::Value::Counter;
    for (name, help, value) in [
        (
            "proxy_wasm_shm_size_bytes",
            "The shared memory's size.",
            gauge(stats.size),
        ),
        (
            "proxy_wasm_shm_used_bytes",
            "What data, queues and metrics use of it.",
            gauge(stats.used),
        ),
        ("proxy_wasm_shm_keys", "Keys in it.", gauge(stats.keys)),
        (
            "proxy_wasm_shm_evicted_total",
            "Keys that have gone to make room for others.",
            counter(stats.evicted),
        ),
        (
            "proxy_wasm_shm_queue_items",
            "Items in all queues.",
            gauge(stats.items),
        ),
        (
            "proxy_wasm_shm_recovered_total",
            "Processes that have died while they were at it.",
            counter(stats.recovered),
        ),
        (
            "proxy_wasm_shm_emptied_total",
            "How often its data and queues were lost.",
            counter(stats.emptied),
        ),
    ] {
        series.push(Series {
            plugin: None,
            name: Name::Host { name, help },
            value,
        });
    }
    prometheus::render(&series)
}

fn series_of<'a>(sample: &'a Sample<'a>) -> Option<Series<'a>> {
    let (name, is_gauge, bounds, scale) = match sample.kind {
        Kind::Plugin(kind) => (
            Name::Plugin(sample.name),
            kind == MetricType::Gauge,
            &BOUNDS,
            1.0,
        ),
        Kind::Host(metric) => (metric.name(), metric.is_gauge(), &TIME_BOUNDS, NANOS),
        Kind::Owner | Kind::Part(..) => return None,
    };
    let value = match &sample.value {
        Value::Number(number) if is_gauge => prometheus::Value::Gauge(number.cast_signed()),
        Value::Number(number) => prometheus::Value::Counter(*number),
        Value::Histogram { counts, sum } => prometheus::Value::Histogram {
            bounds,
            counts,
            sum: *sum,
            scale,
        },
    };
    Some(Series {
        plugin: Some(sample.plugin),
        name,
        value,
    })
}
