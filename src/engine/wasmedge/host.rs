//! The way from a running instance into host functions.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::api::{
    WasmEdge_CallingFrameContext, WasmEdge_ErrCategory_UserLevelError, WasmEdge_Result,
    WasmEdge_Value,
};
use super::instance::{Access, FEW, Inner};
use crate::engine::{HostFunc, Trap, ValType};

/// What WasmEdge hands to [`host_func`].
pub struct Binding<S> {
    pub inner: *mut Inner<S>,
    pub func: usize,
}

/// Every host function, as WasmEdge calls it.
///
/// # Safety
/// `data` is a [`Binding`] of an instance that is alive and in a call, with no reference held to it. The values are those of
/// the binding's function, and `results` has room for its result.
pub unsafe extern "C" fn host_func<S: 'static>(
    data: *mut c_void,
    _frame: *const WasmEdge_CallingFrameContext,
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
        ((&*inner).link.code.api.WasmEdge_ResultGen)(WasmEdge_ErrCategory_UserLevelError, 1)
    }
}
