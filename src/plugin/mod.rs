//! The life of a plugin: from the file to a VM instance, to plugin contexts and to the contexts of requests.
//!
//! ```text
//! Plugin          one for each load(): the compiled module and the current VM
//!   Vm            one instance, replaced after a fork or a trap
//!   PluginContext one for each on_configure(): bound anew to each VM
//!     Stream      one for each request: bound to the VM it began on
//! ```
//!
//! It uses `abi` and `engine` and knows no proxy. Start reading at [`Plugin`].

#![forbid(unsafe_code)]

pub mod background;
mod context;
mod error;
mod module;
pub mod process;
mod recovery;
mod stream;
mod vm;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::abi::host::{Event, Host};
use crate::abi::log;
use crate::abi::types::LogLevel;
use crate::abi::vm::{Bounds, PluginInfo, Rate, VmState};
use crate::engine::cache::Cache;
use crate::engine::{Engine, Limits, clock};

pub use context::PluginContext;
pub use error::Error;
pub use module::{Compiled, Origin};
use process::Own;
pub use recovery::CrashLimit;
use recovery::{Recovery, Verdict};
pub use stream::{BodyOutcome, Stream};
use vm::Vm;

/// What the user may set for one plugin.
#[derive(Debug, Default)]
pub struct Options {
    /// The name under which the plugin registered its root context; `None` to find out.
    pub root_id: Option<Vec<u8>>,
    /// What `proxy_on_vm_start` is given.
    pub vm_config: Vec<u8>,
    /// The namespace of shared data and queues.
    pub vm_id: Vec<u8>,
    /// The plugin's environment variables.
    pub env: Vec<(String, String)>,
    /// What each of its VMs may use.
    pub limits: Allowance,
    /// What is kept for each of its VMs.
    pub bounds: Bounds,
    /// When its requests wait.
    pub waiting: Waiting,
    /// How often it may crash.
    pub crashes: CrashLimit,
    /// Where compiled code is kept.
    pub cache: Option<Cache>,
}

/// When requests wait.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// A request whose plugin has HTTP calls out waits for what they answer, even if the plugin did not pause it.
    pub for_calls: bool,
    /// How long a request stays paused while no answer is due to it.
    pub pause: Duration,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            for_calls: true,
            pause: Duration::from_secs(60),
        }
    }
}

/// What a VM may use.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Memory, and the time to start and to be configured.
    pub vm: Limits,
    /// The time of any other callback.
    pub callback: Duration,
    /// How many VMs there may be in the process.
    pub instances: usize,
    /// Bytes of linear memory that a VM has grown to which is renewed when it has nothing to do; `None` for never.
    pub renew: Option<u64>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            vm: Limits::default(),
            callback: Duration::from_secs(1),
            instances: 1024,
            renew: None,
        }
    }
}

/// A loaded plugin.
pub struct Plugin {
    info: Rc<PluginInfo>,
    compiled: Arc<Compiled>,
    limits: Allowance,
    waiting: Waiting,
    host: Rc<dyn Host>,
    vm: RefCell<Option<Rc<Vm>>>,
    /// The crashes in one process.
    crashes: CrashLimit,
    recovery: RefCell<Own<Recovery>>,
    /// The generation of the process that lost its VM to a trap and has no other yet.
    lost: Cell<Option<u32>>,
}

impl Plugin {
    /// Compiles a module, or finds it compiled, checks it and starts a first VM.
    ///
    /// # Errors
    /// The bytes are no module, or one that is no Proxy-Wasm plugin, or its start function trapped.
    pub fn new(
        name: &str,
        bytes: &[u8],
        options: Options,
        engine: &dyn Engine<VmState>,
        host: Rc<dyn Host>,
    ) -> Result<Self, Error> {
        let (compiled, problem) = module::compile(bytes, engine, options.cache.as_ref())?;
        let root_id = options
            .root_id
            .unwrap_or_else(|| module::guess_root_id(name, bytes));
        let plugin = Self {
            info: Rc::new(PluginInfo {
                name: name.to_owned(),
                root_id,
                vm_id: options.vm_id,
                vm_config: options.vm_config,
                env: options.env,
                abi: compiled.abi,
                bounds: options.bounds,
                rate: Rate::default(),
            }),
            compiled,
            limits: options.limits,
            waiting: options.waiting,
            host,
            vm: RefCell::new(None),
            crashes: options.crashes,
            recovery: RefCell::new(Own::new(Recovery::new(options.crashes))),
            lost: Cell::new(None),
        };
        clock::serve(plugin.limits.callback);
        clock::serve(plugin.limits.vm.time);
        for import in &plugin.compiled.unknown_imports {
            plugin.log(
                LogLevel::Warn,
                &format!("import \"{import}\" is unknown, a stub stands in for it"),
            );
        }
        if let Some(notice) = &plugin.compiled.notice {
            plugin.log(LogLevel::Warn, notice);
        }
        if let Some(problem) = problem {
            plugin.log(LogLevel::Warn, &problem);
        }
        plugin.log(
            LogLevel::Debug,
            &format!(
                "root id is \"{}\"",
                String::from_utf8_lossy(&plugin.info.root_id)
            ),
        );
        plugin.vm()?;
        Ok(plugin)
    }

    /// What the plugin is called and was given.
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// What was found out when it was compiled.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// How many contexts the current VM has, plugin contexts and those of requests.
    pub fn contexts(&self) -> usize {
        self.vm.borrow().as_ref().map_or(0, |vm| vm.context_count())
    }

    /// The current VM, for a context that is to be configured. Another is made where this process has none yet, or the last one trapped.
    fn vm(&self) -> Result<Rc<Vm>, Error> {
        let mut slot = self.vm.borrow_mut();
        if let Some(vm) = &*slot {
            self.note_crash(vm);
        }
        self.admit()?;
        if let Some(vm) = &*slot
            && vm.is_usable()
        {
            return Ok(Rc::clone(vm));
        }
        // The old one goes first: two at once would double what a plugin may use.
        *slot = None;
        let vm = Vm::start(
            self.compiled.template(),
            self.limits,
            Rc::clone(&self.info),
            Rc::clone(&self.host),
        )
        .inspect_err(|error| match error {
            Error::TooManyInstances { .. } => self.log(LogLevel::Error, &error.to_string()),
            _ => self.crashed(Instant::now()),
        })?;
        *slot = Some(Rc::clone(&vm));
        if self.lost.take() == Some(process::generation()) {
            self.host.note(Event::Restart);
        }
        Ok(vm)
    }

    /// Counts the trap that has cost this VM, once.
    fn note_crash(&self, vm: &Vm) {
        if let Some(when) = vm.take_crash() {
            self.lost.set(Some(process::generation()));
            self.crashed(when);
        }
    }

    /// Something that costs a VM has happened.
    fn crashed(&self, when: Instant) {
        let out = self.with_recovery(|recovery| recovery.crashed(when));
        if let Some((pause, crashes)) = out {
            let window = self.crashes.window;
            self.log(
                LogLevel::Error,
                &format!("crashed {crashes} times within {window:?}: it is not run for {pause:?}"),
            );
            self.host.note(Event::BackOff { begins: true });
        }
    }

    /// Whether it is not run for a while.
    fn is_out(&self) -> bool {
        self.with_recovery(|recovery| recovery.rejects(Instant::now()))
    }

    /// Whether it may be run.
    fn admit(&self) -> Result<(), Error> {
        match self.with_recovery(|recovery| recovery.verdict(Instant::now())) {
            Verdict::Yes => Ok(()),
            Verdict::Again => {
                self.log(LogLevel::Warn, "is run again");
                self.host.note(Event::BackOff { begins: false });
                Ok(())
            }
            Verdict::No => {
                self.host.note(Event::Rejected);
                Err(Error::BackingOff)
            }
        }
    }

    fn with_recovery<R>(&self, work: impl FnOnce(&mut Recovery) -> R) -> R {
        let mut recovery = self.recovery.borrow_mut();
        work(recovery.get_or_make(|| Recovery::new(self.crashes)))
    }

    /// No callback follows for now. Gives the VM up if it has grown larger than it should and has nothing to do: the next callback has a new
    /// one.
    fn rest(self: &Rc<Self>, vm: &Vm) {
        vm.tell_short();
        if !self
            .limits
            .renew
            .is_some_and(|mark| vm.is_to_be_renewed(mark))
        {
            return;
        }
        let memory = vm.memory();
        for context in background::contexts_of(self) {
            context.leave();
        }
        if let Some(vm) = self.vm.take() {
            self.note_crash(&vm);
        }
        self.host.note(Event::Renewal);
        self.log(
            LogLevel::Info,
            &format!("is renewed, as its memory has grown to {memory} bytes"),
        );
    }

    fn log(&self, level: LogLevel, message: &str) {
        if level >= self.host.log_level() {
            log::records(&self.info.name, message.as_bytes(), |record| {
                self.host.log(level, record);
            });
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if self.recovery.get_mut().get().is_some_and(Recovery::is_out) {
            self.host.note(Event::BackOff { begins: false });
        }
    }
}
