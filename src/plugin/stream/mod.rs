mod wait;

use std::cell::Cell;
use std::mem::take;
use std::rc::Rc;
use std::time::Duration;

use super::vm::Turn;
use super::{Error, PluginContext, Vm};
use crate::abi::contexts::StreamContext;
use crate::abi::host::{Event, HeaderMap, HttpStream, LocalResponse, Outline};
use crate::abi::log;
use crate::abi::types::{AbiVersion, LogLevel};
use crate::abi::vm::Phase;
use crate::abi::{Action, Body};
use crate::engine::Func;
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

/// What a callback is told that does not look at it.
const NOT_LOOKED_AT: Outline = Outline {
    count: 0,
    end_of_stream: true,
};

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

impl Side {
    fn body(self, context: &mut StreamContext) -> &mut Body {
        match self {
            Self::Request => &mut context.request_body,
            Self::Response => &mut context.response_body,
        }
    }

    /// Whether the plugin has asked for it to go on since this was last asked.
    fn take_continue(self, context: &mut StreamContext) -> bool {
        take(match self {
            Self::Request => &mut context.continue_request,
            Self::Response => &mut context.continue_response,
        })
    }
}

impl Stream {
    /// Makes the stream context, which runs `proxy_on_context_create`.
    ///
    /// # Errors
    /// A callback trapped or refused.
    pub fn new(context: Rc<PluginContext>, http: Rc<dyn HttpStream>) -> Result<Self, Error> {
        let (vm, root_id) = context.bind()?;
        let mut turn = vm.turn()?;
        turn.state().host.note(Event::Request);
        let id = turn
            .add_stream(root_id, Rc::clone(&http))
            .inspect_err(|error| {
                if let Error::TooManyStreams { is_first: true, .. } = error {
                    context.plugin().log(LogLevel::Error, &error.to_string());
                }
            })?;
        turn.run(
            "proxy_on_context_create",
            vm.callbacks.on_context_create,
            id,
            Phase::Background,
            &[id, root_id],
        )?;
        drop(turn);
        Ok(Self {
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
        })
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
        let mut turn = self.vm.turn()?;
        let (value, end_of_stream) = self.run_on_headers(&mut turn, Side::Request, func)?;
        let action = Action::from_headers(self.abi(), value);
        let resumed = Side::Request.take_continue(turn.stream(self.id)?);
        self.set_paused(&mut turn, action != Action::Continue && !resumed);
        self.last.set(Last::Headers {
            body_follows: !end_of_stream && self.vm.callbacks.on_request_body.is_some(),
            body_first: action == Action::PauseForBody,
        });
        self.settle(&mut turn)
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
        let Some(func) = self.vm.callbacks.on_request_body else {
            return Ok(BodyOutcome::Pass);
        };
        let mut turn = self.vm.turn()?;
        let Some((action, shown)) =
            self.on_body(&mut turn, Side::Request, func, chunk, end_of_stream, out)?
        else {
            return Ok(BodyOutcome::Pass);
        };
        self.set_paused(&mut turn, action != Action::Continue);
        self.last.set(Last::Body(shown));
        self.settle(&mut turn)?;
        self.go_on(&mut turn, out)
    }

    /// `proxy_on_response_headers`.
    ///
    /// # Errors
    /// The callback trapped, or the VM had before.
    pub fn on_response_headers(&self) -> Result<(), Error> {
        let Some(func) = self.vm.callbacks.on_response_headers else {
            return Ok(());
        };
        let mut turn = self.vm.turn()?;
        let (value, _) = self.run_on_headers(&mut turn, Side::Response, func)?;
        // There is no way to hold a response. Most that pause one do so to see its body, and that is what the body callback says
        // again.
        if Action::from_headers(self.abi(), value) != Action::Continue
            && !turn.stream(self.id)?.continue_response
            && turn.state().calls.awaits_answer(self.id)
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
        let Some(func) = self.vm.callbacks.on_response_body else {
            return Ok(BodyOutcome::Pass);
        };
        if self.deaf.get() {
            return Ok(BodyOutcome::Pass);
        }
        let mut turn = self.vm.turn()?;
        let Some((action, shown)) = self.on_body(
            &mut turn,
            Side::Response,
            func,
            Some(chunk),
            end_of_stream,
            out,
        )?
        else {
            return Ok(BodyOutcome::Pass);
        };
        if action == Action::Pause && end_of_stream && !self.http.is_over() {
            self.warn(
                "proxy_on_response_body paused at the end of the body, where a response cannot be held, it goes on",
            );
        }
        self.body_outcome(
            &mut turn,
            Side::Response,
            action != Action::Continue,
            shown,
            out,
        )
    }

    /// The request is over: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    pub fn finish(&self) {
        let ended = self.vm.turn().and_then(|mut turn| {
            self.tell_the_rest(&mut turn);
            if self.vm.is_usable() {
                turn.finish(self.id)?;
            }
            Ok(())
        });
        if let Err(error @ Error::Busy) = ended {
            self.context.plugin().log(
                LogLevel::Error,
                &format!("context {} was not deleted: {error}", self.id),
            );
        }
        self.context.plugin().rest(&self.vm);
    }

    /// Runs the callback about headers. Gives its answer, and whether it was told that no body follows.
    fn run_on_headers(
        &self,
        turn: &mut Turn<'_>,
        side: Side,
        func: Func,
    ) -> Result<(u64, bool), Error> {
        let compiled = self.context.plugin().compiled();
        let (name, phase, map, looks) = match side {
            Side::Request => (
                "proxy_on_request_headers",
                Phase::RequestHeaders,
                HeaderMap::Request,
                compiled.looks_at_request,
            ),
            Side::Response => (
                "proxy_on_response_headers",
                Phase::ResponseHeaders,
                HeaderMap::Response,
                compiled.looks_at_response,
            ),
        };
        let outline = if looks {
            self.http.outline(map)
        } else {
            NOT_LOOKED_AT
        };
        // What an earlier callback asked for has been done: only this one's word counts.
        side.take_continue(turn.stream(self.id)?);
        let args = [
            self.id,
            outline.count as u32,
            u32::from(outline.end_of_stream),
        ];
        let value = self.run(turn, name, func, phase, &args)?;
        Ok((value, outline.end_of_stream))
    }

    fn on_body(
        &self,
        turn: &mut Turn<'_>,
        side: Side,
        func: Func,
        chunk: Option<&[u8]>,
        end_of_stream: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<(Action, Shown)>, Error> {
        let (name, phase) = match side {
            Side::Request => ("proxy_on_request_body", Phase::RequestBody),
            Side::Response => ("proxy_on_response_body", Phase::ResponseBody),
        };
        let context = turn.stream(self.id)?;
        // What an earlier callback asked for has been done: only this one's word counts.
        side.take_continue(context);
        let limit = self.context.plugin().info().bounds.body;
        let body = side.body(context);
        let held = body.len();
        if let Some(chunk) = chunk {
            body.push(chunk);
        }
        let len = body.len();
        // What does not wait is the proxy's to limit.
        if len > limit && (held > 0 || side == Side::Request) {
            return self.refuse_body(body, side, limit, out);
        }
        let args = [self.id, len as u32, u32::from(end_of_stream)];
        let value = match self.run(turn, name, func, phase, &args) {
            Ok(value) => value,
            Err(error) => {
                side.body(turn.stream(self.id)?).take_into(out);
                return Err(error);
            }
        };
        let context = turn.stream(self.id)?;
        let action = if side.take_continue(context) {
            Action::Continue
        } else {
            Action::from_body(self.abi(), value)
        };
        let taken = action == Action::PauseWithoutBuffer;
        if taken {
            let body = side.body(context);
            body.pass();
            body.withdraw();
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
        body: &mut Body,
        side: Side,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<(Action, Shown)>, Error> {
        let result = match side {
            Side::Request => {
                body.pass();
                body.withdraw();
                self.http.send_local_response(LocalResponse {
                    status: PAYLOAD_TOO_LARGE,
                    grpc_status: -1,
                    ..LocalResponse::default()
                });
                Ok(None)
            }
            Side::Response => {
                body.take_into(out);
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
        turn: &mut Turn<'_>,
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
        let body = side.body(turn.stream(self.id)?);
        let outcome = if body.changed() || body.len() != shown.given {
            body.take_into(out);
            BodyOutcome::Replace
        } else {
            body.pass();
            BodyOutcome::Pass
        };
        body.withdraw();
        Ok(outcome)
    }

    /// Says once that the VM is lost.
    fn poisoned(&self, what: &str) {
        if !self.reported.replace(true) {
            self.log(LogLevel::Error, &format!("{what}: {}", Error::Poisoned));
        }
    }

    fn run(
        &self,
        turn: &mut Turn<'_>,
        name: &'static str,
        func: Func,
        phase: Phase,
        args: &[u32],
    ) -> Result<u64, Error> {
        let result = turn.call(name, func, self.id, phase, args);
        if let Err(Error::Poisoned) = &result {
            self.poisoned(&format!("{name} cannot run"));
        }
        result
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
}
