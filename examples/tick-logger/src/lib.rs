//! Logs how many requests came since the last time, and tells a collector. README.md says what can be configured.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};
use serde::Deserialize;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::<TickLogger>::default());
}}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// How often.
    period_ms: u32,
    /// Who is told besides the log, if anybody.
    collector: Option<Collector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Collector {
    /// The service, as `proxy_http_call` takes it.
    upstream: String,
    path: String,
}

#[derive(Default)]
struct TickLogger {
    config: Config,
    /// Requests that ended since the last tick.
    requests: Rc<Cell<u64>>,
}

impl RootContext for TickLogger {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match serde_json::from_slice(&text) {
            Ok(config) => self.config = config,
            Err(error) => {
                log::error!("bad configuration: {error}");
                return false;
            }
        }
        self.set_tick_period(Duration::from_millis(self.config.period_ms.into()));
        true
    }

    fn on_tick(&mut self) {
        let requests = self.requests.take();
        log::info!("{requests} requests in {} ms", self.config.period_ms);
        if let Some(collector) = &self.config.collector {
            self.post(collector, requests);
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Counter {
            requests: Rc::clone(&self.requests),
        }))
    }
}

impl Context for TickLogger {
    fn on_http_call_response(&mut self, _: u32, headers: usize, _: usize, _: usize) {
        if headers == 0 {
            let reason = self.get_property(vec!["wasm", "http_call", "error"]);
            let reason = reason.unwrap_or_default();
            log::warn!(
                "no answer from the collector: {}",
                String::from_utf8_lossy(&reason)
            );
            return;
        }
        match self.get_http_call_response_header(":status") {
            Some(status) if status.starts_with('2') => {}
            status => log::warn!("the collector answered {}", status.unwrap_or_default()),
        }
    }
}

impl TickLogger {
    fn post(&self, collector: &Collector, requests: u64) {
        let body = serde_json::json!({ "requests": requests, "period_ms": self.config.period_ms });
        let headers = vec![
            (":method", "POST"),
            (":path", &collector.path),
            ("content-type", "application/json"),
        ];
        let body = body.to_string();
        let timeout = Duration::from_secs(5);
        if let Err(status) = self.dispatch_http_call(
            &collector.upstream,
            headers,
            Some(body.as_bytes()),
            vec![],
            timeout,
        ) {
            log::warn!("the collector cannot be called: {status:?}");
        }
    }
}

/// One request.
struct Counter {
    requests: Rc<Cell<u64>>,
}

impl Context for Counter {}

impl HttpContext for Counter {
    fn on_log(&mut self) {
        self.requests.set(self.requests.get() + 1);
    }
}
