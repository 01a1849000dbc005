use super::check::check;
use super::*;
use crate::abi::host::{Event, MetricError};
use crate::shared::metrics::{BOUNDS, HostMetric, Kind, TIME_BOUNDS};
use crate::shared::samples::{Value, samples};

const KINDS: [MetricType; 3] = [
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
];

#[test]
fn counters() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    let counter = plugin.define(MetricType::Counter, b"c").unwrap();
    assert_eq!(plugin.get(counter), Ok(0));
    plugin.increment(counter, 3).unwrap();
    plugin.increment(counter, 0).unwrap();
    assert_eq!(plugin.increment(counter, -1), Err(MetricError::BadArgument));
    assert_eq!(plugin.get(counter), Ok(3));
    plugin.record(counter, 10).unwrap();
    plugin.increment(counter, i64::MAX).unwrap();
    assert_eq!(plugin.get(counter), Ok(10 + i64::MAX as u64));
    check(&store);
}

#[test]
fn gauges() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    let gauge = plugin.define(MetricType::Gauge, b"g").unwrap();
    plugin.increment(gauge, 3).unwrap();
    plugin.increment(gauge, -5).unwrap();
    assert_eq!(plugin.get(gauge).unwrap().cast_signed(), -2);
    plugin.increment(gauge, i64::MIN).unwrap();
    plugin.record(gauge, 7).unwrap();
    assert_eq!(plugin.get(gauge), Ok(7));
}

#[test]
fn histograms() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    let histogram = plugin.define(MetricType::Histogram, b"h").unwrap();
    assert_eq!(
        plugin.increment(histogram, 1),
        Err(MetricError::BadArgument)
    );
    for sample in [0, 1, 2, 5, 6, 3_600_000, 3_600_001, u64::MAX >> 1] {
        plugin.record(histogram, sample).unwrap();
    }
    assert_eq!(plugin.get(histogram), Ok(8));
    let metrics = check(&store).metrics;
    let (.., value) = metrics.last().unwrap();
    let mut counts = vec![0; BOUNDS.len() + 1];
    counts[..4].copy_from_slice(&[1, 1, 2, 1]);
    counts[BOUNDS.len() - 1] = 1;
    counts[BOUNDS.len()] = 2;
    let sum = 14 + 2 * 3_600_000 + 1 + (u64::MAX >> 1);
    assert_eq!(*value, Value::Histogram { counts, sum });
}

#[test]
fn bounds_rise() {
    for bounds in [BOUNDS, TIME_BOUNDS] {
        assert!(bounds.is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn a_name_keeps_its_type() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    for kind in KINDS {
        let name = [kind as u8];
        let id = plugin.define(kind, &name).unwrap();
        assert_eq!(plugin.define(kind, &name), Ok(id));
        for other in KINDS {
            let expected = if other == kind {
                Ok(id)
            } else {
                Err(MetricError::BadArgument)
            };
            assert_eq!(plugin.define(other, &name), expected);
        }
    }
    check(&store);
}

#[test]
fn plugins_have_metrics_of_their_own() {
    let store = store();
    let plugins = ["a", "b"].map(|name| store.plugin_metrics(name));
    let again = store.plugin_metrics("a");
    let ids = plugins
        .each_ref()
        .map(|plugin| plugin.define(MetricType::Counter, b"c").unwrap());
    assert_ne!(ids[0], ids[1]);
    assert_eq!(again.define(MetricType::Counter, b"c"), Ok(ids[0]));
    plugins[0].increment(ids[0], 1).unwrap();
    again.increment(ids[0], 1).unwrap();
    plugins[1].record(ids[1], 7).unwrap();
    assert_eq!(plugins[0].get(ids[0]), Ok(2));
    // One's number means nothing to the other.
    assert_eq!(plugins[1].get(ids[0]), Err(MetricError::NotFound));
    assert_eq!(plugins[1].record(ids[0], 1), Err(MetricError::NotFound));
    assert_eq!(plugins[1].increment(ids[0], 1), Err(MetricError::NotFound));
    // A type of its own is fine.
    plugins[1].define(MetricType::Gauge, b"g").unwrap();
    plugins[0].define(MetricType::Histogram, b"g").unwrap();
    check(&store);
}

#[test]
fn numbers_of_no_metric() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    let counter = plugin.define(MetricType::Counter, b"c").unwrap();
    let before = check(&store);
    // Among them those of the host's own, which no plugin may change.
    let others = (0..counter).chain(counter + 1..counter + 100);
    for id in others.chain([u32::MAX, u32::MAX - 1, 1 << 31, 1 << 30]) {
        assert_eq!(plugin.get(id), Err(MetricError::NotFound), "{id}");
        assert_eq!(plugin.record(id, 1), Err(MetricError::NotFound));
        assert_eq!(plugin.increment(id, 1), Err(MetricError::NotFound));
    }
    assert_eq!(check(&store), before);
}

/// The sum of what a host's metric has come to.
fn host(store: &Store, metric: HostMetric) -> u64 {
    samples(&store.region)
        .into_iter()
        .filter(|sample| sample.kind == Kind::Host(metric))
        .map(|sample| match sample.value {
            Value::Number(number) => number,
            Value::Histogram { counts, .. } => counts.into_iter().sum(),
        })
        .sum()
}

#[test]
fn what_the_host_counts() {
    let store = store();
    let plugin = store.plugin_metrics("p");
    for event in [
        Event::Request,
        Event::Callback(3_000),
        Event::Callback(3_000_000_000),
        Event::Trap,
        Event::Trap,
        Event::Deadline,
        Event::Restart,
        Event::CallBegun,
        Event::CallBegun,
        Event::CallBegun,
        Event::CallEnded { failed: true },
        Event::CallEnded { failed: false },
        Event::Instances {
            count: 2,
            memory: 1000,
        },
        Event::Instances {
            count: -1,
            memory: -400,
        },
        Event::BackOff { begins: true },
        Event::Rejected,
        Event::Rejected,
        Event::BackOff { begins: false },
        Event::BackOff { begins: true },
        Event::Renewal,
    ] {
        plugin.note(event);
    }
    let found = HostMetric::ALL.map(|metric| host(&store, metric));
    assert_eq!(found, [1, 2, 2, 1, 1, 3, 1, 1, 1, 600, 1, 2, 1]);
    check(&store);
}

#[test]
fn names_that_are_long() {
    let store = store();
    let long = "x".repeat(1024);
    let plugin = store.plugin_metrics(&long);
    let id = plugin.define(MetricType::Counter, long.as_bytes()).unwrap();
    plugin.increment(id, 1).unwrap();
    assert_eq!(plugin.get(id), Ok(1));
    assert_eq!(
        plugin.define(MetricType::Counter, &[b'x'; 1025]),
        Err(MetricError::Full)
    );
    // A plugin has metrics however long its name is.
    let longer = store.plugin_metrics(&(long + "y"));
    longer.define(MetricType::Counter, b"").unwrap();
    check(&store);
}
