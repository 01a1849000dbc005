//! What an exported function does with what it is given.

use wasmparser::{ExternalKind, Operator, Parser, Payload, TypeRef};

/// Whether the function that a module exports under a name ever looks at one of these parameters, counted from 0. `None` where it cannot be
/// told: there is no such function, or the bytes are no module.
pub fn are_read(bytes: &[u8], export: &str, parameters: &[u32]) -> Option<bool> {
    let module = wat::parse_bytes(bytes).ok()?;
    let mut imported = 0;
    let mut wanted = None;
    let mut index = 0;
    for payload in Parser::new(0).parse_all(&module) {
        match payload.ok()? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import.ok()?.ty, TypeRef::Func(_)));
                }
                index = imported;
            }
            Payload::ExportSection(exports) => {
                for found in exports {
                    let found = found.ok()?;
                    if found.name == export && found.kind == ExternalKind::Func {
                        wanted = Some(found.index);
                    }
                }
                if wanted.is_none_or(|wanted| wanted < imported) {
                    return None;
                }
            }
            Payload::CodeSectionEntry(body) => {
                if wanted == Some(index) {
                    for operator in body.get_operators_reader().ok()? {
                        if let Operator::LocalGet { local_index } = operator.ok()?
                            && parameters.contains(&local_index)
                        {
                            return Some(true);
                        }
                    }
                    return Some(false);
                }
                index += 1;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::are_read;

    const MODULE: &str = r#"(module
        (import "env" "imported" (func $imported (param i32)))
        (func $other (param i32) (call $imported (local.get 0)))
        (func (export "first") (param i32 i32) (result i32) (local.get 0))
        (func (export "nested") (param i32 i32) (if (i32.const 1) (then (call $other (local.get 1)))))
        (func (export "sets") (param i32 i32) (local.set 1 (i32.const 2)))
        (export "passed" (func $imported))
        (memory (export "memory") 1))"#;

    #[test]
    fn what_a_function_looks_at() {
        let read = |name, parameter| are_read(MODULE.as_bytes(), name, &[parameter]);
        assert_eq!(read("first", 0), Some(true));
        assert_eq!(read("first", 1), Some(false));
        assert_eq!(read("nested", 1), Some(true));
        assert_eq!(read("nested", 0), Some(false));
        assert_eq!(read("sets", 1), Some(false));
        let both = |name| are_read(MODULE.as_bytes(), name, &[0, 1]);
        assert_eq!((both("first"), both("sets")), (Some(true), Some(false)));
    }

    #[test]
    fn what_cannot_be_told() {
        for (module, name) in [
            (MODULE, "passed"),
            (MODULE, "memory"),
            (MODULE, "none"),
            ("(", "first"),
        ] {
            assert_eq!(are_read(module.as_bytes(), name, &[0]), None, "{name}");
        }
    }
}
