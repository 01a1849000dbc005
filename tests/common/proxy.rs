//! A plugin that is configured, and its requests.

use std::rc::Rc;
use std::time::Duration;

use resty_proxy_wasm::plugin::background::next_tick;
use resty_proxy_wasm::plugin::{BodyOutcome, Options, Plugin, PluginContext, Stream, Waiting};

use super::{TestHost, TestStream, configure, load_on, plugin_text, run_queues};

pub const CALL_AND_PAUSE: (char, &str) = ('H', "(call $http) i32.const 1");
pub const GO_ON: &str = "(call $go_on (i32.const 2))";
pub const PAUSE: Duration = Duration::from_secs(60);

/// A plugin with one plugin context. Nothing is in the log yet.
pub struct Proxy {
    pub host: Rc<TestHost>,
    pub context: Rc<PluginContext>,
    pub plugin: Rc<Plugin>,
}

impl Proxy {
    pub fn new(changed: &[(char, &str)]) -> Self {
        Self::with(&plugin_text(changed), Waiting::default())
    }

    pub fn with(text: &str, waiting: Waiting) -> Self {
        // Another test may have run on this thread.
        while next_tick().is_some() {}
        run_queues();
        let host = Rc::new(TestHost::default());
        let options = Options {
            waiting,
            ..Options::default()
        };
        let plugin = load_on(&host, text, options).unwrap_or_else(|e| panic!("{e}"));
        let context = configure(&plugin).unwrap_or_else(|e| panic!("{e}"));
        host.log.take();
        Self {
            host,
            context,
            plugin,
        }
    }

    pub fn request(&self, has_body: bool) -> (Stream, Rc<TestStream>) {
        let http = Rc::new(TestStream {
            log: Rc::clone(&self.host.log),
            has_body,
            ..TestStream::default()
        });
        let shared = Rc::<TestStream>::clone(&http);
        let stream = Stream::new(Rc::clone(&self.context), shared);
        (stream.unwrap_or_else(|e| panic!("{e}")), http)
    }

    /// A request without a body whose headers the plugin has seen; what it said is not in the log.
    pub fn begun(&self) -> (Stream, Rc<TestStream>) {
        let (stream, http) = self.request(false);
        stream.on_request_headers().unwrap();
        self.log();
        (stream, http)
    }

    pub fn log(&self) -> String {
        self.host.log.take()
    }
}

pub fn resume(stream: &Stream) -> BodyOutcome {
    stream.resume(&mut Vec::new()).unwrap()
}
