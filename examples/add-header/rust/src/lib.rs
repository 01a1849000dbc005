//! Adds the response header `hello` with the plugin's configuration, or `world!` when that is empty.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(AddHeaderRoot { greeting: "world!".into() }));
}}

struct AddHeaderRoot {
    greeting: String,
}

impl Context for AddHeaderRoot {}

impl RootContext for AddHeaderRoot {
    fn on_configure(&mut self, _: usize) -> bool {
        match self.get_plugin_configuration().map(String::from_utf8) {
            Some(Ok(greeting)) if !greeting.is_empty() => self.greeting = greeting,
            Some(Err(_)) => return false,
            _ => {}
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(AddHeader {
            greeting: self.greeting.clone(),
        }))
    }
}

struct AddHeader {
    greeting: String,
}

impl Context for AddHeader {}

impl HttpContext for AddHeader {
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.add_http_response_header("hello", &self.greeting);
        Action::Continue
    }
}
