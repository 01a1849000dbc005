//! Lets each client have so many requests in a window of time, counted over all workers. README.md says what can be configured.

mod window;

use std::cell::Cell;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use serde::Deserialize;

use window::{Counted, Error};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::<RateLimitRoot>::default());
}}

/// More of what tells clients apart is cut off: a key that the store refuses for its length would not be counted.
const MAX_CLIENT: usize = 1024;

/// How often the log is told of requests that were not counted.
const WARN_EVERY: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Requests that pass in a window.
    limit: u64,
    window_seconds: NonZeroU64,
    #[serde(default)]
    key: Key,
    /// Limiters of the same zone count together.
    #[serde(default = "main_zone")]
    zone: String,
    #[serde(default)]
    on_error: OnError,
}

/// What tells clients apart.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Header(String),
    Property(String),
}

impl Default for Key {
    fn default() -> Self {
        Self::Property("remote_addr".into())
    }
}

/// What becomes of a request that cannot be counted.
#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum OnError {
    #[default]
    Allow,
    Deny,
}

fn main_zone() -> String {
    "main".into()
}

#[derive(Default)]
struct RateLimitRoot {
    limiter: Option<Rc<Limiter>>,
}

impl Context for RateLimitRoot {}

impl RootContext for RateLimitRoot {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match serde_json::from_slice(&text) {
            Ok(config) => self.limiter = Some(Rc::new(Limiter::new(config))),
            Err(error) => {
                log::error!("bad configuration: {error}");
                return false;
            }
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(RateLimit {
            limiter: Rc::clone(self.limiter.as_ref()?),
            counted: None,
        }))
    }
}

struct Limiter {
    config: Config,
    /// Requests that were not counted since the log was told, and when it was.
    uncounted: Cell<u64>,
    warned: Cell<Option<SystemTime>>,
}

impl Limiter {
    fn new(config: Config) -> Self {
        Self {
            config,
            uncounted: Cell::default(),
            warned: Cell::default(),
        }
    }

    fn warn(&self, error: &Error, now: SystemTime) {
        self.uncounted.set(self.uncounted.get() + 1);
        let recently = self.warned.get().is_some_and(|then| {
            now.duration_since(then)
                .is_ok_and(|passed| passed < WARN_EVERY)
        });
        if recently {
            return;
        }
        self.warned.set(Some(now));
        let uncounted = self.uncounted.take();
        let why = match error {
            Error::Full => "the store is full",
            Error::Busy => "other workers count too fast",
        };
        log::warn!("requests that could not be counted: {uncounted}; {why}");
    }
}

struct RateLimit {
    limiter: Rc<Limiter>,
    /// What the response tells the client.
    counted: Option<Counted>,
}

impl Context for RateLimit {}

impl HttpContext for RateLimit {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let config = &self.limiter.config;
        let key = format!(
            "rate-limit/{}/{}/{}",
            config.zone,
            config.window_seconds,
            self.client()
        );
        match window::count(&key, config.limit, config.window_seconds) {
            Ok(counted) if counted.passes => self.counted = Some(counted),
            Ok(counted) => {
                self.refuse(&counted);
                return Action::Pause;
            }
            Err(error) => {
                self.limiter.warn(&error, self.get_current_time());
                if config.on_error == OnError::Deny {
                    self.send_http_response(503, vec![], None);
                    return Action::Pause;
                }
            }
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(counted) = &self.counted {
            for (name, value) in self.told(counted) {
                self.set_http_response_header(name, Some(&value));
            }
        }
        Action::Continue
    }
}

impl RateLimit {
    /// What tells this client from others; nothing where the request does not have it.
    fn client(&self) -> String {
        let mut client = match &self.limiter.config.key {
            Key::Header(name) => self.get_http_request_header_bytes(name),
            Key::Property(path) => self.get_property(path.split('.').collect()),
        }
        .unwrap_or_default();
        client.truncate(MAX_CLIENT);
        String::from_utf8_lossy(&client).into_owned()
    }

    fn refuse(&self, counted: &Counted) {
        let told = self.told(counted);
        let reset = counted.reset.to_string();
        let mut headers = vec![("retry-after", &*reset)];
        headers.extend(told.iter().map(|(name, value)| (*name, &**value)));
        self.send_http_response(429, headers, None);
    }

    fn told(&self, counted: &Counted) -> [(&'static str, String); 3] {
        [
            ("x-ratelimit-limit", self.limiter.config.limit.to_string()),
            ("x-ratelimit-remaining", counted.remaining.to_string()),
            ("x-ratelimit-reset", counted.reset.to_string()),
        ]
    }
}
