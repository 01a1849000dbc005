use super::*;
use crate::abi::host::Event;

const EXPECTED: &str = r#"# TYPE proxy_wasm_requests_total counter
proxy_wasm_requests_total{plugin="a"} 1
proxy_wasm_requests_total{plugin="b"} 2
# TYPE proxy_wasm_callback_seconds histogram
proxy_wasm_callback_seconds_bucket{plugin="a",le="+Inf"} 1
proxy_wasm_callback_seconds_sum{plugin="a"} 0.0015
proxy_wasm_callback_seconds_count{plugin="a"} 1
proxy_wasm_callback_seconds_bucket{plugin="b",le="+Inf"} 2
proxy_wasm_callback_seconds_sum{plugin="b"} 0.003
proxy_wasm_callback_seconds_count{plugin="b"} 2
# TYPE proxy_wasm_traps_total counter
proxy_wasm_traps_total{plugin="a"} 0
proxy_wasm_traps_total{plugin="b"} 0
# TYPE proxy_wasm_deadline_exceeded_total counter
proxy_wasm_deadline_exceeded_total{plugin="a"} 0
proxy_wasm_deadline_exceeded_total{plugin="b"} 0
# TYPE proxy_wasm_restarts_total counter
proxy_wasm_restarts_total{plugin="a"} 0
proxy_wasm_restarts_total{plugin="b"} 0
# TYPE proxy_wasm_calls_total counter
proxy_wasm_calls_total{plugin="a"} 0
proxy_wasm_calls_total{plugin="b"} 0
# TYPE proxy_wasm_calls_failed_total counter
proxy_wasm_calls_failed_total{plugin="a"} 0
proxy_wasm_calls_failed_total{plugin="b"} 0
# TYPE proxy_wasm_calls_outstanding gauge
proxy_wasm_calls_outstanding{plugin="a"} 0
proxy_wasm_calls_outstanding{plugin="b"} 0
# TYPE proxy_wasm_instances gauge
proxy_wasm_instances{plugin="a"} 1
proxy_wasm_instances{plugin="b"} 2
# TYPE proxy_wasm_memory_bytes gauge
proxy_wasm_memory_bytes{plugin="a"} 65536
proxy_wasm_memory_bytes{plugin="b"} 65536
# TYPE proxy_wasm_backed_off gauge
proxy_wasm_backed_off{plugin="a"} 0
proxy_wasm_backed_off{plugin="b"} 0
# TYPE proxy_wasm_rejected_total counter
proxy_wasm_rejected_total{plugin="a"} 0
proxy_wasm_rejected_total{plugin="b"} 0
# TYPE proxy_wasm_renewals_total counter
proxy_wasm_renewals_total{plugin="a"} 0
proxy_wasm_renewals_total{plugin="b"} 0
# TYPE proxy_wasm_shm_size_bytes gauge
proxy_wasm_shm_size_bytes 1048576
# TYPE proxy_wasm_shm_used_bytes gauge
proxy_wasm_shm_used_bytes USED
# TYPE proxy_wasm_shm_keys gauge
proxy_wasm_shm_keys 1
# TYPE proxy_wasm_shm_evicted_total counter
proxy_wasm_shm_evicted_total 0
# TYPE proxy_wasm_shm_queue_items gauge
proxy_wasm_shm_queue_items 1
# TYPE proxy_wasm_shm_recovered_total counter
proxy_wasm_shm_recovered_total 0
# TYPE proxy_wasm_shm_emptied_total counter
proxy_wasm_shm_emptied_total 0
# HELP hits_all "hits.all" of a plugin
# TYPE hits_all counter
hits_all{plugin="a"} 5
hits_all{plugin="b"} 6
# HELP level "level" of a plugin
# TYPE level gauge
level{plugin="a"} -3
# HELP size "size" of a plugin
# TYPE size histogram
size_bucket{plugin="b",le="+Inf"} 3
size_sum{plugin="b"} 7200021
size_count{plugin="b"} 3
"#;

/// The lines, but for most buckets of histograms and what the host's own metrics are said to be.
fn lines(text: &str) -> Vec<&str> {
    let is_shown = |line: &&str| {
        !line.starts_with("# HELP proxy_wasm_")
            && (!line.contains("_bucket{") || line.contains("+Inf"))
    };
    text.lines().filter(is_shown).collect()
}

#[test]
fn what_operators_see() {
    let store = store();
    let plugins = ["a", "b"].map(|name| store.plugin_metrics(name));
    for (i, plugin) in plugins.iter().enumerate() {
        let i = i as i64;
        for _ in 0..=i {
            plugin.note(Event::Request);
            plugin.note(Event::Callback(1_500_000));
        }
        plugin.note(Event::Instances {
            count: 1 + i,
            memory: 65536,
        });
        let counter = plugin.define(MetricType::Counter, b"hits.all").unwrap();
        plugin.increment(counter, 5 + i).unwrap();
    }
    let gauge = plugins[0].define(MetricType::Gauge, b"level").unwrap();
    plugins[0].increment(gauge, -3).unwrap();
    let histogram = plugins[1].define(MetricType::Histogram, b"size").unwrap();
    for sample in [1, 20, 7_200_000] {
        plugins[1].record(histogram, sample).unwrap();
    }
    set(&store, "k", b"v").unwrap();
    let queue = store.register_shared_queue(b"", b"q").unwrap();
    store.enqueue_shared_queue(queue, b"x").unwrap();

    let text = store.prometheus();
    let used = store.stats().used;
    let expected = EXPECTED.replace("USED", &used.to_string());
    assert_eq!(lines(&text), expected.lines().collect::<Vec<_>>());
    for line in [
        "proxy_wasm_callback_seconds_bucket{plugin=\"b\",le=\"0.001\"} 0",
        "proxy_wasm_callback_seconds_bucket{plugin=\"b\",le=\"0.0025\"} 2",
        "proxy_wasm_callback_seconds_bucket{plugin=\"b\",le=\"10\"} 2",
        "size_bucket{plugin=\"b\",le=\"0.5\"} 0",
        "size_bucket{plugin=\"b\",le=\"1\"} 1",
        "size_bucket{plugin=\"b\",le=\"3600000\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    assert_eq!(text.matches("_bucket{").count(), 3 * 20);
}
