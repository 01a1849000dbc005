//! Wasmtime.

mod kept;
mod limiter;
mod neutral;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use limiter::Limiter;
use neutral::{export, import, trap};
use wasmtime as wt;
use wt::{AsContext, AsContextMut};

use super::cache::Kept;
use super::clock::{self, Allowed, Call};
use super::{
    Engine, Error, Export, Func, FuncType, Guest, HostFunc, Import, Instance, Limits, Module,
    Template, Trap, ValType, one_line, signals,
};

/// More ticks than any clock counts.
const NEVER: u64 = 1 << 40;

/// The engine, with the settings that a host which forks needs.
pub struct Wasmtime {
    config: wt::Config,
    engine: wt::Engine,
}

impl Wasmtime {
    /// Sets the engine up. It starts no thread: it may be made before a fork and used after it.
    ///
    /// # Errors
    /// The processor or the system lacks what Wasmtime needs.
    pub fn new() -> Result<Self, Error> {
        let mut config = wt::Config::new();
        // Debuggers and profilers may want it; a worker that loads many plugins does not.
        config.native_unwind_info(false);
        config.wasm_backtrace_details(wt::WasmBacktraceDetails::Disable);
        config.epoch_interruption(true);
        let engine =
            wt::Engine::new(&config).map_err(|e| Error::Engine(format!("wasmtime: {e:#}")))?;
        signals::use_them();
        let ticked = engine.weak();
        clock::watch(move |_| {
            ticked
                .upgrade()
                .map(|engine| engine.increment_epoch())
                .is_some()
        });
        Ok(Self { config, engine })
    }
}

impl<S: 'static> Engine<S> for Wasmtime {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn compile(&self, bytes: &[u8]) -> Result<Arc<dyn Module<S>>, Error> {
        let module = kept::compile(&self.engine, &self.config, bytes)
            .map_err(|e| Error::Invalid(one_line(&format!("{e:#}"))))?;
        Ok(Arc::new(Compiled::new(module)))
    }

    fn fingerprint(&self) -> Option<Vec<u8>> {
        Some(kept::fingerprint(&self.engine))
    }

    fn restore(&self, _bytes: &[u8], kept: &Kept) -> Result<Arc<dyn Module<S>>, Error> {
        let module = kept::module(&self.engine, kept)
            .map_err(|e| Error::Engine(one_line(&format!("{e:#}"))))?;
        Ok(Arc::new(Compiled::new(module)))
    }
}

struct Compiled {
    module: wt::Module,
    imports: Vec<Import>,
    exports: Vec<Export>,
}

impl Compiled {
    fn new(module: wt::Module) -> Self {
        Self {
            imports: module.imports().map(import).collect(),
            exports: module.exports().map(export).collect(),
            module,
        }
    }
}

impl<S: 'static> Module<S> for Compiled {
    fn imports(&self) -> &[Import] {
        &self.imports
    }

    fn exports(&self) -> &[Export] {
        &self.exports
    }

    fn code(&self) -> io::Result<Option<Vec<u8>>> {
        self.module.serialize().map(Some).map_err(io::Error::other)
    }

    fn link(&self, funcs: Vec<HostFunc<S>>) -> Result<Arc<dyn Template<S>>, Error> {
        let mut linker = wt::Linker::new(self.module.engine());
        // A module may import the same function twice.
        linker.allow_shadowing(true);
        for ((import, native), func) in self.imports.iter().zip(self.module.imports()).zip(funcs) {
            let (Some(ty), wt::ExternType::Func(native)) = (&import.ty, native.ty()) else {
                return Err(Error::ImportKind {
                    module: import.module.clone(),
                    name: import.name.clone(),
                });
            };
            define(&mut linker, import, ty, native, func)
                .map_err(|e| Error::Engine(format!("{e:#}")))?;
        }
        let pre = linker
            .instantiate_pre(&self.module)
            .map_err(|e| Error::Invalid(one_line(&format!("{e:#}"))))?;
        Ok(Arc::new(pre))
    }
}

/// What a store holds: the embedder's state and what was found in the instance.
struct Slot<S> {
    state: S,
    limiter: Limiter,
    allowed: Allowed,
    memory: Option<wt::Memory>,
    /// Counted, because a function cannot be called while its store lends it out, and a copy of it is dear.
    funcs: Vec<Rc<Typed>>,
}

impl<S: 'static> Template<S> for wt::InstancePre<Slot<S>> {
    fn instantiate(&self, state: S, limits: Limits) -> Result<Box<dyn Instance<S>>, Trap> {
        let mut store = wt::Store::new(
            self.module().engine(),
            Slot {
                state,
                limiter: Limiter::new(limits),
                allowed: Allowed::new(limits.time),
                memory: None,
                funcs: Vec::new(),
            },
        );
        store.limiter(|slot| &mut slot.limiter);
        let call = Call::begin(&store.data().allowed);
        store.set_epoch_deadline(call.ticks.unwrap_or(NEVER));
        let instance = wt::InstancePre::instantiate(self, &mut store)
            .map_err(|error| trap(error, limits.time))?;
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        Ok(Box::new(Running {
            store,
            instance,
            funcs: Vec::new(),
        }))
    }
}

struct Running<S: 'static> {
    store: wt::Store<Slot<S>>,
    instance: wt::Instance,
    /// As in the store, for calls from outside.
    funcs: Vec<Rc<Typed>>,
}

impl<S: 'static> Instance<S> for Running<S> {
    fn allow(&mut self, time: Duration) {
        let allowed = &mut self.store.data_mut().allowed;
        if allowed.time != time {
            *allowed = Allowed::new(time);
        }
    }

    fn func(&mut self, name: &str) -> Option<Func> {
        let func = self.instance.get_func(&mut self.store, name)?;
        let typed = Typed::new(func, &self.store);
        let params = u8::try_from(func.ty(&self.store).params().len()).ok()?;
        let typed = Rc::new(typed);
        self.store.data_mut().funcs.push(Rc::clone(&typed));
        self.funcs.push(typed);
        Some(Func {
            index: u32::try_from(self.funcs.len() - 1).ok()?,
            params,
        })
    }

    fn memory_size(&mut self) -> usize {
        self.store.data().limiter.memory()
    }
}

/// Implements [`Guest`] for what can be borrowed as a store's context.
macro_rules! guest {
    ($name:ty, |$self:ident| $context:expr, |$caller:ident, $func:ident, $args:ident| $call:expr) => {
        impl<S: 'static> Guest<S> for $name {
            fn memory(&mut self) -> &mut [u8] {
                self.split().0
            }

            fn state(&mut self) -> &mut S {
                let $self = self;
                &mut $context.data_mut().state
            }

            fn split(&mut self) -> (&mut [u8], &mut S) {
                let $self = self;
                match $context.data().memory {
                    Some(memory) => {
                        let (bytes, slot) = memory.data_and_store_mut($context.as_context_mut());
                        (bytes, &mut slot.state)
                    }
                    None => (&mut [], &mut $context.data_mut().state),
                }
            }

            fn call(&mut self, $func: Func, $args: &[u64]) -> Result<u64, Trap> {
                let $caller = self;
                $call
            }
        }
    };
}

guest!(Running<S>, |guest| guest.store, |guest, func, args| {
    let call = Call::begin(&guest.store.data().allowed);
    guest.store.set_epoch_deadline(call.ticks.unwrap_or(NEVER));
    match guest.funcs[func.index as usize].call(&mut guest.store, args) {
        Ok(value) => Ok(value),
        Err(error) => Err(trap(error, guest.store.data().allowed.time)),
    }
});
// Part of a call that has begun.
guest!(
    wt::Caller<'_, Slot<S>>,
    |guest| guest,
    |guest, func, args| {
        let slot = guest.data();
        let (time, typed) = (
            slot.allowed.time,
            Rc::clone(&slot.funcs[func.index as usize]),
        );
        typed.call(guest, args).map_err(|error| trap(error, time))
    }
);

/// A module's start section runs before anybody could look for its memory.
fn find_memory<S: 'static>(caller: &mut wt::Caller<'_, Slot<S>>) {
    if caller.data().memory.is_none() {
        caller.data_mut().memory = caller
            .get_export("memory")
            .and_then(wt::Extern::into_memory);
    }
}

/// Generates the exported functions that are called without boxing their arguments, and the wrappers for host functions of
/// the same shapes: parameters of type i32 only, and one i32 result or none.
macro_rules! shapes {
    ($($count:literal $unit:ident $value:ident ($($arg:ident)*)),* $(,)?) => {
        enum Typed {
            $($unit(wt::TypedFunc<($(shapes!(@u32 $arg),)*), ()>),
              $value(wt::TypedFunc<($(shapes!(@u32 $arg),)*), u32>),)*
            /// Any other shape.
            Dynamic(wt::Func),
        }

        impl Typed {
            fn new(func: wt::Func, store: impl AsContext) -> Self {
                let store = store.as_context();
                $(
                    if let Ok(typed) = func.typed(&store) {
                        return Self::$unit(typed);
                    }
                    if let Ok(typed) = func.typed(&store) {
                        return Self::$value(typed);
                    }
                )*
                Self::Dynamic(func)
            }

            fn call(&self, store: impl AsContextMut, args: &[u64]) -> wt::Result<u64> {
                match (self, args) {
                    $(
                        (Self::$unit(f), &[$($arg),*]) => {
                            f.call(store, ($($arg as u32,)*)).map(|()| 0)
                        }
                        (Self::$value(f), &[$($arg),*]) => {
                            f.call(store, ($($arg as u32,)*)).map(u64::from)
                        }
                    )*
                    (Self::Dynamic(f), args) => call_dynamic(f, store, args),
                    _ => Err(wt::Error::msg("the number of arguments is not what the function declares")),
                }
            }
        }

        /// Defines a host function without boxing its arguments, if it has one of the shapes.
        fn define_typed<S: 'static>(
            linker: &mut wt::Linker<Slot<S>>,
            import: &Import,
            ty: &FuncType,
            call: impl Fn(&mut wt::Caller<'_, Slot<S>>, &[u64]) -> Result<u64, Trap> + Send + Sync + 'static,
        ) -> wt::Result<bool> {
            // Two other shapes that are called often: to increment a metric, and to ask for the time.
            if ty.params == [ValType::I32, ValType::I64] && ty.results == [ValType::I32] {
                linker.func_wrap(
                    &import.module,
                    &import.name,
                    move |mut caller: wt::Caller<'_, Slot<S>>, a: u32, b: u64| -> wt::Result<u32> {
                        Ok(call(&mut caller, &[u64::from(a), b])? as u32)
                    },
                )?;
                return Ok(true);
            }
            if ty.params == [ValType::I32, ValType::I64, ValType::I32] && ty.results == [ValType::I32] {
                linker.func_wrap(
                    &import.module,
                    &import.name,
                    move |mut caller: wt::Caller<'_, Slot<S>>, a: u32, b: u64, c: u32| -> wt::Result<u32> {
                        Ok(call(&mut caller, &[u64::from(a), b, u64::from(c)])? as u32)
                    },
                )?;
                return Ok(true);
            }
            if ty.params.iter().any(|p| *p != ValType::I32) {
                return Ok(false);
            }
            match (ty.params.len(), &ty.results[..]) {
                $(
                    ($count, []) => linker.func_wrap(
                        &import.module,
                        &import.name,
                        move |mut caller: wt::Caller<'_, Slot<S>>, $($arg: u32),*| -> wt::Result<()> {
                            call(&mut caller, &[$(u64::from($arg)),*])?;
                            Ok(())
                        },
                    )?,
                    ($count, [ValType::I32]) => linker.func_wrap(
                        &import.module,
                        &import.name,
                        move |mut caller: wt::Caller<'_, Slot<S>>, $($arg: u32),*| -> wt::Result<u32> {
                            Ok(call(&mut caller, &[$(u64::from($arg)),*])? as u32)
                        },
                    )?,
                )*
                _ => return Ok(false),
            };
            Ok(true)
        }
    };
    (@u32 $arg:ident) => { u32 };
}

shapes!(
    0 Unit0 Value0 (),
    1 Unit1 Value1 (a),
    2 Unit2 Value2 (a b),
    3 Unit3 Value3 (a b c),
    4 Unit4 Value4 (a b c d),
    5 Unit5 Value5 (a b c d e),
    6 Unit6 Value6 (a b c d e f),
    7 Unit7 Value7 (a b c d e f g),
    8 Unit8 Value8 (a b c d e f g h),
    9 Unit9 Value9 (a b c d e f g h i),
    10 Unit10 Value10 (a b c d e f g h i j),
    11 Unit11 Value11 (a b c d e f g h i j k),
    12 Unit12 Value12 (a b c d e f g h i j k l),
);

fn define<S: 'static>(
    linker: &mut wt::Linker<Slot<S>>,
    import: &Import,
    ty: &FuncType,
    native: wt::FuncType,
    func: HostFunc<S>,
) -> wt::Result<()> {
    let is_defined = match func {
        HostFunc::Call(call) => define_typed(linker, import, ty, move |caller, args| {
            find_memory(caller);
            call(caller, args)
        })?,
        HostFunc::Answer(value) => define_typed(linker, import, ty, move |_, _| Ok(value))?,
        HostFunc::Trap(_) => false,
    };
    if is_defined {
        return Ok(());
    }
    let result_type = native.results().next();
    linker.func_new(
        &import.module,
        &import.name,
        native,
        move |mut caller, args, results| {
            let answer = match &func {
                HostFunc::Call(call) => {
                    find_memory(&mut caller);
                    let args: Vec<u64> = args.iter().map(bits).collect();
                    call(&mut caller, &args)?
                }
                HostFunc::Answer(value) => *value,
                HostFunc::Trap(message) => return Err(Trap::new(message.clone()).into()),
            };
            if let (Some(result), Some(ty)) = (results.first_mut(), &result_type) {
                *result = value(ty.clone(), answer);
            }
            Ok(())
        },
    )?;
    Ok(())
}

fn call_dynamic(func: &wt::Func, mut store: impl AsContextMut, args: &[u64]) -> wt::Result<u64> {
    let ty = func.ty(&store);
    let params: Vec<wt::Val> = ty
        .params()
        .zip(args)
        .map(|(ty, bits)| value(ty, *bits))
        .collect();
    let mut results: Vec<wt::Val> = ty.results().map(|ty| value(ty, 0)).collect();
    func.call(&mut store, &params, &mut results)?;
    Ok(results.first().map_or(0, bits))
}

fn bits(value: &wt::Val) -> u64 {
    match value {
        wt::Val::I32(v) => u64::from(v.cast_unsigned()),
        wt::Val::I64(v) => v.cast_unsigned(),
        wt::Val::F32(v) => u64::from(*v),
        wt::Val::F64(v) => *v,
        _ => 0,
    }
}

fn value(ty: wt::ValType, bits: u64) -> wt::Val {
    match ty {
        wt::ValType::I64 => wt::Val::I64(bits.cast_signed()),
        wt::ValType::F32 => wt::Val::F32(bits as u32),
        wt::ValType::F64 => wt::Val::F64(bits),
        wt::ValType::V128 => wt::Val::V128(u128::from(bits).into()),
        wt::ValType::Ref(ref_type) => wt::Val::null_ref(ref_type.heap_type()),
        wt::ValType::I32 => wt::Val::I32((bits as u32).cast_signed()),
    }
}
