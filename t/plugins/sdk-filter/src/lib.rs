//! A filter as people write them: on the SDK, with one rule to a line of the configuration, and an `unwrap` wherever
//! something ought not to fail.
//!
//! | line | does |
//! |---|---|
//! | `deny=PATH` | answers requests for PATH with 403, the body `denied` and the header `powered-by: proxy-wasm` |
//! | `add_request=NAME:VALUE` | adds a request header |
//! | `rewrite_path=FROM:TO` | replaces a path that is exactly FROM |
//! | `replace_request_body=TEXT` | waits for the whole body, then replaces it |
//! | `add_response=NAME:VALUE` | adds a response header |
//! | `remove_response=NAME` | removes a response header |
//! | `replace_response_body=TEXT` | removes `content-length`, waits for the whole body, then replaces it |
//! | `log=TEXT` | logs TEXT and the request's path in `on_log` |

use std::rc::Rc;

use log::info;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Root { rules: Rc::default() }));
}}

enum Rule {
    Deny(String),
    AddRequest(String, String),
    RewritePath(String, String),
    ReplaceRequestBody(String),
    AddResponse(String, String),
    RemoveResponse(String),
    ReplaceResponseBody(String),
    Log(String),
}

impl Rule {
    fn parse(line: &str) -> Self {
        let (name, value) = line.split_once('=').unwrap();
        let pair = || {
            let (first, second) = value.split_once(':').unwrap();
            (first.to_owned(), second.to_owned())
        };
        match name {
            "deny" => Self::Deny(value.into()),
            "add_request" => {
                let (name, value) = pair();
                Self::AddRequest(name, value)
            }
            "rewrite_path" => {
                let (from, to) = pair();
                Self::RewritePath(from, to)
            }
            "replace_request_body" => Self::ReplaceRequestBody(value.into()),
            "add_response" => {
                let (name, value) = pair();
                Self::AddResponse(name, value)
            }
            "remove_response" => Self::RemoveResponse(value.into()),
            "replace_response_body" => Self::ReplaceResponseBody(value.into()),
            "log" => Self::Log(value.into()),
            _ => panic!("no such rule: {name}"),
        }
    }
}

struct Root {
    rules: Rc<Vec<Rule>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        if size > 0 {
            let text = String::from_utf8(self.get_plugin_configuration().unwrap()).unwrap();
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            self.rules = Rc::new(lines.map(Rule::parse).collect());
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter {
            rules: Rc::clone(&self.rules),
            path: String::new(),
            request_body: 0,
            response_body: 0,
        }))
    }
}

struct Filter {
    rules: Rc<Vec<Rule>>,
    path: String,
    request_body: usize,
    response_body: usize,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, count: usize, _: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap();
        assert_eq!(self.get_http_request_headers().len(), count);

        for rule in &*Rc::clone(&self.rules) {
            match rule {
                Rule::Deny(path) if *path == self.path => {
                    self.send_http_response(
                        403,
                        vec![("powered-by", "proxy-wasm")],
                        Some(b"denied"),
                    );
                    return Action::Pause;
                }
                Rule::AddRequest(name, value) => self.add_http_request_header(name, value),
                Rule::RewritePath(from, to) if *from == self.path => {
                    self.set_http_request_header(":path", Some(to));
                }
                Rule::ReplaceRequestBody(_) => self.set_http_request_header("content-length", None),
                _ => {}
            }
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        for rule in &*Rc::clone(&self.rules) {
            if let Rule::ReplaceRequestBody(text) = rule {
                if !end_of_stream {
                    return Action::Pause;
                }
                self.request_body = self
                    .get_http_request_body(0, size)
                    .map_or(0, |body| body.len());
                self.set_http_request_body(0, size, text.as_bytes());
            }
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        for rule in &*Rc::clone(&self.rules) {
            match rule {
                Rule::AddResponse(name, value) => self.add_http_response_header(name, value),
                Rule::RemoveResponse(name) => self.set_http_response_header(name, None),
                Rule::ReplaceResponseBody(_) => {
                    self.set_http_response_header("content-length", None)
                }
                _ => {}
            }
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        for rule in &*Rc::clone(&self.rules) {
            if let Rule::ReplaceResponseBody(text) = rule {
                if !end_of_stream {
                    return Action::Pause;
                }
                self.response_body = self
                    .get_http_response_body(0, size)
                    .map_or(0, |body| body.len());
                self.set_http_response_body(0, size, text.as_bytes());
            }
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        for rule in &*self.rules {
            if let Rule::Log(text) = rule {
                let (path, request, response) = (&self.path, self.request_body, self.response_body);
                info!(
                    "{text}: {path}, replaced {request} bytes of request and {response} of response"
                );
            }
        }
    }
}
