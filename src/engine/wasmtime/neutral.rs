//! What Wasmtime says, in the types of every engine.

use std::time::Duration;

use wasmtime as wt;

use crate::engine::{Export, ExportKind, FuncType, Import, Trap, ValType, clock, one_line};

fn neutral_type(ty: &wt::ValType) -> ValType {
    match ty {
        wt::ValType::I32 => ValType::I32,
        wt::ValType::I64 => ValType::I64,
        wt::ValType::F32 => ValType::F32,
        wt::ValType::F64 => ValType::F64,
        wt::ValType::V128 => ValType::V128,
        wt::ValType::Ref(ty) if ty.matches(&wt::RefType::FUNCREF) => ValType::FuncRef,
        wt::ValType::Ref(ty) if ty.matches(&wt::RefType::EXTERNREF) => ValType::ExternRef,
        wt::ValType::Ref(_) => ValType::Other,
    }
}

pub fn func_type(ty: &wt::FuncType) -> FuncType {
    FuncType {
        params: ty.params().map(|t| neutral_type(&t)).collect(),
        results: ty.results().map(|t| neutral_type(&t)).collect(),
    }
}

pub fn import(import: wt::ImportType<'_>) -> Import {
    Import {
        module: import.module().to_owned(),
        name: import.name().to_owned(),
        ty: import.ty().func().map(func_type),
    }
}

pub fn export(export: wt::ExportType<'_>) -> Export {
    Export {
        name: export.name().to_owned(),
        kind: match export.ty() {
            wt::ExternType::Func(ty) => ExportKind::Func(func_type(&ty)),
            wt::ExternType::Memory(_) => ExportKind::Memory,
            _ => ExportKind::Other,
        },
    }
}

pub fn trap(error: wt::Error, time: Duration) -> Trap {
    let backtrace = error
        .downcast_ref::<wt::WasmBacktrace>()
        .map(|b| {
            b.to_string()
                .lines()
                .skip(1)
                .map(|l| l.trim().to_owned())
                .collect()
        })
        .unwrap_or_default();
    let (message, timed_out) = match error.downcast_ref::<Trap>() {
        Some(trap) => (trap.message.clone(), trap.timed_out),
        None if error.downcast_ref() == Some(&wt::Trap::Interrupt) => (clock::message(time), true),
        None => (one_line(&error.root_cause().to_string()), false),
    };
    Trap {
        message,
        backtrace,
        timed_out,
    }
}
