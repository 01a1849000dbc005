//! Work on a VM, one callback after the other.

use std::cell::RefMut;
use std::mem::take;
use std::rc::Rc;

use super::{Vm, report};
use crate::abi;
use crate::abi::contexts::{ContextKind, RootContext, StreamContext};
use crate::abi::host::{Event, HttpStream, SHORT};
use crate::abi::vm::{Phase, VmState};
use crate::engine::{Func, Instance};
use crate::plugin::{Error, background};

/// A VM that somebody works on: for as long as this is there, nobody else does.
pub struct Turn<'a> {
    pub(super) vm: &'a Vm,
    instance: RefMut<'a, Box<dyn Instance<VmState>>>,
    /// When the last callback was over: what lies between two counts for the second.
    clock: Option<u64>,
}

impl Vm {
    /// Begins to work on it.
    ///
    /// # Errors
    /// [`Error::Busy`]: a callback is running.
    pub fn turn(&self) -> Result<Turn<'_>, Error> {
        match self.instance.try_borrow_mut() {
            Ok(instance) => Ok(Turn {
                vm: self,
                instance,
                clock: None,
            }),
            Err(_) => Err(Error::Busy),
        }
    }
}

impl Turn<'_> {
    /// The state between callbacks.
    pub fn state(&mut self) -> &mut VmState {
        self.instance.state()
    }

    /// The context of a request. It is there until [`Turn::finish`].
    ///
    /// # Errors
    /// [`Error::Poisoned`]: it is not.
    pub fn stream(&mut self, id: u32) -> Result<&mut StreamContext, Error> {
        match self.state().contexts.get_mut(id) {
            Some(context) => match &mut context.kind {
                ContextKind::Stream(stream) => Ok(stream),
                ContextKind::Root(_) => Err(Error::Poisoned),
            },
            None => Err(Error::Poisoned),
        }
    }

    /// Runs a callback with `context` as the effective context. `None` where the plugin does not export it.
    ///
    /// # Errors
    /// It trapped, or the VM had before.
    #[inline]
    pub fn run(
        &mut self,
        name: &'static str,
        func: Option<Func>,
        context: u32,
        phase: Phase,
        args: &[u32],
    ) -> Result<Option<u64>, Error> {
        match func {
            Some(func) => self.call(name, func, context, phase, args).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Turn::run`], of a function that is there.
    ///
    /// # Errors
    /// As [`Turn::run`].
    pub fn call(
        &mut self,
        name: &'static str,
        func: Func,
        context: u32,
        phase: Phase,
        args: &[u32],
    ) -> Result<u64, Error> {
        let vm = self.vm;
        if !vm.is_usable() {
            return Err(Error::Poisoned);
        }
        let state = self.instance.state();
        state.current = context;
        state.phase = phase;
        let begun = self.clock.unwrap_or_else(|| state.host.now());
        let result = abi::call(&mut **self.instance, func, args);
        let state = self.instance.state();
        let now = state.host.now();
        let took = state.host.between(begun, now);
        self.clock = Some(now);
        if took <= SHORT {
            let (count, sum) = vm.short.get();
            vm.short.set((count + 1, sum + took));
        } else {
            state.host.note(Event::Callback(took));
        }
        state.finish_output();
        let value = match result {
            Ok(value) => value,
            Err(trap) => {
                let error = report(state, name, &trap);
                vm.poison(state);
                return Err(error);
            }
        };
        if !state.asked.is_empty() {
            state.asked.drain(..).for_each(background::ask);
        }
        if take(&mut state.done_called) && !vm.ends.replace(true) {
            let result = self.end_what_is_due();
            vm.ends.set(false);
            result?;
        }
        Ok(value)
    }

    /// Adds a plugin context, and runs `proxy_on_context_create`, for the first also `proxy_on_vm_start`, and
    /// `proxy_on_configure`. Gives its id.
    ///
    /// # Errors
    /// A callback trapped or refused.
    pub fn configure(&mut self, config: Rc<[u8]>, serial: u32) -> Result<u32, Error> {
        let vm = self.vm;
        self.instance.allow(vm.limits.vm.time);
        let result = self.run_configure(config, serial);
        self.instance.allow(vm.limits.callback);
        let (id, is_accepted) = result?;
        if !is_accepted {
            self.delete(id)?;
            return Err(Error::Refused {
                function: "proxy_on_configure",
            });
        }
        self.note_memory();
        vm.least.set(vm.memory.get());
        vm.tell_short();
        Ok(id)
    }

    /// Gives the id, and whether the plugin has accepted the configuration.
    fn run_configure(&mut self, config: Rc<[u8]>, serial: u32) -> Result<(u32, bool), Error> {
        let vm = self.vm;
        let callbacks = &vm.callbacks;
        let size = config.len() as u32;
        let state = self.state();
        let id = state.contexts.insert_root(RootContext {
            config,
            tick_period: 0,
            has_queue: false,
            serial,
        });
        let vm_size = state.plugin.vm_config.len() as u32;
        self.run(
            "proxy_on_context_create",
            callbacks.on_context_create,
            id,
            Phase::Start,
            &[id, 0],
        )?;
        if !vm.started.get() {
            let ok = self.run(
                "proxy_on_vm_start",
                callbacks.on_vm_start,
                id,
                Phase::Start,
                &[id, vm_size],
            )?;
            if ok == Some(0) {
                vm.poison(self.state());
                return Err(Error::Refused {
                    function: "proxy_on_vm_start",
                });
            }
            vm.started.set(true);
        }
        let ok = self.run(
            "proxy_on_configure",
            callbacks.on_configure,
            id,
            Phase::Configure,
            &[id, size],
        )?;
        Ok((id, ok != Some(0)))
    }

    /// Adds the context of a request. Where there are too many, it takes the place of one whose plugin has yet to call `proxy_done`.
    ///
    /// # Errors
    /// There is none such, or that one's end trapped.
    pub fn add_stream(&mut self, root_id: u32, http: Rc<dyn HttpStream>) -> Result<u32, Error> {
        let vm = self.vm;
        let state = self.state();
        let limit = state.plugin.bounds.streams;
        if state.contexts.streams() >= limit {
            let Some(pending) = state.contexts.pending() else {
                return Err(Error::TooManyStreams {
                    limit,
                    is_first: !vm.crowded.replace(true),
                });
            };
            self.end(pending)?;
        }
        vm.crowded.set(false);
        Ok(self.state().contexts.insert_stream(root_id, http))
    }

    /// Tells the host by how much the guest's memory has grown.
    fn note_memory(&mut self) {
        let memory = self.instance.memory_size() as i64;
        let grown = memory - self.vm.memory.replace(memory);
        if grown != 0 {
            let event = Event::Instances {
                count: 0,
                memory: grown,
            };
            self.state().host.note(event);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.clock.is_some() {
            self.note_memory();
        }
    }
}
