//! A running instance.

use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::api::{
    Api, Owned, WasmEdge_ErrCode_IndirectCallTypeMismatch, WasmEdge_ErrCode_TableOutOfBounds,
    WasmEdge_ErrCode_UndefinedElement, WasmEdge_ErrCode_Unreachable, WasmEdge_ExecutorContext,
    WasmEdge_FunctionInstanceContext, WasmEdge_GlobalInstanceContext,
    WasmEdge_MemoryInstanceContext, WasmEdge_ModuleInstanceContext, WasmEdge_Result,
    WasmEdge_StoreContext, WasmEdge_ValType, WasmEdge_Value, string,
};
use super::host::{Binding, host_func};
use super::interrupt::Interrupter;
use super::signals::Handlers;
use super::thread_locals::ThreadLocals;
use super::{Config, Link, PAGE, native, prepare};
use crate::engine::clock::{self, Allowed, Call};
use crate::engine::{Error, Func, FuncType, Guest, Instance, Trap};

/// How many calls into the guest may be under way at a time, each from a host function of the one before. Each takes some
/// kilobytes of the native stack, of which the guest's own count knows nothing.
const MOST_NESTED: u32 = 64;

/// Arguments that cross without allocation.
pub const FEW: usize = 12;

/// An instance and all that it needs. It is reached through raw pointers alone, because a guest's host functions come
/// back to it while a call into the guest is under way.
pub struct Inner<S> {
    // Dropped in this order: each needs those below.
    /// Made when the clock runs.
    interrupter: Option<Interrupter>,
    module: Option<Owned<WasmEdge_ModuleInstanceContext>>,
    _host: Owned<WasmEdge_ModuleInstanceContext>,
    _store: Owned<WasmEdge_StoreContext>,
    executor: Owned<WasmEdge_ExecutorContext>,
    bindings: Box<[Binding<S>]>,
    pub link: Arc<Link<S>>,
    pub memory: *mut WasmEdge_MemoryInstanceContext,
    stack_left: *mut WasmEdge_GlobalInstanceContext,
    stop: *mut WasmEdge_GlobalInstanceContext,
    funcs: Vec<Rc<Exported>>,
    state: S,
    /// How long a call from outside may take.
    time: Duration,
    /// How many calls into the guest are under way.
    depth: u32,
    /// What a host function failed with, on its way through WasmEdge to its caller.
    pub trap: Option<Trap>,
}

/// An exported function.
struct Exported {
    func: *mut WasmEdge_FunctionInstanceContext,
    params: Box<[WasmEdge_ValType]>,
    has_result: bool,
}

/// The one owner of an instance.
pub struct Running<S: 'static>(Access<S>);

/// A way to an instance that is alive.
pub struct Access<S>(pub *mut Inner<S>);

impl<S: 'static> Running<S> {
    /// Makes an instance and runs the module's start section, if any.
    pub fn new(link: &Arc<Link<S>>, state: S, pages: u32, time: Duration) -> Result<Self, Trap> {
        let api = link.code.api;
        let error = |error: Error| Trap::new(error.to_string());
        let config = Config::with_pages(api, pages).map_err(error)?;
        // SAFETY: the configuration is alive and copied, and the objects are new.
        let (executor, store, host) = unsafe {
            (
                Owned::new(
                    (api.WasmEdge_ExecutorCreate)(config.0.as_ptr(), ptr::null_mut()),
                    api.WasmEdge_ExecutorDelete,
                )
                .map_err(error)?,
                Owned::new((api.WasmEdge_StoreCreate)(), api.WasmEdge_StoreDelete)
                    .map_err(error)?,
                Owned::new(
                    (api.WasmEdge_ModuleInstanceCreate)(string(prepare::IMPORTS)),
                    api.WasmEdge_ModuleInstanceDelete,
                )
                .map_err(error)?,
            )
        };
        let (executor_ptr, store_ptr, host_ptr) =
            (executor.as_ptr(), store.as_ptr(), host.as_ptr());
        let bindings = (0..link.funcs.len())
            .map(|func| Binding {
                inner: ptr::null_mut(),
                func,
            })
            .collect();
        let inner = Box::into_raw(Box::new(Inner {
            interrupter: None,
            module: None,
            _host: host,
            _store: store,
            executor,
            bindings,
            link: Arc::clone(link),
            memory: ptr::null_mut(),
            stack_left: ptr::null_mut(),
            stop: ptr::null_mut(),
            funcs: Vec::new(),
            state,
            time,
            depth: 0,
            trap: None,
        }));
        // From here on it is freed with this, on every way out.
        let mut running = Self(Access(inner));
        // SAFETY: the allocation is `running`'s, and nothing has a reference into it. The pointer to the first binding is that
        // of the whole list.
        let bindings = unsafe {
            for binding in &mut (*inner).bindings {
                binding.inner = inner;
            }
            (*inner).bindings.as_mut_ptr()
        };
        for (index, func) in link.funcs.iter().enumerate() {
            // SAFETY: the type is alive and copied. The data is a binding of the list, which lives as long as the host module.
            // The module takes the function.
            unsafe {
                let instance = (api.WasmEdge_FunctionInstanceCreate)(
                    func.native.0.as_ptr(),
                    Some(host_func::<S>),
                    bindings.add(index).cast(),
                    0,
                );
                let name = index.to_string();
                (api.WasmEdge_ModuleInstanceAddFunction)(host_ptr, string(&name), instance);
            }
        }
        let mut module = ptr::null_mut();
        // A start section has a compiled function too, though it does nothing.
        let handlers = Handlers::keep(link.code.is_compiled);
        // SAFETY: all objects are alive.
        let result = unsafe {
            let result = (api.WasmEdge_ExecutorRegisterImport)(executor_ptr, store_ptr, host_ptr);
            if api.ok(result) {
                (api.WasmEdge_ExecutorInstantiate)(
                    executor_ptr,
                    &raw mut module,
                    store_ptr,
                    link.code.ast.0.as_ptr(),
                )
            } else {
                result
            }
        };
        drop(handlers);
        if !api.ok(result) {
            return Err(running.0.trap(result));
        }
        // SAFETY: WasmEdge made the module for its caller; `inner` is alive and not borrowed.
        unsafe {
            let inner = &mut *inner;
            inner.stack_left = (api.WasmEdge_ModuleInstanceFindGlobal)(
                module,
                string(&link.code.names.stack_left),
            );
            inner.stop =
                (api.WasmEdge_ModuleInstanceFindGlobal)(module, string(&link.code.names.stop));
            inner.memory = (api.WasmEdge_ModuleInstanceFindMemory)(module, string("memory"));
            inner.module =
                Some(Owned::new(module, api.WasmEdge_ModuleInstanceDelete).map_err(error)?);
        }
        if let Some(start) = &link.code.names.start {
            let func = running.find(start, &FuncType::default());
            let func = func.ok_or_else(|| Trap::new("the start function is not there"))?;
            running.call(func, &[])?;
        }
        Ok(running)
    }

    /// Finds an exported function of that type.
    fn find(&mut self, name: &str, ty: &FuncType) -> Option<Func> {
        // SAFETY: the instance is alive and, through `self`, borrowed by nobody else. No guest code runs here.
        let inner = unsafe { &mut *self.0.0 };
        let api = inner.link.code.api;
        let module = inner.module.as_ref()?.as_ptr();
        // SAFETY: the module is alive; it owns the function.
        let func = unsafe { (api.WasmEdge_ModuleInstanceFindFunction)(module, string(name)) };
        if func.is_null() {
            return None;
        }
        inner.funcs.push(Rc::new(Exported {
            func,
            params: ty.params.iter().map(|t| native(api, *t)).collect(),
            has_result: !ty.results.is_empty(),
        }));
        Some(Func {
            index: u32::try_from(inner.funcs.len() - 1).ok()?,
            params: u8::try_from(ty.params.len()).ok()?,
        })
    }
}

impl<S: 'static> Drop for Running<S> {
    fn drop(&mut self) {
        // SAFETY: it came from a box and is this one's own; nothing of it runs, or it would be borrowed.
        drop(unsafe { Box::from_raw(self.0.0) });
    }
}

impl<S: 'static> Instance<S> for Running<S> {
    fn allow(&mut self, time: Duration) {
        // SAFETY: the instance is alive and, through `self`, borrowed by nobody else.
        unsafe { (*self.0.0).time = time };
    }

    fn func(&mut self, name: &str) -> Option<Func> {
        // SAFETY: the instance is alive, and so is its template while `self` is borrowed. Nothing changes either meanwhile.
        let link = unsafe { Arc::clone(&(*self.0.0).link) };
        self.find(name, link.code.exported(name)?)
    }
}

impl<S: 'static> Guest<S> for Running<S> {
    fn memory(&mut self) -> &mut [u8] {
        self.0.memory()
    }

    fn state(&mut self) -> &mut S {
        self.0.state()
    }

    fn split(&mut self) -> (&mut [u8], &mut S) {
        self.0.split()
    }

    fn call(&mut self, func: Func, args: &[u64]) -> Result<u64, Trap> {
        self.0.call(func, args)
    }
}

impl<S: 'static> Guest<S> for Access<S> {
    fn memory(&mut self) -> &mut [u8] {
        self.split().0
    }

    fn state(&mut self) -> &mut S {
        // SAFETY: as in `split`.
        unsafe { &mut (*self.0).state }
    }

    fn split(&mut self) -> (&mut [u8], &mut S) {
        // SAFETY: the instance is alive. Whoever else could reach it waits for this one's owner: a call into the guest, or a
        // host function, needs `self` as well.
        let inner = unsafe { &mut *self.0 };
        if inner.memory.is_null() {
            return (&mut [], &mut inner.state);
        }
        let api = inner.link.code.api;
        // SAFETY: the memory is the instance's. The pages that it tells lie where it says until the guest runs, for which
        // `self` is needed; nobody else has them.
        let bytes = unsafe {
            let pages = (api.WasmEdge_MemoryInstanceGetPageSize)(inner.memory) as usize;
            let data = (api.WasmEdge_MemoryInstanceGetPointer)(inner.memory, 0, 0);
            if data.is_null() {
                &mut []
            } else {
                std::slice::from_raw_parts_mut(data, pages * PAGE as usize)
            }
        };
        (bytes, &mut inner.state)
    }

    fn call(&mut self, func: Func, args: &[u64]) -> Result<u64, Trap> {
        // SAFETY: the instance is alive, and the reference ends before the guest runs.
        let (api, executor, exported, is_compiled, depth, time) = unsafe {
            let inner = &*self.0;
            let exported = Rc::clone(&inner.funcs[func.index as usize]);
            let is_compiled = inner.link.code.is_compiled;
            (
                inner.link.code.api,
                inner.executor.as_ptr(),
                exported,
                is_compiled,
                inner.depth,
                inner.time,
            )
        };
        if args.len() != exported.params.len() {
            return Err(Trap::new(
                "the number of arguments is not what the function declares",
            ));
        }
        if depth == MOST_NESTED {
            return Err(Trap::new("wasm trap: call stack exhausted"));
        }
        let value = |(bits, ty): (&u64, &WasmEdge_ValType)| WasmEdge_Value {
            Value: u128::from(*bits),
            Type: *ty,
        };
        let mut few = [const { ZERO }; FEW];
        let many: Vec<WasmEdge_Value>;
        let values = if args.len() <= FEW {
            for (slot, arg) in few.iter_mut().zip(args.iter().zip(&exported.params)) {
                *slot = value(arg);
            }
            &few[..args.len()]
        } else {
            many = args.iter().zip(&exported.params).map(value).collect();
            &many
        };
        let mut answer = ZERO;
        let saved = (is_compiled && depth > 0).then(|| ThreadLocals::save(api));
        let handlers = Handlers::keep(is_compiled);
        // A call from a host function is part of one that has begun.
        let timed = (depth == 0).then(|| self.begin(time));
        // SAFETY: executor and function belong to this instance, which is alive. The values are of the function's types and as
        // many. No reference into the instance is held, as the guest's host functions make their own.
        let result = unsafe {
            (*self.0).depth += 1;
            let result = (api.WasmEdge_ExecutorInvoke)(
                executor,
                exported.func,
                values.as_ptr(),
                values.len() as u32,
                &raw mut answer,
                u32::from(exported.has_result),
            );
            (*self.0).depth -= 1;
            result
        };
        if let Some(saved) = saved {
            saved.restore();
        }
        drop(handlers);
        if timed.is_some_and(|timed| self.end(&timed)) {
            // What a host function failed with, if anything, was because of it.
            let _ = self.trap(result);
            return Err(Trap {
                timed_out: true,
                ..Trap::new(clock::message(time))
            });
        }
        if api.ok(result) {
            Ok(answer.Value as u64)
        } else {
            Err(self.trap(result))
        }
    }
}

const ZERO: WasmEdge_Value = WasmEdge_Value {
    Value: 0,
    Type: WasmEdge_ValType { Data: [0; 8] },
};

impl<S: 'static> Access<S> {
    /// A call begins that has to end in time.
    fn begin(&self, time: Duration) -> Call {
        let call = Call::begin(&Allowed::new(time));
        if let Some(ticks) = call.ticks {
            // SAFETY: the instance is alive and not borrowed. The global is its module's, which goes after the interrupter.
            unsafe {
                let inner = &mut *self.0;
                let (api, stop) = (inner.link.code.api, inner.stop);
                inner
                    .interrupter
                    .get_or_insert_with(|| Interrupter::new(api, stop))
                    .begin(ticks);
            }
        }
        call
    }

    /// The call is over. Answers whether it took too long.
    fn end(&self, call: &Call) -> bool {
        // SAFETY: the instance is alive, not borrowed, and its guest has stopped.
        let interrupter = unsafe { &(*self.0).interrupter };
        match (call.ticks, interrupter) {
            (Some(_), Some(interrupter)) => interrupter.end(),
            _ => false,
        }
    }

    /// What a failed call left behind.
    fn trap(&self, result: WasmEdge_Result) -> Trap {
        // SAFETY: the instance is alive, its guest has stopped, and the global is its own.
        unsafe {
            let inner = &mut *self.0;
            if let Some(trap) = inner.trap.take() {
                return trap;
            }
            let api = inner.link.code.api;
            let is_exhausted = result.Code == WasmEdge_ErrCode_Unreachable
                && !inner.stack_left.is_null()
                && ((api.WasmEdge_GlobalInstanceGetValue)(inner.stack_left).Value as i32)
                    .is_negative();
            Trap::new(format!("wasm trap: {}", explain(api, result, is_exhausted)))
        }
    }
}

/// What every engine calls it.
#[allow(non_upper_case_globals, reason = "names of C")]
fn explain(api: &Api, result: WasmEdge_Result, is_exhausted: bool) -> String {
    let known = match result.Code {
        _ if is_exhausted => "call stack exhausted",
        WasmEdge_ErrCode_Unreachable => "wasm `unreachable` instruction executed",
        WasmEdge_ErrCode_TableOutOfBounds | WasmEdge_ErrCode_UndefinedElement => {
            "undefined element: out of bounds table access"
        }
        WasmEdge_ErrCode_IndirectCallTypeMismatch => "indirect call type mismatch",
        // The others have the specification's names.
        _ => return api.message(result),
    };
    known.to_owned()
}
