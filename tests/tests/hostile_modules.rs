//! Hostile modules that aim at whoever reads and compiles them: too much of everything, what is no module, and
//! forged descriptions of tasks.

use wasmpool_abi::section::FLAG_NUMERIC;
use wasmpool_tests::binary::{Binary, many, number};
use wasmpool_tests::siege::{Attack, Expected, Weapon, withstand};

wasmpool::test_support!();

const fn refused(name: &'static str, make: fn() -> Vec<u8>, says: &'static str) -> Attack {
    Attack { name, module: Weapon::Made(make), outcome: Expected::Refused(says), ..Attack::PLAIN }
}

/// A module that is large, and none the worse for it.
const fn borne(name: &'static str, make: fn() -> Vec<u8>) -> Attack {
    Attack { name, module: Weapon::Made(make), ..Attack::PLAIN }
}

/// The type of no parameters and no results.
const PLAIN_TYPE: &[u8] = &[1, 0x60, 0, 0];

const TOO_MANY: [Attack; 10] = [
    refused(
        "a million functions and one",
        || {
            let module = Binary::default().section(1, &[PLAIN_TYPE]);
            let module = module.section(3, &[&many(1_000_001, &[0])]);
            module.section(10, &[&many(1_000_001, &[2, 0, 0x0b])]).bytes()
        },
        "more than 1000000 functions",
    ),
    refused(
        "a million types and one",
        || Binary::default().section(1, &[&many(1_000_001, &[0x60, 0, 0])]).bytes(),
        "more than 1000000 types",
    ),
    refused(
        "ten thousand imports and one",
        || {
            let module = Binary::default().section(1, &[PLAIN_TYPE]);
            module.section(2, &[&many(10_001, b"\x01a\x01b\0\0")]).bytes()
        },
        "more than 10000 imports",
    ),
    refused("a hundred thousand exports and one", || exporting(100_001), "more than 100000 exports"),
    refused("ten thousand tasks and one", || exporting(10_001), "more than 10000 tasks"),
    refused(
        "a thousand parameters and one",
        || {
            let kind = [&[1, 0x60][..], &many(1001, &[0x7e]), &[0]].concat();
            Binary::default().section(1, &[&kind]).bytes()
        },
        "function params",
    ),
    refused("two tasks of one name", exporting_twice, "exports two functions under one name"),
    refused("a quarter of a gigabyte and a byte", || vec![0; (256 << 20) + 1], "raise max_module"),
    borne("a hundred thousand globals", || {
        let module = Binary::default().section(1, &[&[1, 0x60, 0, 1, 0x7e]]).section(3, &[&[1, 0]]);
        let module = module.section(6, &[&many(100_000, &[0x7e, 1, 0x42, 7, 0x0b])]);
        module.section(7, &[b"\x01\x06attack\0\0"]).bodies().bytes()
    }),
    borne("five thousand functions", || {
        let module = Binary::default().section(1, &[&[1, 0x60, 0, 1, 0x7e]]);
        let module = module.section(3, &[&many(5000, &[0])]).section(7, &[b"\x01\x06attack\0\0"]);
        module.section(10, &[&many(5000, &[4, 0, 0x42, 0, 0x0b])]).bytes()
    }),
];

/// A module that exports one function so many times.
fn exporting(count: usize) -> Vec<u8> {
    let mut exports = number(count);
    for name in 0..count {
        let name = format!("{name:06}");
        exports.extend([&[6][..], name.as_bytes(), &[0, 0]].concat());
    }
    let module = Binary::default().section(1, &[PLAIN_TYPE]).section(3, &[&[1, 0]]);
    module.section(7, &[&exports]).section(10, &[&[1, 2, 0, 0x0b]]).bytes()
}

fn exporting_twice() -> Vec<u8> {
    let module = Binary::default().section(1, &[PLAIN_TYPE]).section(3, &[&[1, 0]]);
    module.section(7, &[b"\x02\x01a\0\0\x01a\0\0"]).section(10, &[&[1, 2, 0, 0x0b]]).bytes()
}

/// A module whose task has this body.
fn with_body(code: &[u8]) -> Vec<u8> {
    let body = [number(code.len()), code.to_vec()].concat();
    Binary::harmless().section(10, &[&[1], &body]).bytes()
}

const TOO_LARGE: [Attack; 7] = [
    refused(
        "a body of eight megabytes",
        || with_body(&[&[0][..], &[0x01; 8 << 20], &[0x42, 0, 0x0b]].concat()),
        "function body",
    ),
    borne("a body of half a million instructions that do nothing", || {
        with_body(&[&[0][..], &[0x01; 500_000], &[0x42, 0, 0x0b]].concat())
    }),
    refused(
        "four thousand million variables",
        || with_body(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7e, 0x42, 0, 0x0b]),
        "too many locals",
    ),
    borne("blocks ten thousand deep", || {
        let (begin, end) = ([0x02, 0x40].repeat(10_000), [0x0b].repeat(10_000));
        with_body(&[&[0][..], &begin, &end, &[0x42, 0, 0x0b]].concat())
    }),
    refused(
        "a jump to two hundred thousand places",
        || {
            let jump = [&[0x02, 0x40, 0x41, 0, 0x0e][..], &many(200_000, &[0]), &[0, 0x0b]].concat();
            with_body(&[&[0][..], &jump, &[0x42, 0, 0x0b]].concat())
        },
        "exceeds the implementation limit of 65520",
    ),
    borne("twelve megabytes of data", || {
        let data = [&[1, 0, 0x41, 0, 0x0b][..], &many(12 << 20, &[7])].concat();
        Binary::default()
            .section(1, &[&[1, 0x60, 0, 1, 0x7e]])
            .section(3, &[&[1, 0]])
            .section(5, &[&[1, 0], &number(192)])
            .section(7, &[b"\x01\x06attack\0\0"])
            .bodies()
            .section(11, &[&data])
            .bytes()
    }),
    refused(
        "a hundred thousand pieces of data and one",
        || {
            let memory = Binary::default().section(5, &[&[1, 0, 1]]);
            memory.section(11, &[&many(100_001, &[1, 0])]).bytes()
        },
        "data segments",
    ),
];

const NO_MODULES: [Attack; 13] = [
    refused("a section beyond the end", || Binary::harmless().raw(&[10, 0x7f, 0]).bytes(), "at byte 0x"),
    refused(
        "a section of four gigabytes",
        || Binary::harmless().raw(&[10, 0xff, 0xff, 0xff, 0xff, 0x0f]).bytes(),
        "at byte 0x",
    ),
    refused(
        "a length without end",
        || Binary::harmless().raw(&[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).bytes(),
        "at byte 0x",
    ),
    refused("no code for a function", || Binary::harmless().bytes(), "code section is absent"),
    refused("code for no function", || Binary::default().bodies().bytes(), "code section"),
    refused("a section twice", || Binary::harmless().bodies().bodies().bytes(), "out of order"),
    refused(
        "sections out of order",
        || Binary::harmless().bodies().section(1, &[PLAIN_TYPE]).bytes(),
        "out of order",
    ),
    refused("a section of no known kind", || Binary::harmless().raw(&[99, 0]).bytes(), "section"),
    refused(
        "more in a section than it says",
        || Binary::default().section(1, &[PLAIN_TYPE, &[0]]).bytes(),
        "at byte 0x",
    ),
    refused(
        "a name longer than its section",
        || Binary::harmless().bodies().section(0, &[&[0x7f, b'a']]).bytes(),
        "at byte 0x",
    ),
    refused(
        "a name that is not text",
        || Binary::default().section(1, &[PLAIN_TYPE]).section(2, &[b"\x01\x01\xff\x01\xff\0\0"]).bytes(),
        "UTF-8",
    ),
    borne("names of functions that make no sense", || {
        Binary::harmless().bodies().custom("name", &[1, 0x7f, 0xff, 0xff, 0xff, 0xff]).bytes()
    }),
    borne("a thousand custom sections", || {
        (0..1000).fold(Binary::harmless().bodies(), |module, _| module.custom("x", &[0; 1000])).bytes()
    }),
];

/// The text is read in this very process.
const TEXTS: [Attack; 8] = [
    refused(
        "four megabytes of text and a byte",
        || format!("(module {})", "(func)".repeat(700_000)).into_bytes(),
        "a module text of 4200009 bytes, at most 4194304 are read",
    ),
    refused("parentheses a million deep", || b"(".repeat(1 << 20), "invalid module text"),
    refused(
        "instructions a hundred thousand deep",
        || {
            let (begin, end) = ("(i64.eqz ".repeat(100_000), ")".repeat(100_000));
            format!("(module (func (export \"attack\") {begin}{end}))").into_bytes()
        },
        "",
    ),
    refused(
        "comments a million deep",
        || [&b"(module "[..], &b"(;".repeat(1 << 20)].concat(),
        "invalid module text",
    ),
    refused("text that never ends", || b"(module (data \"".to_vec(), "invalid module text"),
    refused("text that is not UTF-8", || b"(module \xff)".to_vec(), "not a WebAssembly module"),
    refused(
        "a name of a megabyte",
        || format!("(module (func ${} call $missing))", "x".repeat(1 << 20)).into_bytes(),
        "unknown func",
    ),
    refused(
        "a binary within a text within a text",
        || br#"(module quote "(module binary \"\\00asm\\ff\")")"#.to_vec(),
        "",
    ),
];

/// A module with this task section, and with exports as of the one task `attack`.
fn describing(section: &[u8]) -> Vec<u8> {
    let text =
        r#"(module (func (export "wasmpool:task:attack") (param i32)) (func (export "other") (param i32)))"#;
    let module = wat::parse_str(text).expect("valid");
    // The header is in the way of going on with it.
    Binary::default().raw(&module[8..]).custom("wasmpool.tasks", section).bytes()
}

/// A record of a task section.
fn record(name: &str, flags: u8, parameters: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
    let mut body = vec![1, flags];
    body.extend((parameters.len() as u16).to_le_bytes());
    body.extend([text(name), text("i64"), text("")].concat());
    parameters.iter().for_each(|(name, kind)| body.extend([text(name), text(kind)].concat()));
    [&(body.len() as u32).to_le_bytes()[..], &body].concat()
}

const FORGED: [Attack; 13] = [
    refused("a length beyond the end", || describing(&[0xff, 0xff, 0xff, 0xff, 1]), "truncated"),
    refused("a length cut short", || describing(&[1, 0]), "truncated"),
    refused("another version", || describing(&[1, 0, 0, 0, 200]), "version 200"),
    refused(
        "text that is not UTF-8",
        || {
            let mut record = record("attack", 0, &[]);
            let last = record.iter().rposition(|byte| *byte == b'k').expect("a name");
            record[last] = 0xff;
            describing(&record)
        },
        "not UTF-8",
    ),
    refused(
        "more parameters than it has",
        || {
            let mut record = record("attack", 0, &[]);
            record[6..8].copy_from_slice(&[0xff, 0xff]);
            describing(&record)
        },
        "truncated",
    ),
    refused(
        "more bytes than it needs",
        || {
            let mut record = record("attack", 0, &[]);
            record[0] += 1;
            record.push(0);
            describing(&record)
        },
        "longer than its contents",
    ),
    refused("a task twice", || describing(&record("attack", 0, &[]).repeat(2)), "lists task `attack` twice"),
    refused("a task that is not there", || describing(&record("missing", 0, &[])), "task `missing` needs"),
    refused(
        "a function of another kind as a task",
        || describing(&record("other", 0, &[])),
        "task `other` needs",
    ),
    refused(
        "a task of numbers that is none",
        || describing(&record("attack", FLAG_NUMERIC, &[("a", "i64")])),
        "`wasmpool:numeric:attack`",
    ),
    refused(
        "a task's function of another type",
        || {
            let text = r#"(module (func (export "wasmpool:task:attack") (param i64)))"#;
            wat::parse_str(text).expect("valid")
        },
        "task `attack` needs",
    ),
    refused(
        "a task whose name would clear a terminal",
        || describing(&record(&"\u{1b}[2J".repeat(10_000), 0, &[])),
        "task `\\u{1b}[2J\\u{1b}[2J",
    ),
    refused(
        "sixteen megabytes of descriptions and a byte",
        || describing(&vec![0; (16 << 20) + 1]),
        "bytes that describe tasks",
    ),
];

const UNSUPPORTED: [Attack; 6] = [
    refused("a component", || b"\0asm\x0d\0\x01\0".to_vec(), "components are not supported"),
    refused(
        "references to the host's things",
        || of_text("(func (param externref))"),
        "gc types are disallowed",
    ),
    refused("structures", || of_text("(type (struct (field i32)))"), ""),
    refused("exceptions", || of_text("(tag)"), "exceptions"),
    refused(
        "results that differ between processors",
        || of_text("(func (param v128) (result v128) local.get 0 i32x4.relaxed_trunc_f32x4_s)"),
        "relaxed",
    ),
    refused(
        "a start function with parameters",
        || of_text("(func $f (param i32)) (start $f)"),
        "start function",
    ),
];

fn of_text(fields: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {fields})")).expect("a module's form")
}

#[test]
fn too_much_of_anything_is_refused_and_much_is_borne() {
    withstand(&TOO_MANY);
}

#[test]
fn too_large_pieces_are_refused_and_large_ones_borne() {
    withstand(&TOO_LARGE);
}

#[test]
fn what_is_no_module_is_refused() {
    withstand(&NO_MODULES);
}

#[test]
fn text_that_means_nothing_is_refused() {
    withstand(&TEXTS);
}

#[test]
fn forged_descriptions_of_tasks_are_refused() {
    withstand(&FORGED);
}

#[test]
fn modules_may_not_contain_what_nobody_needs() {
    withstand(&UNSUPPORTED);
}
