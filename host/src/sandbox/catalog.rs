//! The catalog: which tasks a module offers, and what it wants from its host.
//!
//! It is made from a module's original bytes ([`super::outline`]) in the supervisor, for `inspect` and before a job
//! starts, and again in the compiler process, which needs the signatures. Both must come to the same numbering of
//! drivers, so everything here is sorted and depends on nothing but the bytes.
//!
//! A module offers *SDK tasks*, which its task section describes, and *numeric tasks*: every other exported function
//! that takes and returns only numbers. All names and texts are the module's own words: whoever prints them escapes
//! control characters, and nobody believes them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use wasmpool_abi::section::{FLAG_FALLIBLE, FLAG_NUMERIC, SectionError, TaskRecord, records};
use wasmpool_abi::{NUMERIC_EXPORT_PREFIX, TASK_EXPORT_PREFIX};

use super::driver::{Number, SIGNATURES_MAX, Signature};
use super::outline::{Names, Outline};
use super::{nesting, shared, wasi};

pub(crate) use super::outline::{Import, ImportKind, OutlineError};

/// Where a program begins: a function of this name without parameters and results.
pub(crate) const START_EXPORT: &str = "_start";

/// Tasks that a module may offer.
const TASKS_MAX: usize = 10_000;
/// Parameters and results of all tasks together: ten thousand exports can share one type with a thousand of each.
const NUMBERS_MAX: usize = 100_000;
/// Near matches that are suggested for a name that does not exist.
const SUGGESTIONS_MAX: usize = 3;
/// Characters of a name that are compared; edit distance takes quadratic time.
const SUGGESTION_CHARACTERS_MAX: usize = 64;

/// Everything that can be said about a module without running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Catalog {
    /// What the pool can call, sorted by name.
    pub tasks: Vec<Task>,
    /// What the module wants from its host, in its own order.
    pub imports: Vec<Import>,
    /// Distinct signatures of numeric tasks that have a driver, at most 64, in order of the tasks' names.
    pub signatures: Vec<Signature>,
    /// Size of all its memories when an instance starts, in bytes.
    pub initial_memory_bytes: u64,
    /// How many tables it defines.
    pub tables: u32,
    /// Elements of all tables that it defines, together, before any growth.
    pub initial_table_elements: u64,
    /// Whether it is a program: it exports `_start`.
    pub has_start: bool,
    /// Whether it is a reactor: it exports `_initialize`, to be called once per instance.
    pub has_initialize: bool,
    /// Exports that are wasm-ld's wrappers, running constructors and destructors around every call. Sorted.
    pub command_wrappers: Vec<String>,
    /// Length of the module in bytes.
    pub wasm_bytes: u64,
}

/// A function that the pool can call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// Name by which it is called.
    pub name: String,
    /// Its documentation in the source, or an empty text.
    pub documentation: String,
    /// What it takes, in order. Empty without meaning when the task is not [`described`](Self::described).
    pub parameters: Vec<Parameter>,
    /// Type of its result; `None` for a task without one.
    pub result: Option<String>,
    /// Whether it can return an error of its own.
    pub fallible: bool,
    /// Export of its pull loop, when it is an SDK task.
    pub pull: Option<String>,
    /// How to call it with bare numbers, when it takes and returns nothing else.
    pub numeric: Option<Numeric>,
    /// Whether parameters and result are known. They are not for an SDK task whose task section was stripped.
    pub described: bool,
}

/// One parameter of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Its name in the source, when the module tells.
    pub name: Option<String>,
    /// Its type, in the words of the module's language or of WebAssembly.
    pub kind: String,
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}: {}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

/// How to call a task with bare numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numeric {
    /// The exported function.
    pub export: String,
    /// What it takes and returns.
    pub signature: Signature,
    /// Its driver, an index into [`Catalog::signatures`]; `None` beyond the limit.
    pub driver: Option<u16>,
}

/// Why a module's tasks cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CatalogError {
    /// The module itself cannot be read.
    #[error(transparent)]
    Outline(#[from] OutlineError),
    /// The section that lists its tasks cannot be read.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// The module has too many tasks, or tasks with too many parameters.
    #[error("the module has more than {limit} {what}")]
    TooMany {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The task section names a task twice.
    #[error("the task section lists task `{name}` twice")]
    Twice {
        /// The task.
        name: String,
    },
    /// A task's function is missing or has another type than it should.
    #[error(
        "task `{name}` needs an exported function `{export}` of type {expected}; rebuild the module with a matching wasmpool-guest"
    )]
    Export {
        /// The task.
        name: String,
        /// The export that was looked for.
        export: String,
        /// What it should have been.
        expected: String,
    },
}

/// Lists a module in binary form.
///
/// The time is linear in the module's length, and function bodies are skipped. Nothing in the result proves that
/// the module is valid; compiling it does.
///
/// # Errors
///
/// When the bytes are no core module, a list is too long, or the task section contradicts the exports.
pub(crate) fn read(wasm: &[u8]) -> Result<Catalog, CatalogError> {
    let outline = Outline::read(wasm)?;
    let exported: HashSet<u32> = outline.exports().map(|(_, index)| index).collect();
    let names = outline.names(&exported);
    let tasks = Tasks::collect(&outline, &names)?;
    let mut tasks: Vec<Task> = tasks.by_name.into_values().collect();
    let signatures = number_drivers(&mut tasks);
    Ok(Catalog {
        tasks,
        signatures,
        initial_memory_bytes: outline.initial_memory_bytes,
        tables: outline.tables,
        initial_table_elements: outline.initial_table_elements,
        has_start: exports_plain(&outline, START_EXPORT),
        has_initialize: exports_plain(&outline, wasmpool_abi::INITIALIZE_EXPORT),
        command_wrappers: command_wrappers(&outline, &names),
        wasm_bytes: wasm.len() as u64,
        imports: outline.imports,
    })
}

impl Catalog {
    /// The task of this name, and its number.
    pub(crate) fn task(&self, name: &str) -> Option<(usize, &Task)> {
        let number = self.tasks.binary_search_by(|task| task.name.as_str().cmp(name)).ok()?;
        Some((number, &self.tasks[number]))
    }

    /// Tasks whose names look like a misspelling of `name`, the nearest first, at most three.
    pub(crate) fn nearest(&self, name: &str) -> Vec<&str> {
        let wanted: String = name.chars().take(SUGGESTION_CHARACTERS_MAX).collect();
        let mut near: Vec<(usize, &str)> = self
            .tasks
            .iter()
            .filter(|task| task.name.len() <= SUGGESTION_CHARACTERS_MAX)
            .map(|task| (distance(&wanted, &task.name), task.name.as_str()))
            .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
            .collect();
        near.sort_unstable();
        near.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name).collect()
    }

    /// Imports that `run` does not provide: a program of its own has WASI and nothing else.
    #[cfg(feature = "cli")]
    pub(crate) fn imports_beyond_wasi(&self) -> Vec<&Import> {
        self.imports.iter().filter(|import| import.module != wasi::MODULE || !is_granted(import)).collect()
    }

    /// Imports that no worker provides: neither wasmpool's own nor one of our WASI functions, with the right type.
    pub(crate) fn ungranted_imports(&self) -> Vec<&Import> {
        self.imports.iter().filter(|import| !is_granted(import)).collect()
    }
}

impl Catalog {
    /// Whether its tasks can submit calls.
    pub(crate) fn nests(&self) -> bool {
        let is_submit = |import: &Import| {
            import.module == wasmpool_abi::IMPORT_MODULE
                && import.name == wasmpool_abi::nesting::IMPORT_SUBMIT
        };
        self.imports.iter().any(is_submit)
    }
}

/// Edit distance with swapped neighbours counted once, blind to case.
fn distance(left: &str, right: &str) -> usize {
    strsim::osa_distance(&left.to_lowercase(), &right.to_lowercase())
}

fn is_granted(import: &Import) -> bool {
    let ImportKind::Function(Some(signature)) = &import.kind else { return false };
    match import.module.as_str() {
        wasmpool_abi::IMPORT_MODULE => {
            let own = pull_loop_function(&import.name)
                .or_else(|| shared::signature(&import.name))
                .or_else(|| nesting::signature(&import.name));
            own.as_ref() == Some(signature)
        }
        wasi::MODULE => wasi::signature(&import.name).as_ref() == Some(signature),
        #[cfg(feature = "break-out")]
        super::break_out::MODULE => super::break_out::is_allowed(),
        _ => false,
    }
}

/// Signature of a function of the pull loop or about it, as `wasmpool-abi` documents it.
fn pull_loop_function(name: &str) -> Option<Signature> {
    use Number::{I32, I64};
    let (parameters, results): (&[Number], &[Number]) = match name {
        wasmpool_abi::IMPORT_NEXT => (&[I32, I32], &[I64]),
        wasmpool_abi::IMPORT_FETCH => (&[I32], &[]),
        wasmpool_abi::IMPORT_DONE => (&[I32, I32, I32], &[]),
        wasmpool_abi::IMPORT_PANICKED => (&[I32, I32], &[]),
        wasmpool_abi::current::IMPORT_CURRENT => (&[I32], &[]),
        _ => return None,
    };
    Some(Signature { parameters: parameters.to_vec(), results: results.to_vec() })
}

/// The tasks found so far.
struct Tasks<'a> {
    outline: &'a Outline<'a>,
    names: &'a Names,
    by_name: BTreeMap<String, Task>,
    numbers: usize,
}

impl<'a> Tasks<'a> {
    fn collect(outline: &'a Outline<'a>, names: &'a Names) -> Result<Self, CatalogError> {
        let mut tasks = Self { outline, names, by_name: BTreeMap::new(), numbers: 0 };
        for section in &outline.task_sections {
            for record in records(section) {
                tasks.add_described(&record?)?;
            }
        }
        for (export, index) in outline.exports() {
            match export.strip_prefix(TASK_EXPORT_PREFIX) {
                Some(name) => tasks.add_undescribed(name)?,
                None => tasks.add_plain(export, index)?,
            }
        }
        Ok(tasks)
    }

    /// A task with a record in the task section.
    fn add_described(&mut self, record: &TaskRecord<'_>) -> Result<(), CatalogError> {
        if self.by_name.contains_key(record.name) {
            return Err(CatalogError::Twice { name: record.name.to_owned() });
        }
        let parameters: Vec<Parameter> = record
            .parameters()
            .map(|(name, kind)| Parameter { name: Some(name.to_owned()), kind: kind.to_owned() })
            .collect();
        let numeric = match record.flags & FLAG_NUMERIC {
            0 => None,
            _ => Some(self.numeric_twin(record.name, parameters.len())?),
        };
        self.insert(Task {
            name: record.name.to_owned(),
            documentation: record.documentation.to_owned(),
            parameters,
            result: (!record.result.is_empty()).then(|| record.result.to_owned()),
            fallible: record.flags & FLAG_FALLIBLE != 0,
            pull: Some(self.pull_entry(record.name)?),
            numeric,
            described: true,
        })
    }

    /// A task whose record was stripped: it can be called, but only the guest knows its parameters.
    fn add_undescribed(&mut self, name: &str) -> Result<(), CatalogError> {
        if self.by_name.contains_key(name) {
            return Ok(());
        }
        let export = format!("{NUMERIC_EXPORT_PREFIX}{name}");
        let numeric = self.outline.export(&export).and_then(|index| self.numeric(&export, index));
        let (parameters, result) = match &numeric {
            Some((numeric, index)) => self.describe(&numeric.signature, *index),
            None => (Vec::new(), None),
        };
        self.insert(Task {
            name: name.to_owned(),
            documentation: String::new(),
            parameters,
            result,
            fallible: false,
            pull: Some(self.pull_entry(name)?),
            described: numeric.is_some(),
            numeric: numeric.map(|(numeric, _)| numeric),
        })
    }

    /// A function that is exported without the SDK, if it takes and returns only numbers.
    fn add_plain(&mut self, export: &str, index: u32) -> Result<(), CatalogError> {
        // An SDK task of the same name wins, whichever of its two exports is met first.
        let is_sdk_task = self.outline.export(&format!("{TASK_EXPORT_PREFIX}{export}")).is_some();
        if is_reserved(export) || is_sdk_task {
            return Ok(());
        }
        let Some((numeric, _)) = self.numeric(export, index) else { return Ok(()) };
        let (parameters, result) = self.describe(&numeric.signature, index);
        self.insert(Task {
            name: export.to_owned(),
            documentation: String::new(),
            parameters,
            result,
            fallible: false,
            pull: None,
            numeric: Some(numeric),
            described: true,
        })
    }

    fn insert(&mut self, task: Task) -> Result<(), CatalogError> {
        let results = task.numeric.as_ref().map_or(0, |numeric| numeric.signature.results.len());
        self.numbers += task.parameters.len() + results;
        if self.by_name.len() >= TASKS_MAX {
            return Err(CatalogError::TooMany { what: "tasks", limit: TASKS_MAX });
        }
        if self.numbers > NUMBERS_MAX {
            let what = "parameters and results of tasks";
            return Err(CatalogError::TooMany { what, limit: NUMBERS_MAX });
        }
        self.by_name.insert(task.name.clone(), task);
        Ok(())
    }

    /// The entry of a task's pull loop, which takes the codec and returns nothing.
    fn pull_entry(&self, name: &str) -> Result<String, CatalogError> {
        let export = format!("{TASK_EXPORT_PREFIX}{name}");
        let expected = Signature { parameters: vec![Number::I32], results: Vec::new() };
        let found = self.outline.export(&export).and_then(|index| self.outline.signature(index));
        if found == Some(&expected) {
            return Ok(export);
        }
        Err(CatalogError::Export { name: name.to_owned(), export, expected: describe_function(&expected) })
    }

    /// The numeric entry that a task's record promises.
    fn numeric_twin(&self, name: &str, parameters: usize) -> Result<Numeric, CatalogError> {
        let export = format!("{NUMERIC_EXPORT_PREFIX}{name}");
        let found = self.outline.export(&export).and_then(|index| self.numeric(&export, index));
        match found {
            Some((numeric, _)) if numeric.signature.parameters.len() == parameters => Ok(numeric),
            _ => Err(CatalogError::Export {
                name: name.to_owned(),
                export,
                expected: format!("{parameters} numbers to numbers"),
            }),
        }
    }

    fn numeric(&self, export: &str, index: u32) -> Option<(Numeric, u32)> {
        let signature = self.outline.signature(index)?.clone();
        Some((Numeric { export: export.to_owned(), signature, driver: None }, index))
    }

    /// Parameters, named where the name section names them, and result of a function of numbers.
    fn describe(&self, signature: &Signature, function: u32) -> (Vec<Parameter>, Option<String>) {
        let parameters = (0..)
            .zip(&signature.parameters)
            .map(|(p, number)| Parameter {
                name: self.names.parameter(function, p).map(str::to_owned),
                kind: number.name().to_owned(),
            })
            .collect();
        let result = match signature.results[..] {
            [] => None,
            [number] => Some(number.name().to_owned()),
            _ => Some(describe_numbers(&signature.results)),
        };
        (parameters, result)
    }
}

/// Exports that are part of a toolchain's machinery rather than of what the author wrote.
fn is_reserved(export: &str) -> bool {
    export.starts_with("wasmpool:")
        || export.starts_with("__")
        || export.starts_with("cabi_")
        || matches!(export, START_EXPORT | wasmpool_abi::INITIALIZE_EXPORT)
}

/// `(i32, f64)`
fn describe_numbers(numbers: &[Number]) -> String {
    let names: Vec<&str> = numbers.iter().map(|number| number.name()).collect();
    format!("({})", names.join(", "))
}

/// `(i32) -> ()`
fn describe_function(signature: &Signature) -> String {
    format!("{} -> {}", describe_numbers(&signature.parameters), describe_numbers(&signature.results))
}

/// Gives each distinct signature a driver, in order of first appearance, and tells the tasks which is theirs.
fn number_drivers(tasks: &mut [Task]) -> Vec<Signature> {
    let mut numbers: HashMap<Signature, u16> = HashMap::new();
    let mut signatures = Vec::new();
    for numeric in tasks.iter_mut().filter_map(|task| task.numeric.as_mut()) {
        if let Some(driver) = numbers.get(&numeric.signature) {
            numeric.driver = Some(*driver);
        } else if let Ok(driver @ 0..DRIVERS_END) = u16::try_from(signatures.len()) {
            numbers.insert(numeric.signature.clone(), driver);
            signatures.push(numeric.signature.clone());
            numeric.driver = Some(driver);
        }
    }
    signatures
}

/// One behind the last driver's number.
const DRIVERS_END: u16 = SIGNATURES_MAX as u16;

/// Whether a function without parameters and results is exported under this name.
fn exports_plain(outline: &Outline<'_>, name: &str) -> bool {
    let signature = outline.export(name).and_then(|index| outline.signature(index));
    signature == Some(&Signature::default())
}

fn command_wrappers(outline: &Outline<'_>, names: &Names) -> Vec<String> {
    let is_wrapper = |index: &u32| names.command_wrappers.contains(index);
    let mut wrappers: Vec<String> =
        outline.exports().filter(|(_, index)| is_wrapper(index)).map(|(name, _)| name.to_owned()).collect();
    wrappers.sort_unstable();
    wrappers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wasmpool_abi::section::FLAG_NO_RESULT;

    use super::*;

    fn catalog(text: &str) -> Catalog {
        read(&wat::parse_str(text).unwrap()).unwrap()
    }

    fn refusal(text: &str) -> String {
        read(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    }

    /// A record as the macro writes it, escaped for a text module.
    fn record(
        flags: u8,
        name: &str,
        result: &str,
        documentation: &str,
        parameters: &[(&str, &str)],
    ) -> String {
        let text = |text: &str| [&(text.len() as u16).to_le_bytes(), text.as_bytes()].concat();
        let mut body = vec![wasmpool_abi::VERSION, flags];
        body.extend((parameters.len() as u16).to_le_bytes());
        body.extend([text(name), text(result), text(documentation)].concat());
        body.extend(parameters.iter().flat_map(|(name, kind)| [text(name), text(kind)].concat()));
        let bytes = [&(body.len() as u32).to_le_bytes()[..], &body].concat();
        bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
    }

    fn names(catalog: &Catalog) -> Vec<&str> {
        catalog.tasks.iter().map(|task| task.name.as_str()).collect()
    }

    #[test]
    fn exported_functions_of_numbers_are_tasks_sorted_by_name() {
        let catalog = catalog(
            "(module
                (memory (export \"memory\") 2)
                (func (export \"b\") (param $left i32) (param f32) (result i64) (i64.const 0))
                (func (export \"a\") (result i32 f64) (i32.const 0) (f64.const 0))
                (func (export \"vector\") (param v128))
                (func (export \"reference\") (result funcref) (ref.null func))
                (func (export \"_start\")) (func (export \"_initialize\")) (func (export \"__wasm_call_ctors\"))
                (func (export \"cabi_realloc\") (param i32)) (func (export \"wasmpool:flush\")))",
        );
        assert_eq!(names(&catalog), ["a", "b"]);
        assert!(catalog.has_start && catalog.has_initialize);
        assert_eq!(catalog.initial_memory_bytes, 131_072);
        assert_eq!(catalog.task("a").unwrap().1.result.as_deref(), Some("(i32, f64)"));
        let b = catalog.task("b").unwrap().1;
        let parameter =
            |name: Option<&str>, kind: &str| Parameter { name: name.map(Into::into), kind: kind.into() };
        assert_eq!(b.parameters, [parameter(Some("left"), "i32"), parameter(None, "f32")]);
        assert_eq!((b.result.as_deref(), &b.pull, b.described), (Some("i64"), &None, true));
        assert_eq!(catalog.task("c"), None);
    }

    #[test]
    fn sdk_tasks_carry_what_their_records_say() {
        let records =
            record(FLAG_NUMERIC | FLAG_FALLIBLE, "cube", "i64", "Cubes.\nExactly.", &[("x", "i64")])
                + &record(FLAG_NO_RESULT, "log", "", "", &[("line", "&str"), ("level", "Level")]);
        let catalog = catalog(&format!(
            "(module (@custom \"wasmpool.tasks\" \"{records}\")
                (func (export \"wasmpool:task:cube\") (param i32))
                (func (export \"wasmpool:numeric:cube\") (param i64) (result i64) local.get 0)
                (func (export \"wasmpool:task:log\") (param i32))
                (func (export \"cube\") (param f32)))"
        ));
        assert_eq!(names(&catalog), ["cube", "log"]);
        let cube = catalog.task("cube").unwrap().1;
        assert_eq!(cube.documentation, "Cubes.\nExactly.");
        assert_eq!(cube.result.as_deref(), Some("i64"));
        assert_eq!(cube.pull.as_deref(), Some("wasmpool:task:cube"));
        assert!(cube.fallible && cube.described);
        let numeric = cube.numeric.as_ref().unwrap();
        assert_eq!((numeric.export.as_str(), numeric.driver), ("wasmpool:numeric:cube", Some(0)));
        let log = catalog.task("log").unwrap().1;
        assert_eq!((log.parameters.len(), &log.result, &log.numeric), (2, &None, &None));
    }

    #[test]
    fn a_stripped_task_section_loses_only_descriptions() {
        let catalog = catalog(
            "(module (func (export \"wasmpool:task:log\") (param i32))
                (func (export \"wasmpool:task:cube\") (param i32))
                (func (export \"wasmpool:numeric:cube\") (param i64) (result i64) local.get 0))",
        );
        assert_eq!(names(&catalog), ["cube", "log"]);
        let (cube, log) = (catalog.task("cube").unwrap().1, catalog.task("log").unwrap().1);
        assert!(cube.described && cube.numeric.is_some() && cube.parameters.len() == 1);
        assert!(!log.described && log.pull.is_some());
    }

    #[test]
    fn a_record_that_contradicts_the_exports_is_refused() {
        let cube = record(FLAG_NUMERIC, "cube", "i64", "", &[("x", "i64")]);
        let section = |records: &str| format!("(@custom \"wasmpool.tasks\" \"{records}\")");
        let entry = "(func (export \"wasmpool:task:cube\") (param i32))";
        let numeric = "(func (export \"wasmpool:numeric:cube\") (param i64))";
        let refused = [
            (section(&cube), "", "`wasmpool:numeric:cube` of type 1 numbers"),
            (section(&cube), numeric, "`wasmpool:task:cube` of type (i32) -> ()"),
            (section(&cube), "(func (export \"wasmpool:task:cube\"))", "`wasmpool:numeric:cube`"),
            (
                section(&cube),
                "(func (export \"wasmpool:numeric:cube\") (param i64 i64))",
                "of type 1 numbers",
            ),
            (String::new(), "(func (export \"wasmpool:task:cube\") (param i64))", "of type (i32) -> ()"),
            (section(&(cube.clone() + &cube)), &format!("{entry} {numeric}"), "lists task `cube` twice"),
            (section(&cube[..30]), entry, "truncated"),
            (section("\\02\\00\\00\\00\\09\\00"), "", "version 9"),
        ];
        for (section, exports, message) in refused {
            let refusal = refusal(&format!("(module {section} {exports})"));
            assert!(refusal.contains(message), "{refusal:?} lacks {message:?}");
            assert!(!refusal.contains('\n'));
        }
    }

    #[test]
    fn drivers_are_numbered_by_first_appearance_and_end_at_the_limit() {
        let function = |n: usize| format!("(func (export \"f{n:03}\") (param{}))", " i32".repeat(n % 70));
        let functions: String = (0..140).rev().map(function).collect();
        let catalog = catalog(&format!("(module {functions})"));
        assert_eq!(catalog.signatures.len(), SIGNATURES_MAX);
        for (n, task) in catalog.tasks.iter().enumerate() {
            let numeric = task.numeric.as_ref().unwrap();
            let expected = (n % 70 < SIGNATURES_MAX).then_some((n % 70) as u16);
            assert_eq!(numeric.driver, expected, "{}", task.name);
            assert!(expected.is_none_or(|k| catalog.signatures[k as usize] == numeric.signature));
        }
    }

    #[test]
    fn only_what_a_worker_provides_with_the_right_type_is_granted() {
        let catalog = catalog(
            "(module
                (import \"wasmpool\" \"next\" (func (param i32 i32) (result i64)))
                (import \"wasmpool\" \"fetch\" (func (param i32)))
                (import \"wasmpool\" \"done\" (func (param i32 i32 i32)))
                (import \"wasmpool\" \"panicked\" (func (param i32 i32)))
                (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))
                (import \"wasi_snapshot_preview1\" \"proc_exit\" (func (param i32)))
                (import \"wasmpool\" \"next\" (func (param i32)))
                (import \"wasmpool\" \"launch\" (func))
                (import \"wasi_snapshot_preview1\" \"fd_write\" (func))
                (import \"wasi_snapshot_preview1\" \"path_open\"
                    (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
                (import \"wasi_snapshot_preview1\" \"sock_accept\" (func (param i32 i32 i32) (result i32)))
                (import \"env\" \"memory\" (memory 1)) (import \"env\" \"table\" (table 1 funcref))
                (import \"env\" \"global\" (global i32)) (import \"env\" \"f\" (func (param funcref))))",
        );
        let ungranted: Vec<&str> =
            catalog.ungranted_imports().into_iter().map(|import| import.name.as_str()).collect();
        assert_eq!(catalog.imports.len(), 15);
        assert_eq!(
            ungranted,
            ["next", "launch", "fd_write", "sock_accept", "memory", "table", "global", "f"]
        );
    }

    #[test]
    fn wrappers_around_exports_are_found_by_their_names() {
        let catalog = catalog(
            "(module (func $cube.command_export (export \"cube\"))
                (func $plain (export \"plain\")) (func $hidden.command_export))",
        );
        assert_eq!(catalog.command_wrappers, ["cube"]);
    }

    #[test]
    fn misspelt_names_are_suggested_the_nearest_first() {
        let functions = ["cube", "cubes", "tube", "square", "a"];
        let text: String = functions.map(|name| format!("(func (export \"{name}\"))")).concat();
        let catalog = catalog(&format!("(module {text})"));
        assert_eq!(catalog.nearest("cubr"), ["cube"]);
        assert_eq!(catalog.nearest("Cube"), ["cube", "cubes", "tube"]);
        assert_eq!(catalog.nearest("sqaure"), ["square"]);
        assert!(catalog.nearest("elephant").is_empty());
        assert!(catalog.nearest(&"x".repeat(1 << 20)).is_empty());
    }

    #[test]
    fn what_no_worker_can_load_is_refused_with_a_reason() {
        let memories = "(memory 1)".repeat(9);
        let tables = "(table 1 funcref)".repeat(9);
        let refused = [
            ("(memory 1 1 shared)", "shared memory"),
            ("(memory i64 1)", "64-bit memory"),
            (&memories, "more than 8 memories"),
            (&tables, "more than 8 tables"),
            ("(table 1000001 funcref)", "more than 1000000 elements in a table"),
        ];
        for (text, message) in refused {
            let refusal = refusal(&format!("(module {text})"));
            assert!(refusal.contains(message), "{refusal}");
        }
    }

    #[test]
    fn a_type_shared_by_many_exports_cannot_fill_the_supervisor() {
        let parameters = " i64".repeat(1_000);
        let exports: String = (0..200).map(|n| format!("(export \"f{n}\" (func $f))")).collect();
        let refusal = refusal(&format!("(module (func $f (param{parameters})) {exports})"));
        assert_eq!(refusal, "the module has more than 100000 parameters and results of tasks");
    }

    #[test]
    fn too_many_tasks_are_refused() {
        let exports: String = (0..=TASKS_MAX).map(|n| format!("(export \"f{n}\" (func $f))")).collect();
        assert_eq!(refusal(&format!("(module (func $f) {exports})")), "the module has more than 10000 tasks");
    }

    #[test]
    fn two_exports_of_one_name_are_refused() {
        let mut wasm = wat::parse_str("(module (func (export \"a\")) (func (export \"b\")))").unwrap();
        let b = wasm.windows(3).position(|bytes| bytes == [1, b'b', 0]).unwrap();
        wasm[b + 1] = b'a';
        assert!(read(&wasm).unwrap_err().to_string().contains("two functions under one name"));
    }

    #[test]
    fn a_damaged_name_section_loses_only_names() {
        let whole = "(module (func $f.command_export (export \"f\") (param $x i32)))";
        let mut wasm = wat::parse_str(whole).unwrap();
        let local = wasm.len() - 1;
        wasm[local] = 0xff;
        let catalog = read(&wasm).unwrap();
        assert_eq!(catalog.task("f").unwrap().1.parameters[0].name, None);
    }

    #[test]
    fn malformed_bytes_are_refused_with_their_offset() {
        let wasm = wat::parse_str("(module (memory 1) (func (export \"f\")))").unwrap();
        for end in 0..wasm.len() {
            if let Err(error) = read(&wasm[..end]) {
                assert!(error.to_string().contains("at byte 0x"), "{error}");
            }
        }
        assert!(read(&wasm[..wasm.len() - 1]).is_err());
        assert!(read(b"\0asm\x0d\0\x01\0").unwrap_err().to_string().contains("component"));
    }

    fn sample() -> Vec<u8> {
        let records = record(FLAG_NUMERIC, "cube", "i64", "Cubes.", &[("x", "i64")]);
        wat::parse_str(format!(
            "(module $sample (@custom \"wasmpool.tasks\" \"{records}\")
                (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))
                (memory 1) (table 4 funcref) (global i32 (i32.const 1))
                (func $e (export \"wasmpool:task:cube\") (param $codec i32))
                (func $n (export \"wasmpool:numeric:cube\") (param $x i64) (result i64) local.get 0)
                (elem (i32.const 0) $e $n) (data (i32.const 0) \"data\"))"
        ))
        .unwrap()
    }

    proptest! {
        #[test]
        fn damaged_modules_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut wasm = sample();
            for (index, byte) in changes {
                let index = index.index(wasm.len());
                wasm[index] = byte;
            }
            if let Ok(catalog) = read(&wasm) {
                prop_assert!(catalog.tasks.is_sorted_by(|a, b| a.name < b.name));
            }
        }

        #[test]
        fn arbitrary_sections_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[b"\0asm\x01\0\0\0", &bytes[..]].concat());
        }
    }
}
