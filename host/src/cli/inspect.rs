//! What `inspect` prints about a module: as text for people, as JSON for programs.
//!
//! Everything in a [`Catalogue`] that comes from the module is hostile, names included. Text escapes it; JSON does so
//! by its nature.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::printable::printable;

/// A module as its bytes describe it; nothing of it has run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Catalogue {
    /// As given on the command line.
    pub(crate) module: String,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
    pub(crate) tasks: Vec<Task>,
    /// Whether it is a program, too.
    pub(crate) command: bool,
    pub(crate) imports: Vec<Import>,
    pub(crate) memories: Vec<Memory>,
    /// What applies to it: the flags given here, and otherwise the defaults.
    pub(crate) limits: Vec<Limit>,
    /// Whole sentences or fragments, one line each.
    pub(crate) warnings: Vec<String>,
}

/// A function that the pool can call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) kind: TaskKind,
    pub(crate) parameters: Vec<Parameter>,
    /// Several only for numeric tasks.
    pub(crate) results: Vec<String>,
    /// The first line is shown as text, all of it in JSON.
    pub(crate) documentation: String,
}

/// How a task is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskKind {
    /// Numbers in, numbers out.
    Numeric,
    /// A function marked `#[task]`.
    Sdk,
}

/// What a task takes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Parameter {
    pub(crate) name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// What the module wants of its host.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Import {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) grant: Grant,
}

/// Whether an import is there for the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Grant {
    /// Every module has it.
    Granted,
    /// Every module has it, and it works in directories that are granted.
    WithDir,
    /// Calls fail unless a flag grants more.
    NotGranted,
    /// No flag makes it work.
    Unknown,
}

/// A memory of the module.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) initial_bytes: u64,
    /// `None`: whatever the limit allows.
    pub(crate) max_bytes: Option<u64>,
}

/// One limit, amounts as people read them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) value: String,
    /// What changes it; some are fixed.
    pub(crate) flag: Option<String>,
    /// How much of it the module takes before any call begins, for what modules declare.
    pub(crate) needs: Option<String>,
}

impl Limit {
    fn row(&self) -> Row {
        let flag = self.flag.as_deref().unwrap_or_default();
        let needs = self.needs.as_ref().map(|needs| format!("  (the module: {needs})"));
        [line(&self.name), line(&self.value), format!("{flag}{}", needs.unwrap_or_default())]
    }
}

impl Catalogue {
    /// One JSON object on one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("plain data serializes")
    }
}

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = line(&self.module);
        writeln!(f, "{module}: {}, sha256 {}", size(self.size_bytes), line(&self.sha256))?;
        let task_rows = self.tasks.iter().map(Task::row).collect();
        section(
            f,
            "tasks",
            task_rows,
            Some("none: no #[task], and no export that takes and returns only numbers"),
        )?;
        let program =
            "run it with `wasmpool run`, or once per input with `wasmpool map MODULE --arg '{}'` or --stdin";
        let program = self.command.then(|| [program.to_owned(), String::new(), String::new()]);
        section(f, "program", program.into_iter().collect(), None)?;
        section(f, "imports", import_rows(&self.imports), Some("none"))?;
        section(f, "memory", self.memories.iter().map(Memory::row).collect(), None)?;
        section(f, "limits", self.limits.iter().map(Limit::row).collect(), None)?;
        let warning_rows = self.warnings.iter().map(|warning| [line(warning), String::new(), String::new()]);
        section(f, "warnings", warning_rows.collect(), None)
    }
}

type Row = [String; 3];

impl Task {
    /// Signature, kind, first line of the documentation.
    fn row(&self) -> Row {
        let kind = match self.kind {
            TaskKind::Numeric => "numeric",
            TaskKind::Sdk => "sdk",
        };
        let documentation = self.documentation.trim().lines().next().unwrap_or_default();
        [self.signature(), kind.to_owned(), line(documentation)]
    }

    /// `cube(number: i64) -> i64`.
    fn signature(&self) -> String {
        let parameters: Vec<String> = self.parameters.iter().map(Parameter::to_string).collect();
        let mut signature = format!("{}({})", self.name, parameters.join(", "));
        let arrow = match &self.results[..] {
            [] => Ok(()),
            [result] => write!(signature, " -> {result}"),
            results => write!(signature, " -> ({})", results.join(", ")),
        };
        arrow.expect("a string takes every write");
        line(&signature)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}: {}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

impl Memory {
    fn row(&self) -> Row {
        let initial = format!("{} at the start", size(self.initial_bytes));
        let growth = match self.max_bytes {
            Some(max) if max == self.initial_bytes => "does not grow".to_owned(),
            Some(max) => format!("grows to at most {}", size(max)),
            None => "grows as far as the limit allows".to_owned(),
        };
        [initial, growth, String::new()]
    }
}

/// Granted ones first; functions of one module together.
fn import_rows(imports: &[Import]) -> Vec<Row> {
    let mut sorted: Vec<&Import> = imports.iter().collect();
    sorted.sort_by(|left, right| {
        (left.grant, &left.module, &left.name).cmp(&(right.grant, &right.module, &right.name))
    });
    sorted
        .into_iter()
        .map(|import| {
            let grant = match import.grant {
                Grant::Granted => "granted",
                Grant::WithDir => "granted, finds files with --dir only",
                Grant::NotGranted => "not granted",
                Grant::Unknown => "unknown, calls that need it fail",
            };
            [line(&format!("{}.{}", import.module, import.name)), grant.to_owned(), String::new()]
        })
        .collect()
}

/// A title and aligned rows under it; without rows, what `none` says or nothing at all.
fn section(f: &mut fmt::Formatter<'_>, title: &str, rows: Vec<Row>, none: Option<&str>) -> fmt::Result {
    if rows.is_empty() {
        return none.map_or(Ok(()), |none| writeln!(f, "\n{title}\n  {none}"));
    }
    writeln!(f, "\n{title}")?;
    let first = column_width(&rows, 0);
    let second = column_width(&rows, 1);
    for [left, middle, right] in &rows {
        let row = format!("  {left:first$}  {middle:second$}  {right}");
        writeln!(f, "{}", row.trim_end())?;
    }
    Ok(())
}

/// Characters of the widest cell; a cell of extreme width stands out instead of moving all others.
fn column_width(rows: &[Row], column: usize) -> usize {
    const WIDTH_MAX: usize = 48;
    let widths = rows.iter().map(|row| row[column].chars().count());
    widths.filter(|width| *width <= WIDTH_MAX).max().unwrap_or(0)
}

/// Text of the module, or about it, on one line.
fn line(text: &str) -> String {
    printable(text, 200).to_string()
}

/// In the largest binary unit of which there is one, exact where that takes no fraction.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(6);
    let unit_bytes = 1_u64 << (10 * power);
    let unit = UNITS[power as usize - 1];
    if bytes.is_multiple_of(unit_bytes) {
        format!("{} {unit}", bytes / unit_bytes)
    } else {
        format!("{:.1} {unit}", bytes as f64 / unit_bytes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(
        name: &str,
        kind: TaskKind,
        parameters: &[(&str, &str)],
        results: &[&str],
        documentation: &str,
    ) -> Task {
        let parameter = |(name, kind): &(&str, &str)| Parameter {
            name: (!name.is_empty()).then(|| (*name).to_owned()),
            kind: (*kind).to_owned(),
        };
        Task {
            name: name.to_owned(),
            kind,
            parameters: parameters.iter().map(parameter).collect(),
            results: results.iter().map(|result| (*result).to_owned()).collect(),
            documentation: documentation.to_owned(),
        }
    }

    fn import(module: &str, name: &str, grant: Grant) -> Import {
        Import { module: module.to_owned(), name: name.to_owned(), grant }
    }

    fn empty() -> Catalogue {
        Catalogue {
            module: "tasks.wasm".to_owned(),
            size_bytes: 37,
            sha256: "ab".repeat(32),
            tasks: vec![],
            command: false,
            imports: vec![],
            memories: vec![],
            limits: vec![],
            warnings: vec![],
        }
    }

    fn full() -> Catalogue {
        Catalogue {
            size_bytes: 1_234_567,
            tasks: vec![
                task(
                    "cube",
                    TaskKind::Numeric,
                    &[("number", "i64")],
                    &["i64"],
                    "Cubes a number.\n\nExactly.",
                ),
                task(
                    "greet_everyone",
                    TaskKind::Sdk,
                    &[("names", "Vec<String>"), ("", "u8")],
                    &["String"],
                    "",
                ),
                task("minmax", TaskKind::Numeric, &[("", "f64")], &["f64", "f64"], ""),
                task("tick", TaskKind::Sdk, &[], &[], "Counts."),
            ],
            imports: vec![
                import("env", "launch", Grant::Unknown),
                import("wasi_snapshot_preview1", "path_open", Grant::WithDir),
                import("wasi_snapshot_preview1", "sock_accept", Grant::NotGranted),
                import("wasi_snapshot_preview1", "fd_write", Grant::Granted),
            ],
            memories: vec![Memory { initial_bytes: 17 << 16, max_bytes: None }],
            limits: vec![
                Limit {
                    name: "memory".to_owned(),
                    value: "256 MiB".to_owned(),
                    flag: Some("--max-memory".to_owned()),
                    needs: Some("1 MiB".to_owned()),
                },
                Limit { name: "time".to_owned(), value: "60s".to_owned(), flag: None, needs: None },
            ],
            warnings: vec!["built without `_initialize`: every call runs constructors".to_owned()],
            ..empty()
        }
    }

    #[test]
    fn text_is_aligned() {
        let expected = "\
tasks.wasm: 1.2 MiB, sha256 abababababababababababababababababababababababababababababababab

tasks
  cube(number: i64) -> i64                          numeric  Cubes a number.
  greet_everyone(names: Vec<String>, u8) -> String  sdk
  minmax(f64) -> (f64, f64)                         numeric
  tick()                                            sdk      Counts.

imports
  wasi_snapshot_preview1.fd_write     granted
  wasi_snapshot_preview1.path_open    granted, finds files with --dir only
  wasi_snapshot_preview1.sock_accept  not granted
  env.launch                          unknown, calls that need it fail

memory
  1.1 MiB at the start  grows as far as the limit allows

limits
  memory  256 MiB  --max-memory  (the module: 1 MiB)
  time    60s

warnings
  built without `_initialize`: every call runs constructors
";
        assert_eq!(full().to_string(), expected);
    }

    #[test]
    fn an_empty_module_says_so() {
        let expected = format!(
            "tasks.wasm: 37 B, sha256 {}\n\ntasks\n  none: no #[task], and no export that takes and returns only numbers\n\nimports\n  none\n",
            "ab".repeat(32),
        );
        assert_eq!(empty().to_string(), expected);
    }

    #[test]
    fn a_program_is_told() {
        let program = Catalogue { command: true, ..empty() };
        assert!(
            program
                .to_string()
                .contains("\n\nprogram\n  run it with `wasmpool run`, or once per input with ")
        );
        assert!(!empty().to_string().contains("program"));
        assert!(program.json().contains(r#""command":true"#));
    }

    #[test]
    fn json_holds_everything_on_one_line() {
        let json = full().json();
        assert!(!json.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["tasks"][0]["documentation"], "Cubes a number.\n\nExactly.");
        assert_eq!(value["tasks"][1]["parameters"][1], serde_json::json!({ "name": null, "type": "u8" }));
        assert_eq!(value["tasks"][1]["kind"], "sdk");
        assert_eq!(value["imports"][1]["grant"], "with-dir");
        assert_eq!(value["imports"][2]["grant"], "not-granted");
        assert_eq!(value["memories"][0]["max_bytes"], serde_json::Value::Null);
    }

    #[test]
    fn hostile_names_do_not_reach_the_terminal() {
        let name = format!("a\u{1b}[2J\n{}", "x".repeat(100_000));
        let module = Catalogue { tasks: vec![task(&name, TaskKind::Sdk, &[], &[], &name)], ..empty() };
        let text = module.to_string();
        assert!(!text.contains('\u{1b}'));
        assert!(text.len() < 1_000);
        assert_eq!(text.lines().count(), empty().to_string().lines().count());
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, expected) in sizes {
            assert_eq!(size(bytes), expected);
        }
    }
}
