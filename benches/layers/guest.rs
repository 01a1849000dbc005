//! Plugins, as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::request::{LAST_HEADER, PROPERTY};

/// It exports nothing that the host would call.
pub const EMPTY: &str =
    r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1")))"#;

/// All callbacks of a request, each of which returns at once.
pub const ALL: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
    (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0)
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) i32.const 0)
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) i32.const 0)
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) i32.const 0)
    (func (export "proxy_on_done") (param i32) (result i32) i32.const 1)
    (func (export "proxy_on_log") (param i32))
    (func (export "proxy_on_delete") (param i32)))"#;

/// A call that a plugin makes: `module.name`, and its arguments. Each is a number, `@` and where a number lies, or the name of one of
/// [`STRINGS`], which is its place and its length; `L` behind a number makes it one of 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct Call(pub &'static str, pub &'static str);

/// What lies in memory by name.
const STRINGS: [(&str, usize, &str); 6] = [
    ("HEADER", 128, LAST_HEADER),
    ("NO-HEADER", 160, "x-not-there"),
    ("PROPERTY", 192, PROPERTY),
    ("OWN-PROPERTY", 224, "my\0own"),
    ("NAME", 256, "name"),
    (
        "VALUE",
        288,
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
];
/// As long as a string can be here.
const LARGE: (usize, usize) = (128 << 10, 64 << 10);
/// What the allocator gives, always.
const ROOM: usize = 64 << 10;

impl Call {
    fn name(self) -> &'static str {
        self.0.split_once('.').expect("module.name").1
    }

    /// The arguments, each with its type.
    fn args(self) -> Vec<(&'static str, String)> {
        let i32 = |number: usize| ("i32", format!("(i32.const {number})"));
        let words = self.1.split_ascii_whitespace();
        words
            .flat_map(|word| {
                if let Some((_, at, text)) = STRINGS.iter().find(|(name, _, _)| *name == word) {
                    return vec![i32(*at), i32(text.len())];
                }
                if word == "LARGE" {
                    return vec![i32(LARGE.0), i32(LARGE.1)];
                }
                let arg = match (word.strip_prefix('@'), word.strip_suffix('L')) {
                    (Some(at), _) => ("i32", format!("(i32.load (i32.const {at}))")),
                    (_, Some(number)) => ("i64", format!("(i64.const {number})")),
                    _ => ("i32", format!("(i32.const {word})")),
                };
                vec![arg]
            })
            .collect()
    }

    fn import(self) -> String {
        let (module, name) = self.0.split_once('.').expect("module.name");
        let types: Vec<_> = self.args().into_iter().map(|(ty, _)| ty).collect();
        let types = types.join(" ");
        format!(r#"(import "{module}" "{name}" (func ${name} (param {types}) (result i32)))"#)
    }

    /// The call, which has to answer `status`.
    fn text(self, status: u32) -> String {
        let args: String = self.args().into_iter().map(|(_, arg)| arg).collect();
        let name = self.name();
        format!("(if (i32.ne (call ${name} {args}) (i32.const {status})) (then unreachable))\n")
    }
}

/// A plugin that makes calls when it is configured, and others when it is shown the body of a request: so many times, and each of them
/// has to answer `status`.
pub fn calling(setup: &[Call], calls: &[Call], times: usize, status: u32) -> String {
    let all = setup.iter().chain(calls);
    let imports: BTreeMap<_, _> = all.map(|call| (call.0, call.import())).collect();
    let imports: Vec<_> = imports.into_values().collect();
    let text =
        |calls: &[Call], status| -> String { calls.iter().map(|call| call.text(status)).collect() };
    let mut data = String::new();
    for (_, at, text) in STRINGS {
        let text = text.replace('\0', "\\00");
        let _ = writeln!(data, r#"(data (i32.const {at}) "{text}")"#);
    }
    let (setup, calls) = (text(setup, 0), text(calls, status));
    format!(
        r#"(module
            {}
            (memory (export "memory") 4)
            {data}
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const {ROOM}))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                {setup}
                (i32.const 1))
            (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
                (local $left i32)
                (local.set $left (i32.const {times}))
                (loop $again
                    {calls}
                    (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
                (i32.const 0)))"#,
        imports.join("\n"),
    )
}
