//! The state of one VM instance, as hostcalls see it.

mod calls;
mod rate;

use std::rc::Rc;

use super::calls::{Calls, Report};
use super::contexts::{ContextKind, Contexts, RootContext, StreamContext};
use super::host::Host;
use super::log;
use super::types::{AbiVersion, LogLevel};
use crate::engine::Func;
use rate::Verdict;

pub use rate::Rate;

/// The callback that is running, for the hostcalls whose answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `_initialize`, `_start`, `proxy_on_vm_start`: there is only the VM's configuration.
    Start,
    /// `proxy_on_configure`.
    Configure,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    /// `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    End,
    /// Anything that is not about a request.
    Background,
}

/// What is kept for one VM at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Contexts of requests.
    pub streams: usize,
    /// Bytes of a body that the plugin holds back, or makes.
    pub body: usize,
    /// Records a second in the log.
    pub records: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            streams: 65536,
            body: 16 << 20,
            records: 1000,
        }
    }
}

/// What is known of a plugin before its VM starts.
#[derive(Debug)]
pub struct PluginInfo {
    pub name: String,
    pub root_id: Vec<u8>,
    pub vm_id: Vec<u8>,
    pub vm_config: Vec<u8>,
    /// `NAME=value` pairs for WASI.
    pub env: Vec<(String, String)>,
    pub abi: AbiVersion,
    pub bounds: Bounds,
    /// Of what it writes to the log.
    pub rate: Rate,
}

/// What a plugin prints to.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    Stdout,
    Stderr,
}

impl Output {
    fn level(self) -> LogLevel {
        match self {
            Self::Stdout => LogLevel::Info,
            Self::Stderr => LogLevel::Error,
        }
    }
}

/// Something to be done outside callbacks. Plugin contexts are named by their serials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A plugin context wants ticks with this period, in milliseconds; 0 for none.
    Ticks { context: u32, period: u32 },
    /// A plugin context wants to know of items in a queue.
    Queue { context: u32, id: u32 },
}

/// The longest line that is waited for.
const LONGEST_LINE: usize = 8 * 1024;

/// The state behind one VM instance.
pub struct VmState {
    pub plugin: Rc<PluginInfo>,
    pub host: Rc<dyn Host>,
    /// Tells the VM instances of a process apart.
    pub serial: u32,
    pub contexts: Contexts,
    /// The calls that are not over.
    pub calls: Calls,
    /// What has become of a call, while the callback about it runs.
    pub report: Option<Box<Report>>,
    /// When that call was made.
    pub since: Option<u64>,
    /// Requests that wait for what others have called for, and are to look again when a call is over.
    pub watchers: Vec<u32>,
    /// What is to be done outside callbacks, asked for since the last one.
    pub asked: Vec<Asked>,
    /// The effective context: the one that hostcalls are about.
    pub current: u32,
    pub phase: Phase,
    /// `proxy_on_memory_allocate` or `malloc`.
    pub allocator: Option<Func>,
    /// Set by `proxy_done`: some context is [`Finish::Due`].
    pub done_called: bool,
    /// The answer of the last foreign function or call, for buffers that outlive one hostcall.
    pub foreign_arguments: Vec<u8>,
    /// What is shared had no room for what the plugin last gave it.
    full: bool,
    pub(super) scratch: Vec<u8>,
    /// What was printed and has no newline yet, by [`Output`].
    unfinished: [Vec<u8>; 2],
}

impl VmState {
    pub fn new(plugin: Rc<PluginInfo>, host: Rc<dyn Host>, serial: u32) -> Self {
        Self {
            plugin,
            host,
            serial,
            contexts: Contexts::default(),
            calls: Calls::default(),
            report: None,
            since: None,
            watchers: Vec::new(),
            asked: Vec::new(),
            current: 0,
            phase: Phase::Start,
            allocator: None,
            done_called: false,
            foreign_arguments: Vec::new(),
            full: false,
            scratch: Vec::new(),
            unfinished: [const { Vec::new() }; 2],
        }
    }

    /// The stream of the effective context, if that is the context of a request.
    pub fn stream(&self) -> Option<&StreamContext> {
        match &self.contexts.get(self.current)?.kind {
            ContextKind::Stream(stream) => Some(stream),
            ContextKind::Root(_) => None,
        }
    }

    /// See [`VmState::stream`].
    pub fn stream_mut(&mut self) -> Option<&mut StreamContext> {
        match &mut self.contexts.get_mut(self.current)?.kind {
            ContextKind::Stream(stream) => Some(stream),
            ContextKind::Root(_) => None,
        }
    }

    /// The plugin context of the effective context.
    pub fn root(&self) -> Option<&RootContext> {
        let id = self.stream().map_or(self.current, |s| s.root_id);
        match &self.contexts.get(id)?.kind {
            ContextKind::Root(root) => Some(root),
            ContextKind::Stream(_) => None,
        }
    }

    /// See [`VmState::root`].
    pub fn root_mut(&mut self) -> Option<&mut RootContext> {
        let id = self.stream().map_or(self.current, |s| s.root_id);
        match &mut self.contexts.get_mut(id)?.kind {
            ContextKind::Root(root) => Some(root),
            ContextKind::Stream(_) => None,
        }
    }

    /// Writes to the proxy's log under the plugin's name, with the current request as context where there is one. What a plugin causes
    /// to be written beyond its rate is dropped.
    pub fn log(&self, level: LogLevel, message: &[u8]) {
        if level < self.log_level() {
            return;
        }
        let limit = self.plugin.bounds.records;
        log::records(&self.plugin.name, message, |record| {
            match self.plugin.rate.count(limit, &*self.host) {
                Verdict::Write => self.write(level, record),
                Verdict::Drop => {}
                Verdict::First => self.report(
                    LogLevel::Warn,
                    &format!("writes more than {limit} records a second, what is more is dropped"),
                ),
                Verdict::After(dropped) => {
                    let text = format!("{dropped} records were dropped");
                    self.report(LogLevel::Warn, &text);
                    self.write(level, record);
                }
            }
        });
    }

    /// As [`VmState::log`], for what is said of the plugin and always has to be.
    pub fn report(&self, level: LogLevel, message: &str) {
        if level >= self.log_level() {
            log::records(&self.plugin.name, message.as_bytes(), |record| {
                self.write(level, record);
            });
        }
    }

    fn write(&self, level: LogLevel, record: &[u8]) {
        match self.stream() {
            Some(context) => context.stream.log(level, record),
            None => self.host.log(level, record),
        }
    }

    /// Has something done outside callbacks. Of what is asked for twice, the last counts.
    pub fn ask(&mut self, asked: Asked) {
        self.asked.retain(|before| match (before, &asked) {
            (Asked::Ticks { context: old, .. }, Asked::Ticks { context: new, .. }) => old != new,
            (before, asked) => before != asked,
        });
        self.asked.push(asked);
    }

    /// What is shared has taken what a hostcall gave it, or had no room for it. The log is told of each change from one to the other.
    pub fn note_room(&mut self, hostcall: &str, full: bool) {
        if full && !self.full {
            let text = format!("{hostcall}: no room, nothing more is said until there is some");
            self.log(LogLevel::Warn, text.as_bytes());
        }
        self.full = full;
    }

    /// Prints to the log, where a newline ends a record.
    pub fn print(&mut self, output: Output, bytes: &[u8]) {
        let mut line = std::mem::take(&mut self.unfinished[output as usize]);
        line.extend_from_slice(bytes);
        let end = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(newline) => line.len() - bytes.len() + newline + 1,
            None if line.len() > LONGEST_LINE => line.len(),
            None => 0,
        };
        let text = line[..end].trim_ascii_end();
        if !text.is_empty() {
            self.log(output.level(), text);
        }
        line.drain(..end);
        self.unfinished[output as usize] = line;
    }

    /// A callback is over: what it printed is finished.
    pub fn finish_output(&mut self) {
        for output in [Output::Stdout, Output::Stderr] {
            if !self.unfinished[output as usize].is_empty() {
                self.print(output, b"\n");
            }
        }
    }

    /// The least severe level that the proxy's log keeps.
    pub fn log_level(&self) -> LogLevel {
        match self.stream() {
            Some(context) => context.stream.log_level(),
            None => self.host.log_level(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::testing::FakeGuest;

    #[test]
    fn the_root_of_a_stream_is_its_plugin_context() {
        let mut guest = FakeGuest::with_stream();
        assert_eq!(guest.state.current, 2);
        assert_eq!(*guest.state.root().unwrap().config, *b"config");
        guest.state.root_mut().unwrap().tick_period = 5;
        guest.state.current = 1;
        assert_eq!(guest.state.root().unwrap().tick_period, 5);
        guest.state.current = 0;
        assert!(guest.state.root().is_none() && guest.state.root_mut().is_none());
    }

    #[test]
    fn what_is_printed_piece_by_piece_is_one_record_for_each_line() {
        let mut guest = FakeGuest::new();
        for piece in [
            &b"goroutine "[..],
            b"1",
            b" [running]",
            b":\nma",
            b"in\n",
            b"\n",
        ] {
            guest.state.print(Output::Stderr, piece);
        }
        guest.state.print(Output::Stdout, b"and the rest");
        let records = |guest: &FakeGuest| -> Vec<String> {
            let logs = guest.host.logs.borrow();
            logs.iter().map(|(_, record)| record.clone()).collect()
        };
        let lines = [
            "proxy-wasm test: goroutine 1 [running]:",
            "proxy-wasm test: main",
        ];
        assert_eq!(records(&guest), lines);
        guest.state.finish_output();
        guest.state.finish_output();
        assert_eq!(records(&guest)[2..], ["proxy-wasm test: and the rest"]);
    }

    #[test]
    fn a_line_without_end_is_not_waited_for() {
        let mut guest = FakeGuest::new();
        for _ in 0..3 * LONGEST_LINE / 1000 {
            guest.state.print(Output::Stdout, &[b'x'; 1000]);
        }
        assert!(!guest.host.logs.borrow().is_empty());
        assert!(guest.state.unfinished[0].len() <= LONGEST_LINE);
    }
}
