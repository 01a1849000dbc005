//! Each kind of hostcall, as a plugin's loop makes it. The row `none` is the loop alone.

use std::fmt;

use divan::Bencher;
use divan::counter::ItemsCount;
use resty_proxy_wasm::plugin::BodyOutcome;

use crate::guest::{Call, calling};
use crate::proxy::Proxy;

/// Calls in one callback. A plugin may change the headers of a request no more than four times as often.
const TIMES: usize = 1000;

/// What one benchmark's plugin does. Answers that fit into 128 bytes go to where memory begins.
struct Row {
    name: &'static str,
    /// When it is configured.
    setup: &'static [Call],
    calls: &'static [Call],
    /// What each call has to answer.
    status: u32,
    /// Bytes of the body that it has.
    body: usize,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

const fn row(name: &'static str, calls: &'static [Call]) -> Row {
    Row {
        name,
        setup: &[],
        calls,
        status: 0,
        body: 64,
    }
}

const LARGE: usize = 64 << 10;
const DEFINE: Call = Call("env.proxy_define_metric", "0 NAME 64");
const REGISTER: Call = Call("env.proxy_register_shared_queue", "NAME 64");
const SET: Call = Call("env.proxy_set_shared_data", "NAME VALUE 0");

/// The maps are of request headers (0), the buffers of the request's body (0).
const ROWS: [Row; 27] = [
    row("none", &[]),
    row(
        "proxy_log, below the level",
        &[Call("env.proxy_log", "2 VALUE")],
    ),
    row(
        "proxy_get_log_level",
        &[Call("env.proxy_get_log_level", "0")],
    ),
    row(
        "proxy_get_current_time_nanoseconds",
        &[Call("env.proxy_get_current_time_nanoseconds", "0")],
    ),
    row(
        "proxy_get_header_map_value, the last of 8",
        &[Call("env.proxy_get_header_map_value", "0 HEADER 0 4")],
    ),
    Row {
        status: 1,
        ..row(
            "proxy_get_header_map_value, not there",
            &[Call("env.proxy_get_header_map_value", "0 NO-HEADER 0 4")],
        )
    },
    row(
        "proxy_get_header_map_pairs, 8",
        &[Call("env.proxy_get_header_map_pairs", "0 0 4")],
    ),
    row(
        "proxy_add_header_map_value",
        &[Call("env.proxy_add_header_map_value", "0 NAME VALUE")],
    ),
    row(
        "proxy_replace_header_map_value",
        &[Call("env.proxy_replace_header_map_value", "0 HEADER VALUE")],
    ),
    row(
        "proxy_remove_header_map_value, not there",
        &[Call("env.proxy_remove_header_map_value", "0 NO-HEADER")],
    ),
    row(
        "proxy_get_buffer_bytes, 64 B",
        &[Call("env.proxy_get_buffer_bytes", "0 0 64 0 4")],
    ),
    Row {
        body: LARGE,
        ..row(
            "proxy_get_buffer_bytes, 64 KiB",
            &[Call("env.proxy_get_buffer_bytes", "0 0 65536 0 4")],
        )
    },
    row(
        "proxy_set_buffer_bytes, 64 B",
        &[Call("env.proxy_set_buffer_bytes", "0 0 64 VALUE")],
    ),
    Row {
        body: LARGE,
        ..row(
            "proxy_set_buffer_bytes, 64 KiB",
            &[Call("env.proxy_set_buffer_bytes", "0 0 65536 LARGE")],
        )
    },
    row(
        "proxy_get_property",
        &[Call("env.proxy_get_property", "PROPERTY 0 4")],
    ),
    row(
        "proxy_set_property",
        &[Call("env.proxy_set_property", "PROPERTY VALUE")],
    ),
    row(
        "proxy_set_property, the plugin's own",
        &[Call("env.proxy_set_property", "OWN-PROPERTY VALUE")],
    ),
    Row {
        setup: &[SET],
        ..row(
            "proxy_get_shared_data, 64 B",
            &[Call("env.proxy_get_shared_data", "NAME 0 4 8")],
        )
    },
    row("proxy_set_shared_data, 64 B", &[SET]),
    Row {
        setup: &[REGISTER],
        ..row(
            "proxy_enqueue_shared_queue and dequeue, 64 B",
            &[
                Call("env.proxy_enqueue_shared_queue", "@64 VALUE"),
                Call("env.proxy_dequeue_shared_queue", "@64 0 4"),
            ],
        )
    },
    Row {
        setup: &[DEFINE],
        ..row(
            "proxy_increment_metric",
            &[Call("env.proxy_increment_metric", "@64 1L")],
        )
    },
    Row {
        setup: &[DEFINE],
        ..row("proxy_get_metric", &[Call("env.proxy_get_metric", "@64 0")])
    },
    row(
        "clock_time_get",
        &[Call("wasi_snapshot_preview1.clock_time_get", "1 1L 0")],
    ),
    row(
        "random_get, 32 B",
        &[Call("wasi_snapshot_preview1.random_get", "0 32")],
    ),
    row(
        "environ_sizes_get",
        &[Call("wasi_snapshot_preview1.environ_sizes_get", "0 4")],
    ),
    row(
        "fd_write, nothing",
        &[Call("wasi_snapshot_preview1.fd_write", "1 0 0 4")],
    ),
    Row {
        status: 12,
        ..row("unknown", &[Call("env.proxy_unknown", "0 0")])
    },
];

#[divan::bench(args = &ROWS, sample_size = 1)]
fn hostcall(bencher: Bencher, row: &Row) {
    let proxy = Proxy::new(&calling(row.setup, row.calls, TIMES, row.status));
    let body = vec![b'x'; row.body];
    let mut out = Vec::new();
    bencher
        .counter(ItemsCount::new(TIMES))
        .with_inputs(|| proxy.request())
        .bench_local_refs(|request| -> BodyOutcome {
            let outcome = request.on_request_body(Some(&body), true, &mut out);
            outcome.unwrap_or_else(|e| panic!("{e}"))
        });
}
