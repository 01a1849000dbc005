//! Does what its configuration says, one word: `nothing`; `add` adds the response header `hello: world`; `read` reads all request
//! headers; `body` puts the response's body in capitals.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { work: Work::Nothing }));
}}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Nothing,
    Add,
    Read,
    Body,
}

struct Root {
    work: Work,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.work = match self.get_plugin_configuration().as_deref() {
            Some(b"nothing") => Work::Nothing,
            Some(b"add") => Work::Add,
            Some(b"read") => Work::Read,
            Some(b"body") => Work::Body,
            _ => return false,
        };
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { work: self.work }))
    }
}

struct Filter {
    work: Work,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if self.work == Work::Read {
            assert!(!self.get_http_request_headers().is_empty());
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.work == Work::Add {
            self.add_http_response_header("hello", "world");
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        if self.work != Work::Body {
            return Action::Continue;
        }
        if !end_of_stream {
            return Action::Pause;
        }
        if let Some(mut body) = self.get_http_response_body(0, body_size) {
            body.make_ascii_uppercase();
            self.set_http_response_body(0, body_size, &body);
        }
        Action::Continue
    }
}
