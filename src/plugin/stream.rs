use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{Error, PluginContext, Vm};
use crate::abi::contexts::{ContextKind, StreamContext};
use crate::abi::host::{HeaderMap, HttpStream};
use crate::abi::log;
use crate::abi::types::LogLevel;
use crate::abi::vm::Phase;
use crate::abi::{Action, Body};

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
    paused: Cell<bool>,
    reported: Cell<bool>,
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
        let id = vm.with_state(|state| {
            state
                .contexts
                .insert(ContextKind::Stream(Box::new(StreamContext {
                    root_id,
                    stream: Rc::clone(&http),
                    request_body: Body::default(),
                    response_body: Body::default(),
                    properties: HashMap::new(),
                    continue_request: false,
                    continue_response: false,
                })))
        })?;
        let stream = Self {
            context,
            vm,
            id,
            http,
            paused: Cell::new(false),
            reported: Cell::new(false),
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
        self.paused.get()
    }

    /// `proxy_on_request_headers`.
    ///
    /// # Errors
    /// The callback trapped, or the VM had before.
    pub fn on_request_headers(&self) -> Result<(), Error> {
        let Some(func) = self.vm.callbacks.on_request_headers else {
            return Ok(());
        };
        let count = self.http.header_count(HeaderMap::Request) as u32;
        let end = u32::from(self.http.request_has_no_body());
        self.take_continue(Side::Request)?;
        let value = self.run(
            "proxy_on_request_headers",
            Some(func),
            Phase::RequestHeaders,
            &[self.id, count, end],
        )?;
        let action = Action::from_headers(self.abi(), value);
        let resumed = self.take_continue(Side::Request)?;
        let paused = action != Action::Continue && !resumed;
        // The body callback may still resume it. Nothing else could.
        let may_resume = end == 0 && self.vm.callbacks.on_request_body.is_some();
        if paused && !may_resume && !self.http.is_over() {
            self.released("proxy_on_request_headers paused the request");
        }
        self.paused.set(paused && may_resume);
        Ok(())
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
        let (outcome, paused) = self.on_body(Side::Request, chunk, end_of_stream, out)?;
        self.paused.set(paused);
        Ok(outcome)
    }

    /// `proxy_on_response_headers`.
    ///
    /// # Errors
    /// The callback trapped, or the VM had before.
    pub fn on_response_headers(&self) -> Result<(), Error> {
        let Some(func) = self.vm.callbacks.on_response_headers else {
            return Ok(());
        };
        let count = self.http.header_count(HeaderMap::Response) as u32;
        let end = u32::from(self.http.response_has_no_body());
        // nginx has no way to hold back response headers: a pause only means that the body will be waited for, and that is
        // what the body callback says again.
        self.run(
            "proxy_on_response_headers",
            Some(func),
            Phase::ResponseHeaders,
            &[self.id, count, end],
        )?;
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
        Ok(self
            .on_body(Side::Response, Some(chunk), end_of_stream, out)?
            .0)
    }

    /// The request is over: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    pub fn finish(&self) {
        if self.vm.is_usable()
            && let Err(error @ Error::Busy) = self.vm.finish(self.id)
        {
            self.context.plugin().log(
                LogLevel::Error,
                &format!("context {} was not deleted: {error}", self.id),
            );
        }
    }

    fn on_body(
        &self,
        side: Side,
        chunk: Option<&[u8]>,
        end_of_stream: bool,
        out: &mut Vec<u8>,
    ) -> Result<(BodyOutcome, bool), Error> {
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
        if func.is_none() {
            return Ok((BodyOutcome::Pass, false));
        }
        // What an earlier callback asked for has been done: only this one's word counts.
        self.take_continue(side)?;
        let size = self.with_body(side, |body| {
            if let Some(chunk) = chunk {
                body.push(chunk);
            }
            body.len() as u32
        })?;
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
        let given = chunk.map_or(0, <[u8]>::len);
        let outcome = self.with_body(side, |body| match (action, end_of_stream) {
            (Action::PauseWithoutBuffer, _) => {
                body.pass();
                body.withdraw();
                out.clear();
                BodyOutcome::Replace
            }
            (Action::Pause, false) => BodyOutcome::Hold,
            (Action::Continue, _) | (Action::Pause, true) => {
                let outcome = if body.changed() || size as usize != given {
                    body.take_into(out);
                    BodyOutcome::Replace
                } else {
                    body.pass();
                    BodyOutcome::Pass
                };
                body.withdraw();
                outcome
            }
        })?;
        let paused = action != Action::Continue;
        if action == Action::Pause && end_of_stream && !self.http.is_over() {
            self.released(match side {
                Side::Request => "proxy_on_request_body paused at the end of the body",
                Side::Response => "proxy_on_response_body paused at the end of the body",
            });
        }
        Ok((outcome, paused && !end_of_stream))
    }

    /// Says that a paused request goes on because nothing could resume it.
    fn released(&self, what: &str) {
        self.log(
            LogLevel::Warn,
            &format!("{what} with nothing outstanding that could resume it, it goes on"),
        );
    }

    fn run(
        &self,
        name: &'static str,
        func: Option<crate::engine::Func>,
        phase: Phase,
        args: &[u32],
    ) -> Result<u64, Error> {
        let result = self.vm.run(name, func, self.id, phase, args);
        if let Err(error @ Error::Poisoned) = &result
            && !self.reported.replace(true)
        {
            self.log(LogLevel::Error, &format!("{name} cannot run: {error}"));
        }
        Ok(result?.unwrap_or(0))
    }

    fn log(&self, level: LogLevel, message: &str) {
        let name = &self.context.plugin().info().name;
        log::records(name, message.as_bytes(), |record| {
            self.http.log(level, record);
        });
    }

    fn abi(&self) -> crate::abi::types::AbiVersion {
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
