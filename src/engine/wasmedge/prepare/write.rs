//! The second pass: writes the module with what is to change in it.

use std::convert::Infallible;
use std::slice;

use wasm_encoder::reencode::{Reencode, utils};
use wasm_encoder::{self as we, Encode, InstructionSink, SectionId};
use wasmparser as wp;

use super::survey::{Body, Edit, Imported, Survey};
use super::{IMPORTS, Names, cost};
use crate::engine::TABLE_ELEMENTS;

struct Writer<'a> {
    survey: &'a Survey<'a>,
    /// Those yet to be written.
    bodies: slice::Iter<'a, Body<'a>>,
    stack: i32,
    names: &'a Names,
}

/// Writes the module that was surveyed.
pub fn write(survey: &Survey<'_>, bytes: &[u8], stack: i32, names: &Names) -> Written<Vec<u8>> {
    let mut module = we::Module::new();
    let mut writer = Writer {
        bodies: survey.bodies.iter(),
        survey,
        stack,
        names,
    };
    writer.parse_core_module(&mut module, wp::Parser::new(0), bytes)?;
    Ok(module.finish())
}

type Written<T = ()> = Result<T, we::reencode::Error<Infallible>>;

/// Generates the hooks that add to a section of the module, and the one that adds the section if the module lacks it.
macro_rules! additions {
    ($($id:ident $section:ident $reader:ident $hook:ident $add:ident),* $(,)?) => {
        $(
            fn $hook(&mut self, to: &mut we::$section, from: wp::$reader<'_>) -> Written {
                utils::$hook(self, to, from)?;
                self.$add(to);
                Ok(())
            }
        )*

        fn intersperse_section_hook(
            &mut self,
            module: &mut we::Module,
            after: Option<SectionId>,
            before: Option<SectionId>,
        ) -> Written {
            $(
                if after.is_none_or(|after| place(after) < place(SectionId::$id))
                    && before.is_none_or(|before| place(SectionId::$id) < place(before))
                {
                    let mut section = we::$section::new();
                    self.$add(&mut section);
                    if !section.is_empty() {
                        module.section(&section);
                    }
                }
            )*
            Ok(())
        }
    };
}

impl Reencode for Writer<'_> {
    type Error = Infallible;

    additions!(
        Function FunctionSection FunctionSectionReader parse_function_section add_functions,
        Global GlobalSection GlobalSectionReader parse_global_section add_global,
        Export ExportSection ExportSectionReader parse_export_section add_export,
        Element ElementSection ElementSectionReader parse_element_section add_element,
        Code CodeSection CodeSectionReader parse_code_section add_code,
    );

    /// Only functions that are used as values come here; the two methods below are for the others outside of code.
    fn function_index(&mut self, function: u32) -> Written<u32> {
        Ok(*self.survey.wrappers.get(&function).unwrap_or(&function))
    }

    fn external_index(&mut self, _: wp::ExternalKind, index: u32) -> Written<u32> {
        Ok(index)
    }

    /// WasmEdge has no limit for tables: each may have its share of what they may grow by.
    fn table_type(&mut self, ty: wp::TableType) -> Written<we::TableType> {
        let Survey {
            tables,
            table_elements,
            ..
        } = *self.survey;
        let share = TABLE_ELEMENTS.saturating_sub(table_elements) / tables.max(1);
        let most = ty.initial + share;
        utils::table_type(
            self,
            wp::TableType {
                maximum: Some(ty.maximum.map_or(most, |maximum| maximum.min(most))),
                ..ty
            },
        )
    }

    /// Started with nothing: the host calls the start function, when it has what it needs to end it.
    fn start_section(&mut self, _: u32) -> Written<u32> {
        Ok(self.survey.functions + self.survey.wrapped.len() as u32)
    }

    fn parse_custom_section(
        &mut self,
        _: &mut we::Module,
        _: wp::CustomSectionReader<'_>,
    ) -> Written {
        Ok(())
    }

    fn parse_type_section(
        &mut self,
        to: &mut we::TypeSection,
        from: wp::TypeSectionReader<'_>,
    ) -> Written {
        utils::parse_type_section(self, to, from)?;
        let mut blocks: Vec<_> = self.survey.blocks.iter().collect();
        blocks.sort_unstable_by_key(|(_, index)| **index);
        for (results, _) in blocks {
            let results = self.val_types(results.to_vec())?;
            to.ty().function([], results);
        }
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        to: &mut we::ImportSection,
        from: wp::ImportSectionReader<'_>,
    ) -> Written {
        for (number, import) in from.into_imports().enumerate() {
            let ty = self.entity_type(import?.ty)?;
            to.import(IMPORTS, &number.to_string(), ty);
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        to: &mut we::CodeSection,
        _: wp::FunctionBody<'_>,
    ) -> Written {
        let Some(body) = self.bodies.next() else {
            return Ok(());
        };
        let mut bytes = body.bytes[..body.code].to_vec();
        if let Some((cost, block)) = body.guard {
            self.enter(&mut bytes, cost);
            InstructionSink::new(&mut bytes).block(self.block_type(block)?);
        }
        let mut at = body.code;
        for (range, edit) in &body.edits {
            bytes.extend_from_slice(&body.bytes[at..range.start]);
            match edit {
                Edit::Instruction(instruction) => instruction.encode(&mut bytes),
                Edit::Check => self.check(&mut bytes),
            }
            at = range.end;
        }
        bytes.extend_from_slice(&body.bytes[at..]);
        if let Some((cost, _)) = body.guard {
            self.leave(&mut bytes, cost);
        }
        to.raw(&bytes);
        Ok(())
    }
}

impl Writer<'_> {
    fn add_functions(&self, functions: &mut we::FunctionSection) {
        for &import in &self.survey.wrapped {
            functions.function(self.survey.imported[import as usize].ty);
        }
        if let Some(start) = &self.survey.start {
            functions.function(start.ty);
        }
    }

    fn add_global(&self, globals: &mut we::GlobalSection) {
        let ty = we::GlobalType {
            val_type: we::ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(ty, &we::ConstExpr::i32_const(self.stack));
        globals.global(ty, &we::ConstExpr::i32_const(0));
    }

    fn add_export(&self, exports: &mut we::ExportSection) {
        let globals = self.survey.globals;
        exports.export(&self.names.stack_left, we::ExportKind::Global, globals);
        exports.export(&self.names.stop, we::ExportKind::Global, globals + 1);
        if let (Some(name), Some(start)) = (&self.names.start, &self.survey.start) {
            exports.export(name, we::ExportKind::Func, start.func);
        }
    }

    /// Code may only use functions as values that are named outside of it, and an import may be named by an export only.
    fn add_element(&self, elements: &mut we::ElementSection) {
        if self.survey.in_code {
            let wrappers = (self.survey.functions..).take(self.survey.wrapped.len());
            elements.declared(we::Elements::Functions(wrappers.collect()));
        }
    }

    fn add_code(&self, code: &mut we::CodeSection) {
        for &import in &self.survey.wrapped {
            let Imported {
                params, results, ..
            } = self.survey.imported[import as usize];
            let mut call = Vec::new();
            let mut sink = InstructionSink::new(&mut call);
            for param in 0..params {
                sink.local_get(param);
            }
            sink.call(import);
            let extra = results.saturating_sub(params + 1);
            let cost = cost(params, params.max(results), call.len(), extra.into());
            // It has no locals.
            let mut body = vec![0];
            self.enter(&mut body, cost);
            body.extend(call);
            self.leave(&mut body, cost);
            code.raw(&body);
        }
        if self.survey.start.is_some() {
            // Neither locals nor code.
            code.raw(&[0, 0x0b]);
        }
    }

    fn check(&self, bytes: &mut Vec<u8>) {
        let mut sink = InstructionSink::new(bytes);
        sink.global_get(self.survey.globals + 1);
        sink.if_(we::BlockType::Empty).unreachable().end();
    }

    fn enter(&self, bytes: &mut Vec<u8>, cost: i32) {
        self.check(bytes);
        let left = self.survey.globals;
        let mut sink = InstructionSink::new(bytes);
        sink.global_get(left).i32_const(cost).i32_lt_s();
        sink.if_(we::BlockType::Empty);
        sink.i32_const(-1).global_set(left).unreachable();
        sink.end();
        sink.global_get(left).i32_const(cost).i32_sub();
        sink.global_set(left);
    }

    fn leave(&self, bytes: &mut Vec<u8>, cost: i32) {
        let left = self.survey.globals;
        let mut sink = InstructionSink::new(bytes);
        sink.global_get(left).i32_const(cost).i32_add();
        sink.global_set(left).end();
    }
}

/// Where a section stands in a module.
fn place(section: SectionId) -> (u8, u8) {
    match section {
        // These came later.
        SectionId::Tag => (SectionId::Memory as u8, 1),
        SectionId::DataCount => (SectionId::Element as u8, 1),
        _ => (section as u8, 0),
    }
}
