//! A plugin's life: plugin contexts and requests that begin and end, bodies, ticks, and what becomes of calls, in any order.

use std::rc::Rc;
use std::time::Duration;

use resty_proxy_wasm::abi::host::{CallEvent, CallId, Fields};
use resty_proxy_wasm::abi::vm::Bounds;
use resty_proxy_wasm::engine::Limits;
use resty_proxy_wasm::plugin::{
    Allowance, BodyOutcome, CrashLimit, Options, Plugin, PluginContext, Stream, Waiting,
    background, process,
};

use crate::Input;
use crate::host::AnyHost;
use crate::stream::AnyStream;

/// Enough for what the input can say, and an end for an input that a guest never uses up.
const MAX_STEPS: usize = 64;

/// What a plugin is loaded with: limits that are reached.
pub fn options(input: &Input, vm: Limits) -> Options {
    let root_id = input.flag().then(|| input.bytes());
    Options {
        root_id,
        vm_config: input.bytes(),
        vm_id: input.bytes(),
        env: vec![("NAME".into(), "value".into()); input.below(3)],
        limits: Allowance {
            vm,
            callback: vm.time,
            instances: 1 + input.below(3),
            renew: input.flag().then(|| input.u32().into()),
        },
        bounds: Bounds {
            streams: 1 + input.below(6),
            body: input.u16().into(),
            records: input.byte().into(),
        },
        waiting: Waiting {
            for_calls: input.flag(),
            pause: Duration::from_millis(input.byte().into()),
        },
        crashes: CrashLimit {
            crashes: (!input.flag()).then_some(u32::from(input.byte())),
            window: Duration::from_secs(1),
        },
        cache: None,
    }
}

struct Life<'a> {
    input: &'a Input,
    plugin: Rc<Plugin>,
    host: &'a AnyHost,
    contexts: Vec<Rc<PluginContext>>,
    streams: Vec<Stream>,
    out: Vec<u8>,
}

/// Lives until the input is used up; then all that is there ends.
pub fn run(plugin: Plugin, host: &AnyHost, input: &Input) {
    let mut life = Life {
        input,
        plugin: Rc::new(plugin),
        host,
        contexts: Vec::new(),
        streams: Vec::new(),
        out: Vec::new(),
    };
    life.configure();
    life.begin();
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        life.step();
    }
    life.end();
    // What a thread remembers is not for the next input.
    while background::next_tick().is_some() {}
    background::run_queues(|_| false, |_| ());
    assert!(!background::has_queues() && !background::awaits_end());
}

impl Life<'_> {
    fn step(&mut self) {
        match self.input.below(24) {
            0 => self.configure(),
            1 | 2 => self.begin(),
            3 => {
                if !self.contexts.is_empty() {
                    let at = self.input.below(self.contexts.len());
                    self.contexts.swap_remove(at);
                }
            }
            4 | 5 => {
                if !self.streams.is_empty() {
                    let at = self.input.below(self.streams.len());
                    self.streams.swap_remove(at).finish();
                }
            }
            6..=8 => self.deliver(),
            9 => {
                let number = self.input.byte();
                while let Some(tick) = background::next_tick() {
                    background::tick(tick.context);
                }
                background::tick(number.into());
            }
            10 => {
                background::run_queues(|_| self.input.below(4) != 0, |_| ());
            }
            11 => {
                background::start_contexts();
                background::awaits_end();
            }
            12 if self.input.below(8) == 0 => process::forked(),
            _ => self.callback(),
        }
    }

    fn configure(&mut self) {
        let config = self.input.bytes();
        if let Ok(context) = PluginContext::new(Rc::clone(&self.plugin), &config) {
            self.contexts.push(context);
        }
    }

    fn begin(&mut self) {
        if self.contexts.is_empty() {
            return;
        }
        let context = Rc::clone(&self.contexts[self.input.below(self.contexts.len())]);
        let stream = Stream::new(context, Rc::new(AnyStream::new(self.input)));
        self.streams.extend(stream);
    }

    /// Some callback of some request.
    fn callback(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let stream = &self.streams[self.input.below(self.streams.len())];
        let callback = self.input.below(8);
        let out = &mut self.out;
        let outcome = match callback {
            0 | 1 => stream.on_request_headers().map(|()| None),
            2 => stream.on_response_headers().map(|()| None),
            3 | 4 => {
                let chunk = (self.input.byte() > 8).then(|| self.input.bytes());
                let end = self.input.flag();
                stream
                    .on_request_body(chunk.as_deref(), end, out)
                    .map(|outcome| Some((outcome, end)))
            }
            5 | 6 => {
                let (chunk, end) = (self.input.bytes(), self.input.flag());
                stream
                    .on_response_body(&chunk, end, out)
                    .map(|outcome| Some((outcome, end)))
            }
            _ => stream.resume(out).map(|_| None),
        };
        if let Ok(Some((BodyOutcome::Hold, true))) = outcome {
            assert!(
                stream.wait().is_some(),
                "the end of a body is held for ever"
            );
        }
    }

    /// Something becomes of a call, or of none.
    fn deliver(&self) {
        let known = self.host.calls.borrow();
        let at = self.input.below(known.len() + 1);
        let id = known.get(at).copied();
        drop(known);
        let id = id.unwrap_or_else(|| CallId {
            vm: self.input.byte().into(),
            token: self.input.byte().into(),
        });
        let fields = || -> Fields {
            let field = |_| (self.input.bytes(), self.input.bytes());
            (0..self.input.below(4)).map(field).collect()
        };
        let event = match self.input.below(8) {
            0..=2 => CallEvent::Response {
                headers: fields(),
                body: self.input.bytes(),
                trailers: fields(),
            },
            3 => CallEvent::Failed {
                reason: String::from_utf8_lossy(&self.input.bytes()).into_owned(),
            },
            4 => CallEvent::InitialMetadata(fields()),
            5 => CallEvent::Message(self.input.bytes()),
            6 => CallEvent::TrailingMetadata(fields()),
            _ => CallEvent::Closed {
                status: self.input.byte().into(),
                message: self.input.bytes(),
                answered: self.input.flag(),
            },
        };
        background::deliver(id, event);
    }

    fn end(self) {
        let context_goes_first = self.input.flag();
        if context_goes_first {
            drop(self.contexts);
            drop(self.plugin);
        }
        for stream in self.streams {
            stream.finish();
        }
    }
}
