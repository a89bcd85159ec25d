//! What a module declares, read from its bytes without compiling or running anything.
//!
//! The supervisor reads the original bytes itself, for it never loads compiled code. They are hostile: every length
//! is checked against the bytes that are there, every list has a limit, and bodies of functions are not looked at.
//! Whether the module is *valid* is the compiler's judgement, in a process of its own; here a module only has to be
//! well-formed enough to be listed. What the declarations mean as tasks is [`super::catalog`]'s business.

use std::collections::{BTreeMap, HashMap, HashSet};

use wasmparser::{
    CompositeInnerType, Encoding, ExternalKind, KnownCustom, MemoryType, Name, NameSectionReader, Parser,
    Payload, RecGroup, TableType, TypeRef, ValType,
};

use super::driver::{Number, Signature};
use super::engine;

/// Types that a module may declare; the validator's own limit.
const TYPES_MAX: usize = 1_000_000;
/// Functions that a module may import and define; the validator's own limit.
const FUNCTIONS_MAX: usize = 1_000_000;
/// Imports that a module may ask for. What can be granted is a few dozen.
const IMPORTS_MAX: usize = 10_000;
/// Exports of any kind.
const EXPORTS_MAX: usize = 100_000;
/// Bytes of task sections, all together.
const TASK_SECTION_BYTES_MAX: usize = 16 << 20;
/// Locals beyond this one are no parameters: functions have at most 1,000 of those.
const PARAMETERS_NAMED_MAX: u32 = 1_000;
/// Names of locals that are remembered, all functions together; an entry takes twenty times its bytes in the module.
const LOCAL_NAMES_MAX: usize = 100_000;
/// Suffix by which wasm-ld names the wrapper that it puts around an export of a module without `_initialize`.
const COMMAND_WRAPPER_SUFFIX: &str = ".command_export";

/// Why a module cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutlineError {
    /// The bytes do not follow the binary format.
    #[error("malformed module: {message} at byte {offset:#x}")]
    Malformed {
        /// What is wrong, in the parser's words.
        message: String,
        /// Distance from the module's first byte.
        offset: usize,
    },
    /// A list is longer than this host reads.
    #[error("the module has more than {limit} {what}")]
    TooMany {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The module needs something that no worker offers.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl From<wasmparser::Error> for OutlineError {
    fn from(error: wasmparser::Error) -> Self {
        Self::Malformed { message: error.message().to_owned(), offset: error.offset() }
    }
}

/// Something that a module wants from its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// Name of the module that it wants it from.
    pub module: String,
    /// Name of the thing.
    pub name: String,
    /// What it must be.
    pub kind: ImportKind,
}

/// What an import must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImportKind {
    /// A function; without a signature when it takes or returns anything but numbers.
    Function(Option<Signature>),
    /// A table.
    Table,
    /// A linear memory.
    Memory,
    /// A global.
    Global,
    /// An exception tag.
    Tag,
}

/// A module's declarations.
#[derive(Default)]
pub(super) struct Outline<'a> {
    pub(super) imports: Vec<Import>,
    pub(super) initial_memory_bytes: u64,
    /// Contents of the sections that list tasks, in order.
    pub(super) task_sections: Vec<&'a [u8]>,
    /// Index of each exported function, sorted by name.
    exports: BTreeMap<&'a str, u32>,
    /// By type index; `None` for what is no function of numbers.
    types: Vec<Option<Signature>>,
    /// Type index by function index, imported functions first.
    functions: Vec<u32>,
    memories: u32,
    pub(super) tables: u32,
    pub(super) initial_table_elements: u64,
    names: Option<NameSectionReader<'a>>,
}

impl<'a> Outline<'a> {
    /// Reads all declarations of a module in binary form.
    pub(super) fn read(wasm: &'a [u8]) -> Result<Self, OutlineError> {
        let mut outline = Self::default();
        let mut parser = Parser::new(0);
        let mut rest = wasm;
        loop {
            let (consumed, payload) = match parser.parse(rest, true)? {
                wasmparser::Chunk::Parsed { consumed, payload } => (consumed, payload),
                wasmparser::Chunk::NeedMoreData(_) => return Err(truncated(wasm, "unexpected end")),
            };
            rest = rest.get(consumed..).unwrap_or_default();
            match payload {
                Payload::End(_) => return Ok(outline),
                Payload::CodeSectionStart { size, .. } => {
                    parser.skip_section();
                    rest =
                        rest.get(size as usize..).ok_or_else(|| truncated(wasm, "truncated code section"))?;
                }
                payload => outline.take(payload)?,
            }
        }
    }

    /// Names and indices of the exported functions, sorted by name.
    pub(super) fn exports(&self) -> impl Iterator<Item = (&'a str, u32)> {
        self.exports.iter().map(|(name, index)| (*name, *index))
    }

    /// Index of the function exported under this name.
    pub(super) fn export(&self, name: &str) -> Option<u32> {
        self.exports.get(name).copied()
    }

    /// Signature of a function, if it exists and takes and returns only numbers.
    pub(super) fn signature(&self, function: u32) -> Option<&Signature> {
        let type_index = *self.functions.get(function as usize)?;
        self.type_signature(type_index)
    }

    /// What the name section tells about these functions. A damaged one tells less; it never makes a module unusable.
    pub(super) fn names(&self, functions: &HashSet<u32>) -> Names {
        let mut names = Names::default();
        for subsection in self.names.clone().into_iter().flatten() {
            let Ok(subsection) = subsection else { break };
            if names.take(subsection, functions).is_err() {
                break;
            }
        }
        names
    }

    fn type_signature(&self, index: u32) -> Option<&Signature> {
        self.types.get(index as usize)?.as_ref()
    }

    fn take(&mut self, payload: Payload<'a>) -> Result<(), OutlineError> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => {
                Err(OutlineError::Unsupported(COMPONENTS_UNSUPPORTED))
            }
            Payload::TypeSection(groups) => each(groups, |group| self.take_types(group)),
            Payload::ImportSection(imports) => {
                imports.into_imports().try_for_each(|import| self.take_import(import?))
            }
            Payload::FunctionSection(functions) => each(functions, |index| self.take_function(index)),
            Payload::TableSection(tables) => each(tables, |table| self.take_table(table.ty)),
            Payload::MemorySection(memories) => each(memories, |memory| self.take_memory(memory)),
            Payload::ExportSection(exports) => each(exports, |export| self.take_export(export)),
            Payload::CustomSection(section) if section.name() == wasmpool_abi::TASK_SECTION => {
                self.take_task_section(section.data())
            }
            Payload::CustomSection(section) if section.name() == "name" && self.names.is_none() => {
                self.names = match section.as_known() {
                    KnownCustom::Name(names) => Some(names),
                    _ => None,
                };
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_types(&mut self, group: RecGroup) -> Result<(), OutlineError> {
        for ty in group.into_types() {
            at_most(self.types.len(), TYPES_MAX, "types")?;
            self.types.push(match &ty.composite_type.inner {
                CompositeInnerType::Func(function) => numbers(function.params(), function.results()),
                _ => None,
            });
        }
        Ok(())
    }

    fn take_import(&mut self, import: wasmparser::Import<'a>) -> Result<(), OutlineError> {
        at_most(self.imports.len(), IMPORTS_MAX, "imports")?;
        let kind = match import.ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                self.take_function(index)?;
                ImportKind::Function(self.type_signature(index).cloned())
            }
            TypeRef::Table(_) => ImportKind::Table,
            TypeRef::Memory(_) => ImportKind::Memory,
            TypeRef::Global(_) => ImportKind::Global,
            TypeRef::Tag(_) => ImportKind::Tag,
        };
        self.imports.push(Import { module: import.module.to_owned(), name: import.name.to_owned(), kind });
        Ok(())
    }

    fn take_function(&mut self, type_index: u32) -> Result<(), OutlineError> {
        at_most(self.functions.len(), FUNCTIONS_MAX, "functions")?;
        self.functions.push(type_index);
        Ok(())
    }

    /// What the pool of instances refuses is refused here already, where the message can say it plainly.
    fn take_table(&mut self, table: TableType) -> Result<(), OutlineError> {
        at_most(self.tables as usize, engine::TABLES_PER_MODULE_MAX as usize, "tables")?;
        if table.initial > engine::TABLE_ELEMENTS_MAX as u64 {
            return Err(OutlineError::TooMany {
                what: "elements in a table",
                limit: engine::TABLE_ELEMENTS_MAX,
            });
        }
        self.tables += 1;
        self.initial_table_elements = self.initial_table_elements.saturating_add(table.initial);
        Ok(())
    }

    fn take_memory(&mut self, memory: MemoryType) -> Result<(), OutlineError> {
        at_most(self.memories as usize, engine::MEMORIES_PER_MODULE_MAX as usize, "memories")?;
        if memory.shared {
            return Err(OutlineError::Unsupported(SHARED_MEMORY_UNSUPPORTED));
        }
        if memory.memory64 || memory.page_size_log2.is_some() {
            return Err(OutlineError::Unsupported(MEMORY_KIND_UNSUPPORTED));
        }
        let bytes = memory.initial.saturating_mul(engine::WASM_PAGE_BYTES);
        self.initial_memory_bytes = self.initial_memory_bytes.saturating_add(bytes);
        self.memories += 1;
        Ok(())
    }

    fn take_export(&mut self, export: wasmparser::Export<'a>) -> Result<(), OutlineError> {
        at_most(self.exports.len(), EXPORTS_MAX, "exports")?;
        if !matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
            return Ok(());
        }
        if self.exports.insert(export.name, export.index).is_some() {
            // Which of the two would be called must not depend on who reads the module.
            return Err(OutlineError::Unsupported("the module exports two functions under one name"));
        }
        Ok(())
    }

    fn take_task_section(&mut self, section: &'a [u8]) -> Result<(), OutlineError> {
        let bytes = self.task_sections.iter().map(|section| section.len()).sum::<usize>() + section.len();
        at_most(bytes.saturating_sub(1), TASK_SECTION_BYTES_MAX, "bytes that describe tasks")?;
        self.task_sections.push(section);
        Ok(())
    }
}

/// What is said to whoever brings a component.
pub(super) const COMPONENTS_UNSUPPORTED: &str = "this is a component, and components are not supported as MODULE yet; build a core module, for example for wasm32-wasip1";
const SHARED_MEMORY_UNSUPPORTED: &str = "the module defines a shared memory, but its threads would have nowhere to run; build it without thread support";
const MEMORY_KIND_UNSUPPORTED: &str =
    "the module defines a 64-bit memory or one with pages of its own size; build it for wasm32";

/// What a name section tells about some functions.
#[derive(Default)]
pub(super) struct Names {
    /// Functions that are wasm-ld's wrappers around an export.
    pub(super) command_wrappers: HashSet<u32>,
    /// Names by function and local; a function's parameters are its first locals.
    locals: HashMap<(u32, u32), String>,
}

impl Names {
    /// Name of a function's parameter.
    pub(super) fn parameter(&self, function: u32, parameter: u32) -> Option<&str> {
        let name = self.locals.get(&(function, parameter))?;
        (!name.is_empty()).then_some(name.as_str())
    }

    fn take(&mut self, subsection: Name<'_>, wanted: &HashSet<u32>) -> Result<(), wasmparser::Error> {
        match subsection {
            Name::Function(functions) => {
                for naming in functions {
                    let naming = naming?;
                    if naming.name.ends_with(COMMAND_WRAPPER_SUFFIX) && wanted.contains(&naming.index) {
                        self.command_wrappers.insert(naming.index);
                    }
                }
            }
            Name::Local(functions) => {
                for function in functions {
                    let function = function?;
                    if wanted.contains(&function.index) {
                        self.take_locals(function.index, function.names)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_locals(
        &mut self,
        function: u32,
        names: wasmparser::NameMap<'_>,
    ) -> Result<(), wasmparser::Error> {
        for naming in names {
            let naming = naming?;
            if naming.index < PARAMETERS_NAMED_MAX && self.locals.len() < LOCAL_NAMES_MAX {
                self.locals.insert((function, naming.index), naming.name.to_owned());
            }
        }
        Ok(())
    }
}

/// Runs over a section's items and insists that nothing follows the last one.
fn each<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
    mut take: impl FnMut(T) -> Result<(), OutlineError>,
) -> Result<(), OutlineError> {
    section.into_iter().try_for_each(|item| take(item?))
}

/// Whether one more fits.
fn at_most(count: usize, limit: usize, what: &'static str) -> Result<(), OutlineError> {
    if count < limit { Ok(()) } else { Err(OutlineError::TooMany { what, limit }) }
}

fn numbers(parameters: &[ValType], results: &[ValType]) -> Option<Signature> {
    let all = |types: &[ValType]| types.iter().map(number).collect::<Option<Vec<_>>>();
    Some(Signature { parameters: all(parameters)?, results: all(results)? })
}

fn number(ty: &ValType) -> Option<Number> {
    match ty {
        ValType::I32 => Some(Number::I32),
        ValType::I64 => Some(Number::I64),
        ValType::F32 => Some(Number::F32),
        ValType::F64 => Some(Number::F64),
        ValType::V128 | ValType::Ref(_) => None,
    }
}

fn truncated(wasm: &[u8], message: &str) -> OutlineError {
    OutlineError::Malformed { message: message.to_owned(), offset: wasm.len() }
}
