use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Instant;

use super::{Error, Plugin, Vm, background};
use crate::abi::types::LogLevel;
use crate::abi::vm::Asked;

/// A plugin with one configuration: a plugin context (root context) in whatever VM is current.
pub struct PluginContext {
    plugin: Rc<Plugin>,
    config: Rc<[u8]>,
    serial: u32,
    bound: RefCell<Option<(Weak<Vm>, u32)>>,
}

impl PluginContext {
    /// Makes the context in the current VM, which runs `proxy_on_configure`.
    ///
    /// # Errors
    /// A callback trapped or refused. The cause has been logged.
    pub fn new(plugin: Rc<Plugin>, config: &[u8]) -> Result<Rc<Self>, Error> {
        let serial = background::next_serial();
        let context = Rc::new(Self {
            plugin,
            config: config.into(),
            serial,
            bound: RefCell::new(None),
        });
        background::add_context(serial, &context);
        context.bind()?;
        Ok(context)
    }

    pub fn plugin(&self) -> &Rc<Plugin> {
        &self.plugin
    }

    /// The VM to run on and the context's id in it. After a fork or a trap this configures the context anew.
    pub(super) fn bind(&self) -> Result<(Rc<Vm>, u32), Error> {
        let mut bound = self.bound.try_borrow_mut().map_err(|_| Error::Busy)?;
        if let Some((vm, id)) = &*bound
            && let Some(vm) = vm.upgrade()
            && vm.is_usable()
        {
            return Ok((vm, *id));
        }
        let vm = self.plugin.vm()?;
        let config = Rc::clone(&self.config);
        let id = vm
            .turn()
            .and_then(|mut turn| turn.configure(config, self.serial))
            .inspect_err(|error| {
                if let Error::Refused { .. } = error {
                    self.plugin.log(LogLevel::Error, &error.to_string());
                    if bound.is_some() && vm.is_usable() {
                        // A request that needs it will try again, and so will the next. A VM that is not usable counts itself.
                        self.plugin.crashed(Instant::now());
                    }
                }
                if let Error::Trap { function, .. } = error
                    && function == "proxy_on_context_create"
                {
                    // SDKs that look their root context up by name end so where they do not find it.
                    let root_id = String::from_utf8_lossy(&self.plugin.info().root_id);
                    self.plugin.log(
                    LogLevel::Error,
                    &format!(
                        "the root id it was given is \"{root_id}\", the option root_id sets another"
                    ),
                );
                }
            })?;
        let was_bound = bound.replace((Rc::downgrade(&vm), id)).is_some();
        if was_bound && !vm.with_state(|state| state.contexts.ticks(id))? {
            // Ticks go on only if the plugin has asked for them again.
            background::ask(Asked::Ticks {
                context: self.serial,
                period: 0,
            });
        }
        Ok((vm, id))
    }

    /// Ends in the VM that it is bound to; the next callback binds it to another.
    pub(super) fn leave(&self) {
        let bound = self.bound.borrow().clone();
        if let Some((vm, id)) = bound
            && let Some(vm) = vm.upgrade()
            && vm.is_usable()
            && let Err(error @ Error::Busy) = vm.turn().and_then(|mut turn| turn.finish(id))
        {
            self.plugin.log(
                LogLevel::Error,
                &format!("context {id} was not deleted: {error}"),
            );
        }
    }
}

impl Drop for PluginContext {
    fn drop(&mut self) {
        background::remove_context(self.serial);
        self.leave();
    }
}
