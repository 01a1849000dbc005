//! Modules that nobody has written: they import what the host offers, export what a plugin does, and in between do anything. They live on
//! Wasmtime, in a proxy that answers as it likes.

#![no_main]

use std::fmt::Write;
use std::rc::Rc;
use std::sync::LazyLock;

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use resty_proxy_wasm::abi::types::AbiVersion;
use resty_proxy_wasm::abi::{Callbacks, imports, wasi};
use resty_proxy_wasm::engine::ValType;
use resty_proxy_wasm::plugin::Plugin;
use resty_proxy_wasm_fuzz::engine::{WASMTIME, limits};
use resty_proxy_wasm_fuzz::host::AnyHost;
use resty_proxy_wasm_fuzz::{Input, life};
use wasm_smith::{Config, Module};

/// How much a module may loop. Every eighth may for ever, until its time is over.
const FUEL: u32 = 10_000;

/// All that the host offers, and what nobody does.
static IMPORTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut text = String::from(
        "(module
        (import \"env\" \"proxy_new\" (func (param i64 f64) (result i32)))
        (import \"other\" \"unknown\" (func (param externref v128) (result funcref)))
        (import \"env\" \"emscripten_notify_memory_growth\" (func (param i32)))\n",
    );
    let hostcalls = imports::HOSTCALLS
        .iter()
        .map(|row| ("env", row.name, row.params));
    let wasi = wasi::FUNCTIONS
        .iter()
        .map(|row| ("wasi_snapshot_preview1", row.name, row.params));
    for (module, name, params) in hostcalls.chain(wasi) {
        let params: Vec<_> = params.iter().map(|ty| name_of(*ty)).collect();
        let result = if name == "proc_exit" {
            ""
        } else {
            "(result i32)"
        };
        writeln!(
            text,
            "(import \"{module}\" \"{name}\" (func (param {}) {result}))",
            params.join(" ")
        )
        .unwrap();
    }
    text.push(')');
    wat::parse_str(text).unwrap()
});

fn name_of(ty: ValType) -> &'static str {
    match ty {
        ValType::I64 => "i64",
        _ => "i32",
    }
}

/// What a module exports: a plugin's functions, mostly as they have to be.
fn exports(input: &Input) -> Vec<u8> {
    let mut text = String::from("(module");
    if input.byte() != 0xff {
        text.push_str("(memory (export \"memory\") 1)");
    }
    let (marker, _) = input.one_of(&AbiVersion::MARKERS);
    write!(text, "(func (export \"{marker}\"))").unwrap();
    let others = [
        "malloc",
        "proxy_on_memory_allocate",
        "_initialize",
        "_start",
        "main",
    ];
    for name in Callbacks::NAMES.iter().chain(&others) {
        let choice = input.byte();
        let is_entry = name.starts_with('_') || *name == "main";
        let (params, result) = match (*name, choice) {
            (_, 0xf8..0xfc) => (input.below(20), input.flag()),
            (_, 0xfc..) => {
                let ty = input.one_of(&["i64", "f32", "v128", "externref", "funcref"]);
                write!(
                    text,
                    "(func (export \"{name}\") (param {ty} i32) (result {ty} {ty}) unreachable)"
                )
                .unwrap();
                continue;
            }
            (_, 0xc0..) => continue,
            ("malloc" | "proxy_on_memory_allocate", _) => (1, true),
            (_, _) if is_entry => (0, false),
            (_, _) => (usize::from(choice >> 4) % 6, choice & 1 == 0),
        };
        let params = "i32 ".repeat(params);
        let result = if result { "(result i32)" } else { "" };
        write!(
            text,
            "(func (export \"{name}\") (param {params}) {result} unreachable)"
        )
        .unwrap();
    }
    text.push(')');
    wat::parse_str(text).unwrap()
}

fn module(input: &Input) -> arbitrary::Result<Vec<u8>> {
    let config = Config {
        available_imports: Some(IMPORTS.clone()),
        exports: Some(exports(input)),
        max_imports: 12,
        max_funcs: 12,
        max_instructions: 60,
        max_memories: 2,
        max_memory32_bytes: 8 << 20,
        max_tables: 3,
        max_table_elements: 100_000,
        allow_start_export: input.flag(),
        bulk_memory_enabled: true,
        multi_value_enabled: true,
        reference_types_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        simd_enabled: input.flag(),
        relaxed_simd_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: input.byte() == 0,
        tail_call_enabled: input.byte() == 0,
        threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        ..Config::default()
    };
    let endless = input.below(8) == 7;
    let mut module = Module::new(config, &mut Unstructured::new(input.rest()))?;
    if !endless && module.ensure_termination(FUEL).is_err() {
        return Err(arbitrary::Error::IncorrectFormat);
    }
    Ok(module.to_bytes())
}

fuzz_target!(|data: &[u8]| {
    // What the proxy does comes first, and what the module is behind it.
    let Some((length, data)) = data.split_first() else {
        return;
    };
    let (life, module_input) = data.split_at(data.len().min(usize::from(*length) * 2));
    let Ok(module) = module(&Input::new(module_input)) else {
        return;
    };
    let input = Input::new(life);
    let host = Rc::new(AnyHost::new(&input));
    let options = life::options(&input, limits());
    let loaded = Plugin::new(
        "fuzz",
        &module,
        options,
        &*WASMTIME,
        Rc::<AnyHost>::clone(&host),
    );
    if let Ok(plugin) = loaded {
        life::run(plugin, &host, &input);
    }
});
