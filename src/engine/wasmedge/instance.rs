//! A running instance, and the way from it into host functions.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

use super::api::{
    Api, Owned, WasmEdge_CallingFrameContext, WasmEdge_ErrCategory_UserLevelError,
    WasmEdge_ErrCode_IndirectCallTypeMismatch, WasmEdge_ErrCode_TableOutOfBounds,
    WasmEdge_ErrCode_UndefinedElement, WasmEdge_ErrCode_Unreachable, WasmEdge_ExecutorContext,
    WasmEdge_FunctionInstanceContext, WasmEdge_GlobalInstanceContext,
    WasmEdge_MemoryInstanceContext, WasmEdge_ModuleInstanceContext, WasmEdge_Result,
    WasmEdge_StoreContext, WasmEdge_ValType, WasmEdge_Value, string,
};
use super::signals::Handlers;
use super::thread_locals::ThreadLocals;
use super::{Config, Link, native, prepare};
use crate::engine::{Error, Func, Guest, HostFunc, Instance, Trap, ValType, signals};

const PAGE: usize = 64 * 1024;

/// How many calls into the guest may be under way at a time, each from a host function of the one before. Each takes some
/// kilobytes of the native stack, of which the guest's own count knows nothing.
const MOST_NESTED: u32 = 64;

/// Arguments that cross without allocation.
const FEW: usize = 12;

/// An instance and all that it needs. It is reached through raw pointers alone, because a guest's host functions come
/// back to it while a call into the guest is under way.
struct Inner<S> {
    // Dropped in this order: each needs those below.
    module: Option<Owned<WasmEdge_ModuleInstanceContext>>,
    _host: Owned<WasmEdge_ModuleInstanceContext>,
    _store: Owned<WasmEdge_StoreContext>,
    executor: Owned<WasmEdge_ExecutorContext>,
    _bindings: Box<[Binding<S>]>,
    link: Arc<Link<S>>,
    memory: *mut WasmEdge_MemoryInstanceContext,
    stack_left: *mut WasmEdge_GlobalInstanceContext,
    funcs: Vec<Rc<Exported>>,
    state: S,
    /// How many calls into the guest are under way.
    depth: u32,
    /// What a host function failed with, on its way through WasmEdge to its caller.
    trap: Option<Trap>,
}

/// What WasmEdge hands to [`host_func`].
struct Binding<S> {
    inner: *mut Inner<S>,
    func: usize,
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
struct Access<S>(*mut Inner<S>);

impl<S: 'static> Running<S> {
    /// Makes an instance and runs the module's start section, if any.
    pub fn new(link: &Arc<Link<S>>, state: S, pages: u32) -> Result<Self, Trap> {
        let api = link.api;
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
            module: None,
            _host: host,
            _store: store,
            executor,
            _bindings: bindings,
            link: Arc::clone(link),
            memory: ptr::null_mut(),
            stack_left: ptr::null_mut(),
            funcs: Vec::new(),
            state,
            // The start section may run.
            depth: 1,
            trap: None,
        }));
        // From here on it is freed with this, on every way out.
        let running = Self(Access(inner));
        // SAFETY: the allocation is `running`'s, and nothing has a reference into it. The pointer to the first binding is that
        // of the whole list.
        let bindings = unsafe {
            for binding in &mut (*inner)._bindings {
                binding.inner = inner;
            }
            (*inner)._bindings.as_mut_ptr()
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
        let handlers = (link.is_compiled && signals::are_used()).then(Handlers::save);
        // SAFETY: all objects are alive. Host functions that the start section calls reach `inner`, to which no reference is
        // held here.
        let result = unsafe {
            let result = (api.WasmEdge_ExecutorRegisterImport)(executor_ptr, store_ptr, host_ptr);
            if api.ok(result) {
                (api.WasmEdge_ExecutorInstantiate)(
                    executor_ptr,
                    &raw mut module,
                    store_ptr,
                    link.ast.0.as_ptr(),
                )
            } else {
                result
            }
        };
        if let Some(handlers) = handlers {
            handlers.restore();
        }
        if !api.ok(result) {
            return Err(running.0.trap(result));
        }
        // SAFETY: WasmEdge made the module for its caller; `inner` is alive and not borrowed.
        unsafe {
            let inner = &mut *inner;
            inner.depth = 0;
            inner.stack_left =
                (api.WasmEdge_ModuleInstanceFindGlobal)(module, string(&link.stack_left));
            inner.memory = (api.WasmEdge_ModuleInstanceFindMemory)(module, string("memory"));
            inner.module =
                Some(Owned::new(module, api.WasmEdge_ModuleInstanceDelete).map_err(error)?);
        }
        Ok(running)
    }
}

impl<S: 'static> Drop for Running<S> {
    fn drop(&mut self) {
        // SAFETY: it came from a box and is this one's own; nothing of it runs, or it would be borrowed.
        drop(unsafe { Box::from_raw(self.0.0) });
    }
}

impl<S: 'static> Instance<S> for Running<S> {
    fn func(&mut self, name: &str) -> Option<Func> {
        // SAFETY: the instance is alive and, through `self`, borrowed by nobody else. No guest code runs here.
        let inner = unsafe { &mut *self.0.0 };
        let api = inner.link.api;
        let ty = inner.link.exported(name)?;
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
        self.split().1
    }

    fn split(&mut self) -> (&mut [u8], &mut S) {
        // SAFETY: the instance is alive. Whoever else could reach it waits for this one's owner: a call into the guest, or a
        // host function, needs `self` as well.
        let inner = unsafe { &mut *self.0 };
        if inner.memory.is_null() {
            return (&mut [], &mut inner.state);
        }
        let api = inner.link.api;
        // SAFETY: the memory is the instance's. The pages that it tells lie where it says until the guest runs, for which
        // `self` is needed; nobody else has them.
        let bytes = unsafe {
            let pages = (api.WasmEdge_MemoryInstanceGetPageSize)(inner.memory) as usize;
            let data = (api.WasmEdge_MemoryInstanceGetPointer)(inner.memory, 0, 0);
            if data.is_null() {
                &mut []
            } else {
                std::slice::from_raw_parts_mut(data, pages * PAGE)
            }
        };
        (bytes, &mut inner.state)
    }

    fn call(&mut self, func: Func, args: &[u64]) -> Result<u64, Trap> {
        // SAFETY: the instance is alive, and the reference ends before the guest runs.
        let (api, executor, exported, is_compiled, depth) = unsafe {
            let inner = &*self.0;
            let exported = Rc::clone(&inner.funcs[func.index as usize]);
            let is_compiled = inner.link.is_compiled;
            (
                inner.link.api,
                inner.executor.as_ptr(),
                exported,
                is_compiled,
                inner.depth,
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
        let handlers = (is_compiled && signals::are_used()).then(Handlers::save);
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
        if let Some(handlers) = handlers {
            handlers.restore();
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
    /// What a failed call left behind.
    fn trap(&self, result: WasmEdge_Result) -> Trap {
        // SAFETY: the instance is alive, its guest has stopped, and the global is its own.
        unsafe {
            let inner = &mut *self.0;
            if let Some(trap) = inner.trap.take() {
                return trap;
            }
            let api = inner.link.api;
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

/// Every host function, as WasmEdge calls it.
///
/// # Safety
/// `data` is a [`Binding`] of an instance that is alive and in a call, with no reference held to it. The values are those of
/// the binding's function, and `results` has room for its result.
unsafe extern "C" fn host_func<S: 'static>(
    data: *mut c_void,
    frame: *const WasmEdge_CallingFrameContext,
    params: *const WasmEdge_Value,
    results: *mut WasmEdge_Value,
) -> WasmEdge_Result {
    // SAFETY: the caller says so.
    let (inner, index) = unsafe {
        let binding = &*data.cast::<Binding<S>>();
        (binding.inner, binding.func)
    };
    let run = AssertUnwindSafe(|| {
        // SAFETY: the template outlives the instance, and is not in it.
        let linked = unsafe { &(&*Arc::as_ptr(&(&*inner).link)).funcs[index] };
        let answer = match &linked.func {
            HostFunc::Call(call) => {
                // SAFETY: the instance is alive and not borrowed.
                unsafe { find_memory(inner, frame) };
                let values = match linked.params {
                    // Then WasmEdge may give no address.
                    0 => &[],
                    // SAFETY: there are as many as the function declares.
                    count => unsafe { std::slice::from_raw_parts(params, count) },
                };
                let mut few = [0; FEW];
                let many: Vec<u64>;
                let args = if values.len() <= FEW {
                    for (slot, value) in few.iter_mut().zip(values) {
                        *slot = value.Value as u64;
                    }
                    &few[..values.len()]
                } else {
                    many = values.iter().map(|value| value.Value as u64).collect();
                    &many
                };
                call(&mut Access(inner), args)?
            }
            HostFunc::Answer(value) => *value,
            HostFunc::Trap(message) => return Err(Trap::new(message.clone())),
        };
        if let Some(ty) = linked.result {
            let bits = match ty {
                ValType::I32 | ValType::F32 => u128::from(answer as u32),
                _ => u128::from(answer),
            };
            // SAFETY: there is room for the result; only its bits are read.
            unsafe { (*results).Value = bits };
        }
        Ok(())
    });
    let trap = match catch_unwind(run) {
        Ok(Ok(())) => return WasmEdge_Result { Code: 0 },
        Ok(Err(trap)) => trap,
        // The panic hook has said more.
        Err(_) => Trap::new("a host function panicked"),
    };
    // SAFETY: the instance is alive and not borrowed; the function makes a number of two.
    unsafe {
        (*inner).trap = Some(trap);
        ((&*inner).link.api.WasmEdge_ResultGen)(WasmEdge_ErrCategory_UserLevelError, 1)
    }
}

/// A module's start section runs before anybody could look for its memory.
///
/// # Safety
/// The instance is alive and not borrowed, and the frame is one of its guest's.
unsafe fn find_memory<S>(inner: *mut Inner<S>, frame: *const WasmEdge_CallingFrameContext) {
    // SAFETY: the caller says so.
    unsafe {
        if (*inner).memory.is_null() {
            let api = (&*inner).link.api;
            let module = (api.WasmEdge_CallingFrameGetModuleInstance)(frame);
            (*inner).memory = (api.WasmEdge_ModuleInstanceFindMemory)(module, string("memory"));
        }
    }
}
