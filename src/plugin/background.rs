//! What goes on without a request: VMs that calls are answered to, and plugin contexts that tick.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustc_hash::FxBuildHasher;

use super::{Error, Plugin, PluginContext, Vm, process};
use crate::abi::Callbacks;
use crate::abi::contexts::{ContextKind, Finish};
use crate::abi::host::{CallEvent, CallId};
use crate::abi::vm::{Asked, Phase};
use crate::engine::Func;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The callback ran, well or not.
    Ran,
    /// The request that made the call waits: it has been woken to run the callback itself.
    Waiting,
    /// The call is over or was given up.
    Dropped,
}

/// What is to be done about the ticks of a plugin context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// What the plugin context is known by.
    pub context: u32,
    /// In milliseconds; 0 to stop.
    pub period: u32,
}

/// A plugin has asked for ticks, in this process or in the one that forked it.
static TICKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SERIAL: Cell<u32> = const { Cell::new(0) };
    static VMS: RefCell<HashMap<u32, Weak<Vm>, FxBuildHasher>> =
        const { RefCell::new(HashMap::with_hasher(FxBuildHasher)) };
    static CONTEXTS: RefCell<HashMap<u32, Weak<PluginContext>, FxBuildHasher>> =
        const { RefCell::new(HashMap::with_hasher(FxBuildHasher)) };
    /// With the generation of the process that they were asked for in: another has timers of its own.
    static TICKS: RefCell<VecDeque<(u32, Tick)>> = const { RefCell::new(VecDeque::new()) };
    /// The plugin contexts that have registered each queue; the last that is still there is told of its items.
    static QUEUES: RefCell<BTreeMap<u32, Vec<u32>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A number that no other VM or plugin context of this process has.
pub(super) fn next_serial() -> u32 {
    SERIAL.set(SERIAL.get() + 1);
    SERIAL.get()
}

pub(super) fn add_vm(serial: u32, vm: &Rc<Vm>) {
    VMS.with_borrow_mut(|vms| vms.insert(serial, Rc::downgrade(vm)));
}

/// How many VMs there are in this process.
pub(super) fn count_vms() -> usize {
    VMS.with_borrow(|vms| {
        let own = |vm: &Weak<Vm>| vm.upgrade().is_some_and(|vm| vm.is_own());
        vms.values().filter(|vm| own(vm)).count()
    })
}

/// The plugin contexts of a plugin.
pub(super) fn contexts_of(plugin: &Rc<Plugin>) -> Vec<Rc<PluginContext>> {
    CONTEXTS.with_borrow(|contexts| {
        let all = contexts.values().filter_map(Weak::upgrade);
        all.filter(|context| Rc::ptr_eq(context.plugin(), plugin))
            .collect()
    })
}

/// A thread-local may be gone when the last VM goes, at the end of the process.
pub(super) fn remove_vm(serial: u32) {
    let _ = VMS.try_with(|vms| vms.borrow_mut().remove(&serial));
}

pub(super) fn add_context(serial: u32, context: &Rc<PluginContext>) {
    CONTEXTS.with_borrow_mut(|contexts| contexts.insert(serial, Rc::downgrade(context)));
}

/// See [`remove_vm`].
pub(super) fn remove_context(serial: u32) {
    let _ = CONTEXTS.try_with(|contexts| contexts.borrow_mut().remove(&serial));
    let _ = QUEUES.try_with(|queues| {
        for contexts in queues.borrow_mut().values_mut() {
            contexts.retain(|context| *context != serial);
        }
    });
}

/// Does what can be done now, and keeps the rest for [`next_tick`]. A plugin context that is gone, which its plugin may name still, wants
/// nothing.
pub(super) fn ask(asked: Asked) {
    let (Asked::Ticks { context, .. } | Asked::Queue { context, .. }) = asked;
    if !CONTEXTS.with_borrow(|contexts| contexts.contains_key(&context)) {
        return;
    }
    let generation = process::generation();
    match asked {
        Asked::Ticks { context, period } => TICKS.with_borrow_mut(|ticks| {
            ticks.retain(|(_, tick)| tick.context != context);
            ticks.push_back((generation, Tick { context, period }));
            TICKED.store(true, Relaxed);
        }),
        Asked::Queue { context, id } => {
            QUEUES.with_borrow_mut(|queues| {
                let contexts = queues.entry(id).or_default();
                contexts.retain(|known| *known != context);
                contexts.push(context);
            });
        }
    }
}

/// How many items are told of at once: a plugin that fills its own queue must not hold up the worker.
const ITEMS_AT_ONCE: usize = 100;

/// For how long plugins are told of items, or of what became of calls, at once: requests come in between.
pub const AT_ONCE: Duration = Duration::from_millis(100);

/// What there may be left to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// Items of a plugin that is not run for a while.
    Later,
    More,
}

/// Runs `proxy_on_queue_ready` for items of queues, on the plugin context that registered each queue last. `tell` says whether there is an
/// item in a queue, which then counts as told; `leave` is called for queues that nobody here is left to be told of.
pub fn run_queues(tell: impl Fn(u32) -> bool, leave: impl Fn(u32)) -> Left {
    let mut queues: Vec<u32> = QUEUES.with_borrow(|queues| queues.keys().copied().collect());
    let mut left = ITEMS_AT_ONCE;
    let mut later = false;
    let begun = Instant::now();
    while left > 0 && !queues.is_empty() {
        queues.retain(|id| {
            let last = QUEUES.with_borrow(|queues| queues.get(id)?.last().copied());
            let Some(context) = last else {
                QUEUES.with_borrow_mut(|queues| queues.remove(id));
                leave(*id);
                return false;
            };
            if left == 0 {
                return true;
            }
            if find(context).is_some_and(|context| context.plugin().is_out()) {
                later = true;
                return false;
            }
            left -= 1;
            if begun.elapsed() > AT_ONCE {
                left = 0;
                return true;
            }
            tell(*id)
                && run_on(
                    context,
                    "proxy_on_queue_ready",
                    |c| c.on_queue_ready,
                    &[*id],
                )
        });
    }
    match (queues.is_empty(), later) {
        (false, _) => Left::More,
        (true, true) => Left::Later,
        (true, false) => Left::Nothing,
    }
}

/// Whether somebody here is to be told of items.
pub fn has_queues() -> bool {
    QUEUES.with_borrow(|queues| queues.values().any(|contexts| !contexts.is_empty()))
}

/// Whether [`next_tick`] has something.
pub fn has_ticks() -> bool {
    TICKED.load(Relaxed) && TICKS.with_borrow(|ticks| !ticks.is_empty())
}

/// The next plugin context whose ticks are to be started, changed or stopped.
pub fn next_tick() -> Option<Tick> {
    TICKS.with_borrow_mut(|ticks| {
        loop {
            let (generation, tick) = ticks.pop_front()?;
            if generation == process::generation() {
                return Some(tick);
            }
        }
    })
}

/// Runs `proxy_on_tick` on a plugin context. False where that is gone.
pub fn tick(context: u32) -> bool {
    run_on(context, "proxy_on_tick", |c| c.on_tick, &[])
}

fn find(context: u32) -> Option<Rc<PluginContext>> {
    CONTEXTS.with_borrow(|contexts| contexts.get(&context).and_then(Weak::upgrade))
}

/// Runs a callback on a plugin context, which a VM is made for if it has none. False where the plugin context is gone.
fn run_on(
    context: u32,
    name: &'static str,
    callback: fn(&Callbacks) -> Option<Func>,
    args: &[u32],
) -> bool {
    let Some(context) = find(context) else {
        return false;
    };
    // What fails has been logged.
    let _ = context.bind().and_then(|(vm, id)| {
        let func = callback(&vm.callbacks);
        vm.turn()?
            .run(name, func, id, Phase::Background, &[&[id], args].concat())?;
        context.plugin().rest(&vm);
        Ok(())
    });
    true
}

/// Makes a VM for each plugin context that has none in this process. Gives how many failed; the causes have been logged.
pub fn start_contexts() -> usize {
    let contexts: Vec<_> =
        CONTEXTS.with_borrow(|contexts| contexts.values().filter_map(Weak::upgrade).collect());
    contexts.iter().filter(|c| c.bind().is_err()).count()
}

/// Whether there are calls that come to an end by themselves: all but the streams that plugin contexts keep open.
pub fn awaits_end() -> bool {
    let vms: Vec<_> = VMS.with_borrow(|vms| vms.values().filter_map(Weak::upgrade).collect());
    vms.iter().filter(|vm| vm.is_usable()).any(|vm| {
        vm.with_state(|state| state.calls.any_ends())
            .unwrap_or(false)
    })
}

/// Tells a plugin what has become of a call: the request that waits for it, else the plugin context.
pub fn deliver(id: CallId, event: CallEvent) -> Delivered {
    let vm = VMS.with_borrow(|vms| vms.get(&id.vm).and_then(Weak::upgrade));
    let Some(vm) = vm.filter(|vm| vm.is_usable()) else {
        return Delivered::Dropped;
    };
    let mut event = Some(event);
    let delivered = vm.with_state(|state| {
        let Some(call) = state.calls.get(id.token) else {
            return Delivered::Dropped;
        };
        if let Some(context) = state.contexts.get_mut(call.owner)
            && context.finish == Finish::No
            && let ContextKind::Stream(stream) = &mut context.kind
            && (stream.parked || !stream.inbox.is_empty())
        {
            stream
                .inbox
                .extend(event.take().map(|event| (id.token, event)));
            stream.wake();
            return Delivered::Waiting;
        }
        Delivered::Ran
    });
    match (delivered, event) {
        (Ok(Delivered::Ran), Some(event)) => {
            let context = vm.caller(id.token).and_then(find);
            // What fails has been logged.
            let _: Result<(), Error> = vm.turn().and_then(|mut turn| turn.on_call(id.token, event));
            if let Some(context) = context {
                context.plugin().rest(&vm);
            }
            Delivered::Ran
        }
        (Ok(delivered), _) => delivered,
        (Err(_), _) => Delivered::Dropped,
    }
}
