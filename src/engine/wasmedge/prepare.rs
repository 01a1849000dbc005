//! Rewrites a module before WasmEdge sees it.
//!
//! WasmEdge neither bounds how deep a guest's calls go nor says readably what is wrong with a module, it cannot tell
//! two imports of one name apart, its compiled code leaks native stack when a host function is called through a table, and
//! to stop a guest it has nothing that costs little. So a module is validated here, its imports get names of their own, its
//! functions count the stack that they use and look whether they are to stop, and where it takes an imported function as a
//! value it gets one of its own that calls the import.
//!
//! One pass validates and finds what has to change ([`survey`]), a second writes it ([`write`]). No index that the module
//! uses moves: what is added comes after what was there.

mod survey;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

use self::survey::Survey;
use super::super::{Error, Export, Import, one_line};

/// The module name that every import is renamed to; import number i has the name i in decimal.
pub const IMPORTS: &str = "host";

/// A number that is raised when what is written changes: code that was compiled from it is kept.
pub const EDITION: u8 = 1;

/// What is known of a module, and the module as WasmEdge gets it.
pub struct Prepared {
    /// The rewritten binary.
    pub wasm: Vec<u8>,
    pub outline: Outline,
}

/// What is known of a module without its code.
pub struct Outline {
    /// Imports in the module's order with their original names.
    pub imports: Vec<Import>,
    /// The module's own exports, without what was added.
    pub exports: Vec<Export>,
    /// How many pages of 64 KiB its memory starts with.
    pub memory_pages: u64,
    /// How many elements its tables start with.
    pub table_elements: u64,
    /// How what was added is exported.
    pub names: Names,
}

/// The names of exports that the module did not have.
pub struct Names {
    /// A global with what is left of the stack: i32, below zero once it was exhausted.
    pub stack_left: String,
    /// A global that the guest looks at in each loop and at the start of functions that call others: i32, and it traps where that is
    /// not zero.
    pub stop: String,
    /// The module's start function, if it has one. WasmEdge does not call it.
    pub start: Option<String>,
}

/// Validates a module, given as a binary or as text, and rewrites it so that its calls use at most `stack` bytes.
///
/// # Errors
/// The bytes are not a valid module.
pub fn prepare(bytes: &[u8], stack: u32) -> Result<Prepared, Error> {
    let bytes = binary(bytes)?;
    let survey = Survey::new(&bytes)?;
    let names = names(&survey);
    let stack = i32::try_from(stack).unwrap_or(i32::MAX);
    let wasm = write::write(&survey, &bytes, stack, &names)
        .map_err(|e| Error::Engine(format!("rewriting the module: {e}")))?;
    Ok(Prepared {
        wasm,
        outline: outlined(survey, names),
    })
}

/// What [`prepare`] would find out about a module that it has seen before: its code is not looked at.
///
/// # Errors
/// As there.
pub fn outline(bytes: &[u8]) -> Result<Outline, Error> {
    let bytes = binary(bytes)?;
    let survey = Survey::without_code(&bytes)?;
    let names = names(&survey);
    Ok(outlined(survey, names))
}

fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    wat::parse_bytes(bytes).map_err(|e| Error::Invalid(one_line(&e.to_string())))
}

fn names(survey: &Survey<'_>) -> Names {
    let free = |name: &str| {
        let mut name = name.to_owned();
        while survey.exports.iter().any(|e| e.name == name) {
            name.push('_');
        }
        name
    };
    Names {
        stack_left: free("stack_left"),
        stop: free("stop"),
        start: survey.start.is_some().then(|| free("start")),
    }
}

fn outlined(survey: Survey<'_>, names: Names) -> Outline {
    Outline {
        imports: survey.imports,
        exports: survey.exports,
        memory_pages: survey.memory_pages,
        table_elements: survey.table_elements,
        names,
    }
}

/// No fewer bytes than a call takes of the native stack, even in code that is not optimised: where each local, each
/// operand and each result after the first has a place of its own, and any instruction may keep a value.
fn cost(locals: u32, operands: u32, bytes: usize, extra: u64) -> i32 {
    let places = u64::from(locals) + u64::from(operands);
    let cost = 64 + 16 * places + 4 * bytes as u64 + 32 * extra;
    i32::try_from(cost).unwrap_or(i32::MAX)
}
