//! Asks another service whether a request may pass. README.md says what can be configured.

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use serde::Deserialize;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(ForwardAuthRoot { config: Rc::default() }));
}}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The service, as `proxy_http_call` takes it.
    upstream: String,
    #[serde(default = "slash")]
    path: String,
    /// 0 is the proxy's own.
    #[serde(default)]
    timeout_ms: u32,
    /// Headers of the client's that the service is shown.
    #[serde(default)]
    request_headers: Vec<String>,
    /// Headers of the service's that the request goes on with.
    #[serde(default)]
    upstream_headers: Vec<String>,
    /// Headers of the service's that the client is refused with.
    #[serde(default)]
    client_headers: Vec<String>,
    #[serde(default)]
    on_error: OnError,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum OnError {
    #[default]
    Deny,
    Allow,
}

fn slash() -> String {
    "/".into()
}

/// Those of `headers` that are in `names`.
fn chosen(
    headers: Vec<(String, Vec<u8>)>,
    names: &[String],
) -> impl Iterator<Item = (String, Vec<u8>)> {
    headers
        .into_iter()
        .filter(|(header, _)| names.iter().any(|name| name.eq_ignore_ascii_case(header)))
}

struct ForwardAuthRoot {
    config: Rc<Config>,
}

impl Context for ForwardAuthRoot {}

impl RootContext for ForwardAuthRoot {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match serde_json::from_slice(&text) {
            Ok(config) => self.config = Rc::new(config),
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
        Some(Box::new(ForwardAuth {
            config: Rc::clone(&self.config),
        }))
    }
}

struct ForwardAuth {
    config: Rc<Config>,
}

impl HttpContext for ForwardAuth {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let headers = self.question();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let timeout = Duration::from_millis(self.config.timeout_ms.into());
        match self.dispatch_http_call(
            &self.config.upstream,
            headers.collect(),
            None,
            vec![],
            timeout,
        ) {
            Ok(_) => Action::Pause,
            Err(status) => self.failed(&format!("{status:?}")),
        }
    }
}

impl Context for ForwardAuth {
    fn on_http_call_response(&mut self, _: u32, headers: usize, body_size: usize, _: usize) {
        // There are always some in an answer.
        if headers == 0 {
            let reason = self.get_property(vec!["wasm", "http_call", "error"]);
            let reason =
                String::from_utf8_lossy(reason.as_deref().unwrap_or_default()).into_owned();
            if self.failed(&reason) == Action::Continue {
                self.resume_http_request();
            }
            return;
        }

        let status = self.get_http_call_response_header(":status");
        let status = status.and_then(|status| status.parse().ok()).unwrap_or(500);
        if (200..300).contains(&status) {
            self.admit();
            self.resume_http_request();
        } else {
            self.refuse(status, body_size);
        }
    }
}

impl ForwardAuth {
    /// What the service is told about the request.
    fn question(&self) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let header = |name| self.get_http_request_header_bytes(name).map(text);
        let property = |path| self.get_property(path).map(text);
        let known = [
            (":method", Some("GET".into())),
            (":path", Some(self.config.path.clone())),
            ("x-forwarded-proto", property(vec!["request", "scheme"])),
            ("x-forwarded-method", header(":method")),
            ("x-forwarded-host", header(":authority")),
            ("x-forwarded-uri", header(":path")),
            (
                "x-forwarded-for",
                property(vec!["source", "address"]).map(without_port),
            ),
        ];
        let known = known
            .into_iter()
            .filter_map(|(name, value)| Some((name.into(), value?)));
        let clients = chosen(
            self.get_http_request_headers_bytes(),
            &self.config.request_headers,
        )
        .map(|(name, value)| (name, text(value)));
        known.chain(clients).collect()
    }

    fn admit(&self) {
        self.forget();
        let headers = self.get_http_call_response_headers_bytes();
        for (name, value) in chosen(headers, &self.config.upstream_headers) {
            self.add_http_request_header_bytes(&name, &value);
        }
    }

    /// What a client sends under the service's names is not to be taken for the service's word.
    fn forget(&self) {
        for name in &self.config.upstream_headers {
            self.remove_http_request_header(name);
        }
    }

    fn refuse(&self, status: u32, body_size: usize) {
        let headers: Vec<_> = chosen(
            self.get_http_call_response_headers_bytes(),
            &self.config.client_headers,
        )
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let body = self.get_http_call_response_body(0, body_size);
        self.send_http_response(status, headers.collect(), body.as_deref());
    }

    /// The service said nothing.
    fn failed(&self, reason: &str) -> Action {
        log::error!("no answer from {}: {reason}", self.config.upstream);
        if self.config.on_error == OnError::Allow {
            self.forget();
            return Action::Continue;
        }
        self.send_http_response(503, vec![], None);
        Action::Pause
    }
}

/// `127.0.0.1` of `127.0.0.1:1234`, `::1` of `[::1]:1234`.
fn without_port(address: String) -> String {
    let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host);
    host.trim_matches(['[', ']']).into()
}
