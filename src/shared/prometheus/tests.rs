use super::parser::check;
use super::*;

const BOUNDS: [f64; 3] = [0.5, 1.0, 2500.0];

fn series<'a>(plugin: &'a str, name: &'a str, value: Value<'a>) -> Series<'a> {
    Series {
        plugin: Some(plugin.as_bytes()),
        name: Name::Plugin(name.as_bytes()),
        value,
    }
}

fn host<'a>(plugin: Option<&'a str>, name: &'static str, value: Value<'a>) -> Series<'a> {
    Series {
        plugin: plugin.map(str::as_bytes),
        name: Name::Host {
            name,
            help: "Help.",
        },
        value,
    }
}

fn histogram() -> Value<'static> {
    Value::Histogram {
        bounds: &BOUNDS,
        counts: &[1, 0, 2, 3],
        sum: 7,
        scale: 1.0,
    }
}

/// The families' names and types, in order.
fn types(series: &[Series<'_>]) -> Vec<String> {
    let text = render(series);
    check(&text, series.len());
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(str::to_owned)
        .collect()
}

/// The lines of samples.
fn samples(series: &[Series<'_>]) -> Vec<String> {
    let text = render(series);
    check(&text, series.len());
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn all_kinds() {
    let nanoseconds = Value::Histogram {
        bounds: &[2500.0, 1e9, 2.5e9],
        counts: &[4, 0, 1, 2],
        sum: 12_500_000_000,
        scale: 1e9,
    };
    let text = render(&[
        series("b", "requests", Value::Counter(u64::MAX)),
        series("a", "proxy_wasm_go.request_counter", Value::Counter(3)),
        host(Some("a"), "proxy_wasm_calls_total", Value::Counter(5)),
        series("a", "requests", Value::Counter(1)),
        host(None, "proxy_wasm_shm_keys", Value::Gauge(9)),
        host(Some("b"), "proxy_wasm_calls_total", Value::Counter(0)),
        series("a", "waiting", Value::Gauge(i64::MIN)),
        host(Some("a"), "proxy_wasm_callback_seconds", nanoseconds),
        series("a", "latency", histogram()),
        host(None, "proxy_wasm_wait", histogram()),
    ]);
    check(&text, 10);
    assert_eq!(
        text,
        r#"# HELP proxy_wasm_calls_total Help.
# TYPE proxy_wasm_calls_total counter
proxy_wasm_calls_total{plugin="a"} 5
proxy_wasm_calls_total{plugin="b"} 0
# HELP proxy_wasm_shm_keys Help.
# TYPE proxy_wasm_shm_keys gauge
proxy_wasm_shm_keys 9
# HELP proxy_wasm_callback_seconds Help.
# TYPE proxy_wasm_callback_seconds histogram
proxy_wasm_callback_seconds_bucket{plugin="a",le="0.0000025"} 4
proxy_wasm_callback_seconds_bucket{plugin="a",le="1"} 4
proxy_wasm_callback_seconds_bucket{plugin="a",le="2.5"} 5
proxy_wasm_callback_seconds_bucket{plugin="a",le="+Inf"} 7
proxy_wasm_callback_seconds_sum{plugin="a"} 12.5
proxy_wasm_callback_seconds_count{plugin="a"} 7
# HELP proxy_wasm_wait Help.
# TYPE proxy_wasm_wait histogram
proxy_wasm_wait_bucket{le="0.5"} 1
proxy_wasm_wait_bucket{le="1"} 1
proxy_wasm_wait_bucket{le="2500"} 3
proxy_wasm_wait_bucket{le="+Inf"} 6
proxy_wasm_wait_sum 7
proxy_wasm_wait_count 6
# HELP requests "requests" of a plugin
# TYPE requests counter
requests{plugin="b"} 18446744073709551615
requests{plugin="a"} 1
# HELP proxy_wasm_go_request_counter "proxy_wasm_go.request_counter" of a plugin
# TYPE proxy_wasm_go_request_counter counter
proxy_wasm_go_request_counter{plugin="a"} 3
# HELP waiting "waiting" of a plugin
# TYPE waiting gauge
waiting{plugin="a"} -9223372036854775808
# HELP latency "latency" of a plugin
# TYPE latency histogram
latency_bucket{plugin="a",le="0.5"} 1
latency_bucket{plugin="a",le="1"} 1
latency_bucket{plugin="a",le="2500"} 3
latency_bucket{plugin="a",le="+Inf"} 6
latency_sum{plugin="a"} 7
latency_count{plugin="a"} 6
"#
    );
    assert_eq!(render(&[]), "");
}

#[test]
fn names_are_made_valid() {
    for (raw, valid) in [
        ("", "_"),
        ("a", "a"),
        ("Az_09", "Az_09"),
        ("0", "_0"),
        ("_0", "_0"),
        ("envoy.http:requests-total", "envoy_http_requests_total"),
        ("a b\n\0{}\"\\#", "a_b_______"),
        ("größe", "gr__e"),
    ] {
        let counter = [series("p", raw, Value::Counter(1))];
        assert_eq!(types(&counter), [format!("{valid} counter")], "{raw:?}");
    }
    let name = Name::Plugin(b"a\xff\xfeb");
    assert_eq!(name.valid(), "a__b");
}

#[test]
fn text_is_escaped() {
    let raw = "a\\b\"c\nd\r\0\x7f\u{85}é";
    assert_eq!(
        render(&[series(raw, raw, Value::Counter(1))]),
        concat!(
            "# HELP a_b_c_d_____ \"a\\\\b\"c\\nd\u{fffd}\u{fffd}\u{fffd}\u{fffd}é\" of a plugin\n",
            "# TYPE a_b_c_d_____ counter\n",
            "a_b_c_d_____{plugin=\"a\\\\b\\\"c\\nd\u{fffd}\u{fffd}\u{fffd}\u{fffd}é\"} 1\n",
        )
    );
    assert_eq!(escape(b"a\xffb\xf0\x9f", true), "a\u{fffd}b\u{fffd}");
}

#[test]
fn names_that_become_the_same_are_told_apart() {
    let value = || Value::Counter(1);
    let list = [
        series("p", "a.b", value()),
        series("p", "a_b", value()),
        series("q", "a_b", value()),
        series("q", "a-b", value()),
        series("q", "a.b", value()),
        series("q", "a_b_2", value()),
    ];
    assert_eq!(
        samples(&list),
        [
            r#"a_b{plugin="p"} 1"#,
            r#"a_b{plugin="q"} 1"#,
            r#"a_b_2{plugin="p"} 1"#,
            r#"a_b_2{plugin="q"} 1"#,
            r#"a_b_3{plugin="q"} 1"#,
            r#"a_b_2_2{plugin="q"} 1"#,
        ]
    );
    let text = render(&list);
    assert!(text.contains("# HELP a_b_2 \"a_b\" of a plugin\n"));
    assert!(text.contains("# HELP a_b_2_2 \"a_b_2\" of a plugin\n"));
}

#[test]
fn a_suffix_that_is_a_name_is_left_out() {
    let list = [
        series("p", "a_2", Value::Counter(1)),
        series("p", "a.2", Value::Counter(2)),
        series("p", "a", Value::Counter(3)),
        series("p", "a", Value::Gauge(4)),
        series("p", "a", histogram()),
    ];
    let expected = [
        "a_2 counter",
        "a_2_2 counter",
        "a counter",
        "a_3 gauge",
        "a_4 histogram",
    ];
    assert_eq!(types(&list), expected);
}

#[test]
fn a_family_has_one_type() {
    let list = [
        series("p", "a", Value::Gauge(1)),
        series("q", "a", Value::Counter(2)),
        series("r", "a", histogram()),
        series("s", "a", Value::Counter(3)),
        series("t", "a", Value::Gauge(4)),
    ];
    assert_eq!(types(&list), ["a gauge", "a_2 counter", "a_3 histogram"]);
    let samples = samples(&list);
    assert_eq!(samples[1], r#"a{plugin="t"} 4"#);
    assert_eq!(samples[3], r#"a_2{plugin="s"} 3"#);
}

#[test]
fn the_hosts_names_come_first() {
    let list = [
        series("p", "up", Value::Counter(1)),
        series("p", "seconds", Value::Counter(1)),
        series("p", "seconds_sum", Value::Counter(1)),
        series("p", "seconds.count", Value::Gauge(1)),
        series("p", "seconds_bucket", histogram()),
        series("p", "keys", histogram()),
        host(Some("p"), "up", Value::Counter(2)),
        host(None, "seconds", histogram()),
        host(None, "keys_count", Value::Counter(2)),
    ];
    assert_eq!(
        types(&list),
        [
            "up counter",
            "seconds histogram",
            "keys_count counter",
            "up_2 counter",
            "seconds_2 counter",
            "seconds_sum_2 counter",
            "seconds_count_2 gauge",
            "seconds_bucket_2 histogram",
            "keys_2 histogram",
        ]
    );
}

#[test]
fn samples_of_a_histogram_keep_their_names() {
    for suffix in &HISTOGRAM_SUFFIXES[1..] {
        let name = format!("a{suffix}");
        let list = [
            series("p", "a", histogram()),
            series("q", &name, Value::Counter(1)),
        ];
        let expected = ["a histogram", &format!("{name}_2 counter")];
        assert_eq!(types(&list), expected);

        let list = [
            series("q", &name, Value::Counter(1)),
            series("p", "a", histogram()),
            series("p", "a", Value::Gauge(1)),
        ];
        let expected = [&format!("{name} counter"), "a_2 histogram", "a gauge"];
        assert_eq!(types(&list), expected);
    }
}

#[test]
fn no_sample_comes_twice() {
    let twice = [
        series("p", "a", Value::Counter(1)),
        series("p", "a", Value::Counter(2)),
        series("q", "a", Value::Counter(3)),
        series("p", "a", Value::Counter(4)),
    ];
    assert_eq!(
        samples(&twice),
        [
            r#"a{plugin="p"} 1"#,
            r#"a{plugin="q"} 3"#,
            r#"a_2{plugin="p"} 2"#,
            r#"a_3{plugin="p"} 4"#,
        ]
    );

    let look_the_same = [
        series("p\r", "a", Value::Counter(1)),
        series("p\t", "a", Value::Counter(2)),
    ];
    assert_eq!(types(&look_the_same), ["a counter", "a_2 counter"]);

    let without_label = [
        host(None, "a", Value::Counter(1)),
        host(Some(""), "a", Value::Counter(2)),
    ];
    assert_eq!(samples(&without_label), ["a 1", "a_2 2"]);
}

#[test]
fn sums_and_counts_of_any_size() {
    let with = |counts, scale| {
        let value = Value::Histogram {
            bounds: &BOUNDS[..1],
            counts,
            sum: u64::MAX,
            scale,
        };
        samples(&[series("p", "a", value)])
    };
    assert_eq!(
        with(&[u64::MAX, 1], 1.0),
        [
            r#"a_bucket{plugin="p",le="0.5"} 18446744073709551615"#,
            r#"a_bucket{plugin="p",le="+Inf"} 18446744073709551615"#,
            r#"a_sum{plugin="p"} 18446744073709552000"#,
            r#"a_count{plugin="p"} 18446744073709551615"#,
        ]
    );
    assert_eq!(with(&[], 1e9).len(), 3);
}

#[test]
fn many_names_that_become_the_same() {
    // None of the bytes is valid.
    let names: Vec<[u8; 3]> = (0..20_000_u32)
        .map(|i| [10, 5, 0].map(|shift| (i >> shift & 31) as u8))
        .collect();
    let list: Vec<Series<'_>> = names
        .iter()
        .map(|name| Series {
            plugin: Some(b"p"),
            name: Name::Plugin(name),
            value: Value::Counter(1),
        })
        .collect();
    check(&render(&list), list.len());
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }

    /// Few letters, so that names meet often.
    fn bytes(&mut self, max: u64) -> Vec<u8> {
        (0..self.below(max + 1))
            .flat_map(|_| match self.below(20) {
                0 => vec![self.below(256) as u8],
                1 => "ü".into(),
                2 => b"_sum".into(),
                3 => b"_count".into(),
                4 => b"_bucket".into(),
                5 => b"_2".into(),
                _ => vec![b"ab._2:\n\\\" "[self.below(10) as usize]],
            })
            .collect()
    }
}

#[test]
fn any_names() {
    const HOST: [&str; 6] = ["a", "b_sum", "a_2", "ab_count", "_b", "a_a_bucket"];

    let mut random = Random(1);
    for _ in 0..2000 {
        let metrics: Vec<_> = (0..random.below(60))
            .map(|_| {
                let kind = random.below(3);
                let host = random.below(8) == 0;
                (random.bytes(2), random.bytes(3), kind, host)
            })
            .collect();
        let list: Vec<Series<'_>> = metrics
            .iter()
            .zip(0..)
            .map(|((plugin, raw, kind, host), i)| Series {
                plugin: (!plugin.is_empty()).then_some(plugin),
                name: if *host {
                    Name::Host {
                        name: HOST[raw.len() % HOST.len()],
                        help: "Help.",
                    }
                } else {
                    Name::Plugin(raw)
                },
                value: match kind {
                    0 => Value::Counter(i),
                    1 => Value::Gauge(-(i as i64)),
                    _ => Value::Histogram {
                        bounds: &BOUNDS,
                        counts: &[1, 5, 0, 2],
                        sum: i,
                        scale: 1e3,
                    },
                },
            })
            .collect();
        let text = render(&list);
        check(&text, list.len());
        assert_eq!(text, render(&list));
    }
}
