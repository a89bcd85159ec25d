//! `inspect`: what a module offers and wants, read from its bytes without running any of them.

use std::io::Write;

use sha2::{Digest, Sha256};

use super::args::InspectArguments;
use super::exit::Exit;
use super::inspect::{Catalogue, Grant, Import, Limit, Memory, Parameter, Task, TaskKind};
use super::{Refusal, module_file};
use crate::pool;
use crate::pool::limits::{Limit as Limited, Limits};
use crate::pool::{COMPILE_MEMORY_DEFAULT, COMPILE_TIME_DEFAULT};
use crate::sandbox::catalog::{Catalog, Task as Listed};

/// Describes a module on stdout.
pub(super) fn run(inspect: &InspectArguments, limits: &Limits) -> Result<Exit, Refusal> {
    let path = module_file(&inspect.module, inspect.build)?;
    let name = pool::module::display_name(&path);
    let unusable = |error: pool::Error| Refusal::new(Exit::Unusable, error);
    let bytes = pool::read_module_named(&path, &name, limits.module_bytes).map_err(unusable)?;
    let (wasm, catalog) = pool::read_catalog(&name, &bytes, limits.module_bytes).map_err(unusable)?;
    let catalogue = describe(&inspect.module.display().to_string(), &wasm, &catalog, limits);
    let text = if inspect.json { catalogue.json() + "\n" } else { catalogue.to_string() };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(Exit::Success),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Success),
        Err(error) => {
            Err(Refusal::new(Exit::Other, anyhow::Error::new(error).context("stdout cannot be written")))
        }
    }
}

pub(super) fn describe(module: &str, wasm: &[u8], catalog: &Catalog, limits: &Limits) -> Catalogue {
    let ungranted = catalog.ungranted_imports();
    let grant = |import: &crate::sandbox::catalog::Import| {
        if !ungranted.iter().any(|other| other.module == import.module && other.name == import.name) {
            let on_paths = import.module == crate::sandbox::wasi::MODULE && import.name.starts_with("path_");
            if on_paths { Grant::WithDir } else { Grant::Granted }
        } else if import.module == crate::sandbox::wasi::MODULE {
            Grant::NotGranted
        } else {
            Grant::Unknown
        }
    };
    let imports = catalog.imports.iter().map(|import| Import {
        module: import.module.clone(),
        name: import.name.clone(),
        grant: grant(import),
    });
    Catalogue {
        module: module.to_owned(),
        size_bytes: catalog.wasm_bytes,
        sha256: Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect(),
        tasks: catalog.tasks.iter().map(task).collect(),
        command: catalog.has_start,
        imports: imports.collect(),
        memories: memories(catalog),
        limits: limit_rows(catalog, limits),
        warnings: warnings(catalog, limits),
    }
}

fn task(listed: &Listed) -> Task {
    let numeric = listed.numeric.as_ref().filter(|_| listed.pull.is_none());
    let results = match numeric {
        Some(numeric) => numeric.signature.results.iter().map(|number| number.name().to_owned()).collect(),
        None => listed.result.iter().cloned().collect(),
    };
    let parameter = |parameter: &crate::sandbox::catalog::Parameter| Parameter {
        name: parameter.name.clone(),
        kind: parameter.kind.clone(),
    };
    Task {
        name: listed.name.clone(),
        kind: if listed.pull.is_some() { TaskKind::Sdk } else { TaskKind::Numeric },
        parameters: listed.parameters.iter().map(parameter).collect(),
        results,
        documentation: listed.documentation.clone(),
    }
}

fn memories(catalog: &Catalog) -> Vec<Memory> {
    match catalog.initial_memory_bytes {
        0 => Vec::new(),
        initial_bytes => vec![Memory { initial_bytes, max_bytes: None }],
    }
}

/// What would apply, with these limits, and what the module asks for from the start.
fn limit_rows(catalog: &Catalog, limits: &Limits) -> Vec<Limit> {
    let row = |limit: Limited| Limit {
        name: limit.what().to_owned(),
        value: limits.in_force(limit).map_or_else(|| "none".to_owned(), |amount| limit.show(amount)),
        flag: Some(format!("--{}", limit.name())),
        needs: needs(catalog, limit).map(|amount| limit.show(amount)),
    };
    let fixed = |name: &str, value: String| Limit { name: name.to_owned(), value, flag: None, needs: None };
    let input = format!("{} MiB", crate::channel::layout::VALUE_BYTES_MAX >> 20);
    let mut rows: Vec<Limit> = Limited::ALL.into_iter().map(row).collect();
    rows.extend([
        fixed("input of a call", input),
        fixed("compile time", format!("{} s", COMPILE_TIME_DEFAULT.as_secs())),
        fixed("compile memory", format!("{} GiB", COMPILE_MEMORY_DEFAULT >> 30)),
    ]);
    rows
}

/// How much of it the module takes before any call begins.
fn needs(catalog: &Catalog, limit: Limited) -> Option<u64> {
    match limit {
        Limited::Memory => Some(catalog.initial_memory_bytes),
        Limited::Tables => Some(catalog.tables.into()),
        Limited::TableElements => Some(catalog.initial_table_elements),
        Limited::Module => Some(catalog.wasm_bytes),
        _ => None,
    }
}

fn warnings(catalog: &Catalog, limits: &Limits) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(excess) = pool::module::excess(catalog, limits) {
        warnings.push(format!("it cannot be loaded: it {excess}"));
    }
    if !catalog.command_wrappers.is_empty() {
        warnings.push(format!(
            "constructors and destructors run on every call of {}: the module has no _initialize, so its linker \
             wrapped each export; wasmpool-guest defines one",
            catalog.command_wrappers.join(", ")
        ));
    }
    warnings
}
