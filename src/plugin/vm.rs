mod calls;
mod ends;
mod turn;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use super::module::ALLOCATORS;
use super::{Allowance, Error, background, process};
use crate::abi::calls::Calls;
use crate::abi::host::{Event, Host};
use crate::abi::types::LogLevel;
use crate::abi::vm::{PluginInfo, VmState};
use crate::abi::{self, Callbacks};
use crate::engine::{Instance, Template, Trap};

pub use turn::Turn;

/// One instance of a plugin's module.
pub struct Vm {
    instance: RefCell<Box<dyn Instance<VmState>>>,
    pub callbacks: Callbacks,
    /// `proxy_on_vm_start` has run.
    started: Cell<bool>,
    poisoned: Cell<bool>,
    /// When it trapped, until somebody has asked.
    crash: Cell<Option<Instant>>,
    /// Bytes of linear memory that the host was told of.
    memory: Cell<i64>,
    /// The same, when it was last configured.
    least: Cell<i64>,
    generation: u32,
    limits: Allowance,
    /// It is ending contexts.
    ends: Cell<bool>,
    /// There was no room for the context of the last request.
    crowded: Cell<bool>,
    serial: u32,
    host: Rc<dyn Host>,
    /// Callbacks that the host is yet to be told of: how many, and nanoseconds in all.
    short: Cell<(u64, u64)>,
}

impl Vm {
    /// Makes an instance and runs its entry point.
    pub fn start(
        template: &dyn Template<VmState>,
        limits: Allowance,
        plugin: Rc<PluginInfo>,
        host: Rc<dyn Host>,
    ) -> Result<Rc<Self>, Error> {
        if background::count_vms() >= limits.instances {
            return Err(Error::TooManyInstances {
                limit: limits.instances,
            });
        }
        let serial = background::next_serial();
        let state = VmState::new(Rc::clone(&plugin), Rc::clone(&host), serial);
        let mut instance = template.instantiate(state, limits.vm).map_err(|trap| {
            let reporter = VmState::new(plugin, Rc::clone(&host), serial);
            report(&reporter, "the start function", &trap)
        })?;
        let callbacks = Callbacks::find(&mut *instance);
        let allocator = ALLOCATORS.iter().find_map(|name| instance.func(name));
        instance.state().allocator = allocator;
        let entries: &[&str] = match instance.func("_initialize") {
            Some(_) => &["_initialize", "main"],
            None => &["_start"],
        };
        for entry in entries {
            if let Some(func) = instance.func(entry) {
                let result = abi::call(&mut *instance, func, &[]);
                instance.state().finish_output();
                result.map_err(|trap| report(instance.state(), entry, &trap))?;
            }
        }
        let memory = instance.memory_size() as i64;
        let state = instance.state();
        state.host.note(Event::Instances { count: 1, memory });
        let vm = Rc::new(Self {
            instance: RefCell::new(instance),
            callbacks,
            started: Cell::new(false),
            poisoned: Cell::new(false),
            crash: Cell::new(None),
            memory: Cell::new(memory),
            least: Cell::new(memory),
            generation: process::generation(),
            limits,
            ends: Cell::new(false),
            crowded: Cell::new(false),
            serial,
            host,
            short: Cell::new((0, 0)),
        });
        background::add_vm(serial, &vm);
        Ok(vm)
    }

    /// Whether callbacks may run: nothing trapped, and no fork lies between.
    pub fn is_usable(&self) -> bool {
        !self.poisoned.get() && self.is_own()
    }

    /// When it trapped, where that was in this process and nobody has asked yet.
    pub fn take_crash(&self) -> Option<Instant> {
        self.crash.take().filter(|_| self.is_own())
    }

    /// Bytes of linear memory.
    pub fn memory(&self) -> i64 {
        self.memory.get()
    }

    /// Whether it has grown past so many bytes of linear memory, and to twice what it was configured with, and nothing needs it now.
    pub fn is_to_be_renewed(&self, mark: u64) -> bool {
        let memory = self.memory.get();
        memory.cast_unsigned() > mark
            && memory >= 2 * self.least.get()
            && self.is_usable()
            && self
                .with_state(|state| state.contexts.streams() == 0 && state.calls.is_empty())
                .unwrap_or(false)
    }

    /// Whether it was made in this process.
    pub fn is_own(&self) -> bool {
        self.generation == process::generation()
    }

    pub fn context_count(&self) -> usize {
        self.instance
            .try_borrow_mut()
            .map_or(0, |mut instance| instance.state().contexts.len())
    }

    /// Works on the state between callbacks.
    pub fn with_state<R>(&self, work: impl FnOnce(&mut VmState) -> R) -> Result<R, Error> {
        Ok(work(self.turn()?.state()))
    }

    /// Tells the host of the short callbacks that have run.
    pub fn tell_short(&self) {
        let (count, nanoseconds) = self.short.take();
        if count > 0 {
            self.host.note(Event::Callbacks { count, nanoseconds });
        }
    }

    /// Nothing runs on it any more: its calls are given up, and requests that wait on it are to learn so.
    fn poison(&self, state: &mut VmState) {
        self.poisoned.set(true);
        self.crash.set(Some(Instant::now()));
        state.report = None;
        state.since = None;
        state.asked.clear();
        state.cancel_calls(|_| true);
        for stream in state.contexts.all_streams() {
            stream.wake();
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        background::remove_vm(self.serial);
        let is_own = self.is_own();
        if is_own {
            self.tell_short();
        }
        let state = self.instance.get_mut().state();
        if is_own {
            state.host.note(Event::Instances {
                count: -1,
                memory: -self.memory.get(),
            });
        } else {
            // They end in the process that began them.
            state.calls = Calls::default();
        }
    }
}

/// Logs a trap with the guest's backtrace, and counts it.
fn report(state: &VmState, function: &str, trap: &Trap) -> Error {
    let mut text = format!("{function} trapped: {}", trap.message);
    for frame in &trap.backtrace {
        text.push_str("\n    ");
        text.push_str(frame);
    }
    state.report(LogLevel::Error, &text);
    state.host.note(Event::Trap);
    if trap.timed_out {
        state.host.note(Event::Deadline);
    }
    Error::Trap {
        function: function.to_owned(),
        message: trap.message.clone(),
    }
}
