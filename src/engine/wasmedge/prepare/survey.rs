//! The first pass: validates a module and finds what has to change in it.

use std::collections::HashMap;
use std::mem;
use std::ops::Range;

use wasm_encoder::Instruction;
use wasmparser::types::{EntityType, TypesRef};
use wasmparser::{self as wp, Operator, Payload, ValidPayload, WasmFeatures, WasmModuleResources};

use super::cost;
use crate::engine::{Error, Export, ExportKind, FuncType, Import, ValType, one_line};

/// What a module may use: WebAssembly 2.0, and constants that are computed.
const FEATURES: WasmFeatures = WasmFeatures::WASM2.union(WasmFeatures::EXTENDED_CONST);

/// A function that calls none and needs no more bytes of stack than this does not count them.
const FREE: i32 = 4096;

/// What is in a valid module, and what has to change.
#[derive(Default)]
pub struct Survey<'a> {
    pub imports: Vec<Import>,
    pub exports: Vec<Export>,
    /// What the module's own memory starts with.
    pub memory_pages: u64,
    /// How many tables it has, and elements that they start with.
    pub tables: u64,
    pub table_elements: u64,
    pub types: u32,
    /// Imported ones and the module's own.
    pub functions: u32,
    pub globals: u32,
    pub imported: Vec<Imported>,
    /// Imported functions that are used as values, in the order of their wrappers.
    pub wrapped: Vec<u32>,
    /// The wrapper of each of those.
    pub wrappers: HashMap<u32, u32>,
    /// Whether code uses an imported function as a value, not only a table or a global.
    pub in_code: bool,
    /// Lists of several results that a block has, and the type that is added for each.
    pub blocks: HashMap<Box<[wp::ValType]>, u32>,
    /// What the module starts with.
    pub start: Option<Start>,
    pub bodies: Vec<Body<'a>>,
}

/// The start function, and the index of its type: nothing to nothing.
pub struct Start {
    pub func: u32,
    pub ty: u32,
}

/// An imported function: its type, and how many parameters and results that has.
pub struct Imported {
    pub ty: u32,
    pub params: u32,
    pub results: u32,
}

/// A function of the module's own.
pub struct Body<'a> {
    pub bytes: &'a [u8],
    /// Where in `bytes` the code starts, after the locals.
    pub code: usize,
    /// What takes the place of which of `bytes`.
    pub edits: Vec<(Range<usize>, Edit)>,
    /// The bytes of stack that it counts, and the type of the block around its code.
    pub guard: Option<(i32, wp::BlockType)>,
}

/// What is written in place of some bytes of a function.
pub enum Edit {
    Instruction(Instruction<'static>),
    /// A look at whether the guest has to stop.
    Check,
}

impl<'a> Survey<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::of(bytes, true)
    }

    /// Leaves out what is in functions: neither is it validated nor does anything of it count.
    pub fn without_code(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::of(bytes, false)
    }

    fn of(bytes: &'a [u8], with_code: bool) -> Result<Self, Error> {
        // Both in the words of Wasmtime, which compiles functions once the rest is known to be valid.
        let invalid = |e: wp::Error| {
            let message = format!("failed to parse WebAssembly module: {e}");
            Error::Invalid(one_line(&message))
        };
        let invalid_body = |index: u32, e: wp::Error| {
            let (message, offset) = (e.message(), e.offset());
            Error::Invalid(one_line(&format!(
                "failed to compile: wasm[0]::function[{index}]: WebAssembly translation error: \
                 Invalid input WebAssembly code at offset {offset}: {message}"
            )))
        };
        let mut survey = Self::default();
        let mut validator = wp::Validator::new_with_features(FEATURES);
        let mut parser = wp::Parser::new(0);
        parser.set_features(FEATURES);
        let mut allocations = wp::FuncValidatorAllocations::default();
        for payload in parser.parse_all(bytes) {
            let payload = payload.map_err(invalid)?;
            match validator.payload(&payload).map_err(invalid)? {
                ValidPayload::Func(func, body) if with_code => {
                    let index = func.index;
                    survey
                        .body(func, &body, &mut allocations)
                        .map_err(|e| invalid_body(index, e))?;
                }
                ValidPayload::End(types) => survey.end(types.as_ref()),
                ValidPayload::Func(..) | ValidPayload::Ok | ValidPayload::Parser(_) => {}
            }
            if let Some(types) = validator.types(0) {
                survey.section(payload, types).map_err(invalid)?;
            }
        }
        Ok(survey)
    }

    fn section(&mut self, payload: Payload<'a>, types: TypesRef<'_>) -> wp::Result<()> {
        match payload {
            Payload::TypeSection(section) => self.types = section.count(),
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.import(&import?, types);
                }
                self.functions = self.imported.len() as u32;
            }
            Payload::FunctionSection(section) => self.functions += section.count(),
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memory_pages = memory?.initial;
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.tables += 1;
                    self.table_elements += table?.ty.initial;
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    self.constant(&global?.init_expr)?;
                }
            }
            Payload::StartSection { func, .. } => {
                // WasmEdge does not tell a host function called from outside whose module it is called for.
                let func = self.value(func).unwrap_or(func);
                let next = self.types + self.blocks.len() as u32;
                let ty = *self.blocks.entry([].into()).or_insert(next);
                self.start = Some(Start { func, ty });
            }
            Payload::ElementSection(section) => {
                for element in section {
                    match element?.items {
                        wp::ElementItems::Functions(functions) => {
                            for function in functions {
                                self.value(function?);
                            }
                        }
                        wp::ElementItems::Expressions(_, expressions) => {
                            for expression in expressions {
                                self.constant(&expression?)?;
                            }
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: &wp::Import<'_>, types: TypesRef<'_>) {
        let mut ty = None;
        if let (wp::TypeRef::Func(index), Some(EntityType::Func(id))) =
            (import.ty, types.entity_type_from_import(import))
        {
            let func = types[id].unwrap_func();
            self.imported.push(Imported {
                ty: index,
                params: func.params().len() as u32,
                results: func.results().len() as u32,
            });
            ty = Some(func_type(func));
        }
        self.imports.push(Import {
            module: import.module.to_owned(),
            name: import.name.to_owned(),
            ty,
        });
    }

    fn constant(&mut self, expression: &wp::ConstExpr<'_>) -> wp::Result<()> {
        for operator in expression.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator? {
                self.value(function_index);
            }
        }
        Ok(())
    }

    /// A function is used as a value. Returns what takes its place, if it is an imported one.
    fn value(&mut self, function: u32) -> Option<u32> {
        if function as usize >= self.imported.len() {
            return None;
        }
        let next = self.functions + self.wrapped.len() as u32;
        let wrapper = *self.wrappers.entry(function).or_insert(next);
        if wrapper == next {
            self.wrapped.push(function);
        }
        Some(wrapper)
    }

    fn body(
        &mut self,
        func: wp::FuncToValidate<wp::ValidatorResources>,
        body: &wp::FunctionBody<'a>,
        allocations: &mut wp::FuncValidatorAllocations,
    ) -> wp::Result<()> {
        let ty = func.ty;
        let mut validator = func.into_validator(mem::take(allocations));
        let (bytes, start) = (body.as_bytes(), body.range().start);
        let mut reader = body.get_binary_reader();
        validator.read_locals(&mut reader)?;
        let code = reader.original_position() - start;
        let mut operators = wp::OperatorsReader::new(reader);

        let mut edits = Vec::new();
        let mut calls = false;
        let (mut height, mut highest, mut extra) = (0, 0, 0);
        while !operators.eof() {
            let at = operators.original_position();
            let operator = operators.read()?;
            let frames = validator.control_stack_height();
            validator.op(at, &operator)?;
            let before = mem::replace(&mut height, validator.operand_stack_height());
            highest = highest.max(height);
            extra += u64::from(height.saturating_sub(before + 1));
            let end = operators.original_position();
            let instruction = match operator {
                Operator::Call { .. } | Operator::CallIndirect { .. } => {
                    calls = true;
                    None
                }
                Operator::Loop { .. } => {
                    edits.push((end - start..end - start, Edit::Check));
                    None
                }
                // The block around the code has the label that the function itself had.
                Operator::Return => Some(Instruction::Br(frames - 1)),
                Operator::RefFunc { function_index } => {
                    let wrapper = self.value(function_index);
                    self.in_code |= wrapper.is_some();
                    wrapper.map(Instruction::RefFunc)
                }
                _ => None,
            };
            if let Some(instruction) = instruction {
                edits.push((at - start..end - start, Edit::Instruction(instruction)));
            }
        }
        operators.finish()?;

        let cost = cost(validator.len_locals(), highest, bytes.len(), extra);
        let mut guard = None;
        if calls || cost > FREE {
            let ty = validator.resources().sub_type_at(ty);
            let results = ty.map_or(&[][..], |ty| ty.unwrap_func().results());
            guard = Some((cost, self.block(results)));
        } else {
            edits.retain(|(_, edit)| !matches!(edit, Edit::Instruction(Instruction::Br(_))));
        }
        *allocations = validator.into_allocations();
        self.bodies.push(Body {
            bytes,
            code,
            edits,
            guard,
        });
        Ok(())
    }

    /// The type of a block with these results.
    fn block(&mut self, results: &[wp::ValType]) -> wp::BlockType {
        match results {
            [] => wp::BlockType::Empty,
            [result] => wp::BlockType::Type(*result),
            _ => {
                let next = self.types + self.blocks.len() as u32;
                wp::BlockType::FuncType(*self.blocks.entry(results.into()).or_insert(next))
            }
        }
    }

    fn end(&mut self, types: TypesRef<'_>) {
        self.globals = types.global_count();
        let exports = types.core_exports().into_iter().flatten();
        self.exports = exports
            .map(|(name, ty)| Export {
                name: name.to_owned(),
                kind: match ty {
                    EntityType::Func(id) => ExportKind::Func(func_type(types[id].unwrap_func())),
                    EntityType::Memory(_) => ExportKind::Memory,
                    _ => ExportKind::Other,
                },
            })
            .collect();
    }
}

fn func_type(ty: &wp::FuncType) -> FuncType {
    let neutral = |types: &[wp::ValType]| types.iter().copied().map(neutral_type).collect();
    FuncType {
        params: neutral(ty.params()),
        results: neutral(ty.results()),
    }
}

fn neutral_type(ty: wp::ValType) -> ValType {
    match ty {
        wp::ValType::I32 => ValType::I32,
        wp::ValType::I64 => ValType::I64,
        wp::ValType::F32 => ValType::F32,
        wp::ValType::F64 => ValType::F64,
        wp::ValType::V128 => ValType::V128,
        wp::ValType::FUNCREF => ValType::FuncRef,
        wp::ValType::EXTERNREF => ValType::ExternRef,
        wp::ValType::Ref(_) => ValType::Other,
    }
}
