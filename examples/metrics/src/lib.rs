//! Measures requests, for Prometheus. README.md lists the metrics.

use std::rc::Rc;
use std::time::SystemTime;

use proxy_wasm::hostcalls::{define_metric, increment_metric, record_metric};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MetricType, Status};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::<MetricsRoot>::default());
}}

const RESPONSES: [&str; 5] = [
    "responses_1xx_total",
    "responses_2xx_total",
    "responses_3xx_total",
    "responses_4xx_total",
    "responses_5xx_total",
];

/// Their numbers.
#[derive(Default)]
struct Metrics {
    /// By the first digit of the status, from 1.
    responses: [u32; RESPONSES.len()],
    in_flight: u32,
    milliseconds: u32,
}

impl Metrics {
    fn define() -> Result<Self, Status> {
        let mut responses = [0; RESPONSES.len()];
        for (id, name) in responses.iter_mut().zip(RESPONSES) {
            *id = define_metric(MetricType::Counter, name)?;
        }
        Ok(Self {
            responses,
            in_flight: define_metric(MetricType::Gauge, "requests_in_flight")?,
            milliseconds: define_metric(MetricType::Histogram, "request_milliseconds")?,
        })
    }
}

#[derive(Default)]
struct MetricsRoot {
    metrics: Rc<Metrics>,
}

impl Context for MetricsRoot {}

impl RootContext for MetricsRoot {
    fn on_configure(&mut self, _: usize) -> bool {
        // Where there is no room the SDK panics, and nginx does not start.
        match Metrics::define() {
            Ok(metrics) => self.metrics = Rc::new(metrics),
            Err(_) => return false,
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request {
            metrics: Rc::clone(&self.metrics),
            begun: None,
        }))
    }
}

struct Request {
    metrics: Rc<Metrics>,
    /// When its headers came. Those that nginx answers before the access phase are not measured.
    begun: Option<SystemTime>,
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.begun = Some(self.get_current_time());
        let _ = increment_metric(self.metrics.in_flight, 1);
        Action::Continue
    }

    fn on_log(&mut self) {
        let Some(begun) = self.begun else { return };
        let _ = increment_metric(self.metrics.in_flight, -1);

        // 0 where the clock was set back.
        let passed = self.get_current_time().duration_since(begun);
        let passed = passed.unwrap_or_default().as_millis();
        let _ = record_metric(self.metrics.milliseconds, passed as u64);

        let class = self.class();
        if let Some(id) = class.and_then(|class| self.metrics.responses.get(class)) {
            let _ = increment_metric(*id, 1);
        }
    }
}

impl Request {
    /// 0 for 1xx. A request that was broken off may have no status.
    fn class(&self) -> Option<usize> {
        let status = self.get_http_response_header(":status")?;
        let digit = status.chars().next()?.to_digit(10)?;
        (digit as usize).checked_sub(1)
    }
}
