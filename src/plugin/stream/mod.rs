mod wait;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::{Error, PluginContext, Vm};
use crate::abi::contexts::{ContextKind, StreamContext};
use crate::abi::host::{Event, HeaderMap, HttpStream, LocalResponse};
use crate::abi::log;
use crate::abi::types::{AbiVersion, LogLevel};
use crate::abi::vm::Phase;
use crate::abi::{Action, Body};
use wait::{Last, Paused};

/// What becomes of the body, or the chunk of it, that a plugin was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOutcome {
    /// It goes on as it is.
    Pass,
    /// These bytes go on instead.
    Replace,
    /// Nothing goes on now.
    Hold,
}

/// One request in one plugin: a stream context, bound to the VM that it began on.
pub struct Stream {
    context: Rc<PluginContext>,
    vm: Rc<Vm>,
    id: u32,
    http: Rc<dyn HttpStream>,
    paused: Cell<Option<Paused>>,
    /// The callback after which the request waits, or would.
    last: Cell<Last>,
    wait: Cell<Option<Duration>>,
    reported: Cell<bool>,
    /// The plugin sees no more of the response's body.
    deaf: Cell<bool>,
}

const PAYLOAD_TOO_LARGE: u32 = 413;

/// A body, or a chunk of it, that the plugin was shown.
#[derive(Clone, Copy)]
struct Shown {
    /// How much of it came with the callback.
    given: usize,
    end_of_stream: bool,
    /// The plugin keeps it: nothing of it goes on.
    taken: bool,
}

/// Which of the two bodies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Stream {
    /// Makes the stream context, which runs `proxy_on_context_create`.
    ///
    /// # Errors
    /// A callback trapped or refused.
    pub fn new(context: Rc<PluginContext>, http: Rc<dyn HttpStream>) -> Result<Self, Error> {
        let (vm, root_id) = context.bind()?;
        vm.with_state(|state| state.host.note(Event::Request))?;
        let id = vm
            .add_stream(StreamContext::new(root_id, Rc::clone(&http)))
            .inspect_err(|error| {
                if let Error::TooManyStreams { is_first: true, .. } = error {
                    context.plugin().log(LogLevel::Error, &error.to_string());
                }
            })?;
        let stream = Self {
            context,
            vm,
            id,
            http,
            paused: Cell::new(None),
            last: Cell::new(Last::Headers {
                body_follows: false,
                body_first: false,
            }),
            wait: Cell::new(None),
            reported: Cell::new(false),
            deaf: Cell::new(false),
        };
        stream.run(
            "proxy_on_context_create",
            stream.vm.callbacks.on_context_create,
            Phase::Background,
            &[id, root_id],
        )?;
        Ok(stream)
    }

    /// The plugin context that this belongs to.
    pub fn context(&self) -> &Rc<PluginContext> {
        &self.context
    }

    /// Whether the plugin holds the request.
    pub fn is_paused(&self) -> bool {
        self.paused.get().is_some()
    }

    /// Whether the request has to wait before it goes on, and how long at most until [`Stream::resume`].
    pub fn wait(&self) -> Option<Duration> {
        self.wait.get()
    }

    /// `proxy_on_request_headers`.
    ///
    /// # Errors
    /// The callback trapped, or the VM had before.
    pub fn on_request_headers(&self) -> Result<(), Error> {
        let Some(func) = self.vm.callbacks.on_request_headers else {
            return Ok(());
        };
        let outline = self.http.outline(HeaderMap::Request);
        self.take_continue(Side::Request)?;
        let value = self.run(
            "proxy_on_request_headers",
            Some(func),
            Phase::RequestHeaders,
            &[
                self.id,
                outline.count as u32,
                u32::from(outline.end_of_stream),
            ],
        )?;
        let action = Action::from_headers(self.abi(), value);
        let resumed = self.take_continue(Side::Request)?;
        self.set_paused(action != Action::Continue && !resumed)?;
        self.last.set(Last::Headers {
            body_follows: !outline.end_of_stream && self.vm.callbacks.on_request_body.is_some(),
            body_first: action == Action::PauseForBody,
        });
        self.settle()
    }

    /// `proxy_on_request_body`, with the next chunk, or `None` where the proxy has no body to show. What goes on is in `out` where
    /// the answer is [`BodyOutcome::Replace`].
    ///
    /// # Errors
    /// The callback trapped, or the VM had before. What was held back is in `out`.
    pub fn on_request_body(
        &self,
        chunk: Option<&[u8]>,
        end_of_stream: bool,
        out: &mut Vec<u8>,
    ) -> Result<BodyOutcome, Error> {
        let Some((action, shown)) = self.on_body(Side::Request, chunk, end_of_stream, out)? else {
            return Ok(BodyOutcome::Pass);
        };
        self.set_paused(action != Action::Continue)?;
        self.last.set(Last::Body(shown));
        self.settle()?;
        self.go_on(out)
    }

    /// `proxy_on_response_headers`.
    ///
    /// # Errors
    /// The callback trapped, or the VM had before.
    pub fn on_response_headers(&self) -> Result<(), Error> {
        let Some(func) = self.vm.callbacks.on_response_headers else {
            return Ok(());
        };
        let outline = self.http.outline(HeaderMap::Response);
        self.take_continue(Side::Response)?;
        let value = self.run(
            "proxy_on_response_headers",
            Some(func),
            Phase::ResponseHeaders,
            &[
                self.id,
                outline.count as u32,
                u32::from(outline.end_of_stream),
            ],
        )?;
        // There is no way to hold a response. Most that pause one do so to see its body, and that is what the body callback says
        // again.
        if Action::from_headers(self.abi(), value) != Action::Continue
            && !self.take_continue(Side::Response)?
            && self
                .vm
                .with_state(|state| state.calls.awaits_answer(self.id))?
        {
            self.warn(
                "proxy_on_response_headers paused with calls out, but a response cannot be held, it goes on",
            );
        }
        Ok(())
    }

    /// `proxy_on_response_body`, as [`Stream::on_request_body`].
    ///
    /// # Errors
    /// As [`Stream::on_request_body`].
    pub fn on_response_body(
        &self,
        chunk: &[u8],
        end_of_stream: bool,
        out: &mut Vec<u8>,
    ) -> Result<BodyOutcome, Error> {
        let Some((action, shown)) =
            self.on_body(Side::Response, Some(chunk), end_of_stream, out)?
        else {
            return Ok(BodyOutcome::Pass);
        };
        if action == Action::Pause && end_of_stream && !self.http.is_over() {
            self.warn(
                "proxy_on_response_body paused at the end of the body, where a response cannot be held, it goes on",
            );
        }
        self.body_outcome(Side::Response, action != Action::Continue, shown, out)
    }

    /// The request is over: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    pub fn finish(&self) {
        self.tell_the_rest();
        if self.vm.is_usable()
            && let Err(error @ Error::Busy) = self.vm.finish(self.id)
        {
            self.context.plugin().log(
                LogLevel::Error,
                &format!("context {} was not deleted: {error}", self.id),
            );
        }
        self.context.plugin().rest(&self.vm);
    }

    fn on_body(
        &self,
        side: Side,
        chunk: Option<&[u8]>,
        end_of_stream: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<(Action, Shown)>, Error> {
        let (name, func, phase) = match side {
            Side::Request => (
                "proxy_on_request_body",
                self.vm.callbacks.on_request_body,
                Phase::RequestBody,
            ),
            Side::Response => (
                "proxy_on_response_body",
                self.vm.callbacks.on_response_body,
                Phase::ResponseBody,
            ),
        };
        if func.is_none() || side == Side::Response && self.deaf.get() {
            return Ok(None);
        }
        // What an earlier callback asked for has been done: only this one's word counts.
        self.take_continue(side)?;
        let limit = self.context.plugin().info().bounds.body;
        let size = self.with_body(side, |body| {
            let held = body.len();
            if let Some(chunk) = chunk {
                body.push(chunk);
            }
            // What does not wait is the proxy's to limit.
            let is_too_large = body.len() > limit && (held > 0 || side == Side::Request);
            (!is_too_large).then_some(body.len() as u32)
        })?;
        let Some(size) = size else {
            return self.refuse_body(side, limit, out);
        };
        let value = match self.run(
            name,
            func,
            phase,
            &[self.id, size, u32::from(end_of_stream)],
        ) {
            Ok(value) => value,
            Err(error) => {
                self.with_body(side, |body| body.take_into(out))?;
                return Err(error);
            }
        };
        let action = if self.take_continue(side)? {
            Action::Continue
        } else {
            Action::from_body(self.abi(), value)
        };
        let taken = action == Action::PauseWithoutBuffer;
        if taken {
            self.with_body(side, |body| {
                body.pass();
                body.withdraw();
            })?;
        }
        let shown = Shown {
            given: chunk.map_or(0, <[u8]>::len),
            end_of_stream,
            taken,
        };
        Ok(Some((action, shown)))
    }

    /// The body is larger than the plugin may hold back. A request is answered so; of a response goes on what there is, as its headers
    /// have been sent.
    fn refuse_body(
        &self,
        side: Side,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<(Action, Shown)>, Error> {
        let result = match side {
            Side::Request => {
                self.with_body(side, |body| {
                    body.pass();
                    body.withdraw();
                })?;
                self.http.send_local_response(LocalResponse {
                    status: PAYLOAD_TOO_LARGE,
                    grpc_status: -1,
                    ..LocalResponse::default()
                });
                Ok(None)
            }
            Side::Response => {
                self.with_body(side, |body| body.take_into(out))?;
                self.deaf.set(true);
                Err(Error::BodyTooLarge { limit })
            }
        };
        self.log(LogLevel::Error, &Error::BodyTooLarge { limit }.to_string());
        result
    }

    /// What goes on of a body that was shown, where nothing waits any more.
    fn body_outcome(
        &self,
        side: Side,
        paused: bool,
        shown: Shown,
        out: &mut Vec<u8>,
    ) -> Result<BodyOutcome, Error> {
        if shown.taken {
            out.clear();
            return Ok(BodyOutcome::Replace);
        }
        if paused && !shown.end_of_stream {
            return Ok(BodyOutcome::Hold);
        }
        self.with_body(side, |body| {
            let outcome = if body.changed() || body.len() != shown.given {
                body.take_into(out);
                BodyOutcome::Replace
            } else {
                body.pass();
                BodyOutcome::Pass
            };
            body.withdraw();
            outcome
        })
    }

    /// Says once that the VM is lost.
    fn poisoned(&self, what: &str) {
        if !self.reported.replace(true) {
            self.log(LogLevel::Error, &format!("{what}: {}", Error::Poisoned));
        }
    }

    fn run(
        &self,
        name: &'static str,
        func: Option<crate::engine::Func>,
        phase: Phase,
        args: &[u32],
    ) -> Result<u64, Error> {
        let result = self.vm.run(name, func, self.id, phase, args);
        if let Err(Error::Poisoned) = &result {
            self.poisoned(&format!("{name} cannot run"));
        }
        Ok(result?.unwrap_or(0))
    }

    fn warn(&self, text: &str) {
        self.log(LogLevel::Warn, text);
    }

    fn log(&self, level: LogLevel, message: &str) {
        let name = &self.context.plugin().info().name;
        log::records(name, message.as_bytes(), |record| {
            self.http.log(level, record);
        });
    }

    fn abi(&self) -> AbiVersion {
        self.context.plugin().info().abi
    }

    fn take_continue(&self, side: Side) -> Result<bool, Error> {
        self.with_context(|context| {
            std::mem::take(match side {
                Side::Request => &mut context.continue_request,
                Side::Response => &mut context.continue_response,
            })
        })
    }

    fn with_body<R>(&self, side: Side, work: impl FnOnce(&mut Body) -> R) -> Result<R, Error> {
        self.with_context(|context| {
            work(match side {
                Side::Request => &mut context.request_body,
                Side::Response => &mut context.response_body,
            })
        })
    }

    /// Works on the stream context. It is there until [`Stream::finish`], which nothing follows.
    fn with_context<R>(&self, work: impl FnOnce(&mut StreamContext) -> R) -> Result<R, Error> {
        self.vm.with_state(|state| {
            state
                .contexts
                .get_mut(self.id)
                .and_then(|context| match &mut context.kind {
                    ContextKind::Stream(stream) => Some(work(stream)),
                    ContextKind::Root(_) => None,
                })
                .ok_or(Error::Poisoned)
        })?
    }
}
