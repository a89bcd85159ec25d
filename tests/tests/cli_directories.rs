//! `--dir`: what tasks and programs see of the file system, and what is said of directories that cannot be granted.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use wasmpool_tests::cli::{Wasmpool, check, check_prints, check_refuses};

/// A directory with a file `text`, a link that leads out of it, and a secret beside it.
fn ground() -> (TempDir, String) {
    let holder = tempfile::tempdir().expect("a directory");
    let granted = holder.path().join("granted");
    fs::create_dir(&granted).expect("a directory");
    fs::write(granted.join("text"), "three little words").expect("written");
    fs::write(holder.path().join("secret"), "canary").expect("written");
    symlink("../secret", granted.join("link")).expect("a link");
    let granted = granted.to_str().expect("UTF-8").to_owned();
    (holder, granted)
}

fn dir(host: &str, rest: &str) -> String {
    format!("--dir={host}{rest}")
}

#[test]
fn tasks_find_a_directory_under_the_path_that_it_is_granted_by() {
    let (_holder, granted) = ground();
    let text = "\"three little words\"\n";
    check_prints(&["apply", "tasks.wasm", "read_file", "/in/text", &dir(&granted, "::/in::ro")], "", text);
    check_prints(&["apply", "tasks.wasm", "read_file", "text", &dir(&granted, "::.")], "", text);
    check_prints(
        &["apply", "tasks.wasm", "read_file", &format!("{granted}/text"), &dir(&granted, "")],
        "",
        text,
    );
    let words = ["map", "tasks.wasm", "words_in", "/a/text", "/b/text"];
    check_prints(&[&words[..], &[&dir(&granted, "::/a"), &dir(&granted, "::/b::ro")]].concat(), "", "3\n3\n");
    check_prints(
        &[
            "starmap",
            "tasks.wasm",
            "write_file",
            r#"["/out/a","1"]"#,
            r#"["/out/b","2"]"#,
            &dir(&granted, "::/out"),
        ],
        "",
        "",
    );
    assert_eq!(fs::read_to_string(format!("{granted}/b")).expect("written"), "2");
}

#[test]
fn nothing_is_there_without_a_grant_and_nothing_outside_with_one() {
    let (_holder, granted) = ground();
    let file = format!("{granted}/text");
    check(&["apply", "tasks.wasm", "read_file", &file], "", "", "wasmpool: call 0 failed: …\n", 100);
    let refused = "wasmpool: call 0 failed: Operation not permitted …\n";
    for path in ["/in/link", "/in/../secret"] {
        check(&["apply", "tasks.wasm", "read_file", path, &dir(&granted, "::/in")], "", "", refused, 100);
    }
    let refused = "wasmpool: call 0 failed: Read-only file system …\n";
    let write = ["apply", "tasks.wasm", "write_file", "/in/text", "changed"];
    check(&[&write[..], &[&dir(&granted, "::/in::ro")]].concat(), "", "", refused, 100);
    assert_eq!(fs::read_to_string(file).expect("there"), "three little words");
}

#[test]
fn a_program_has_the_same_directories() {
    const NOT_PERMITTED: i32 = 63;
    const BAD_DESCRIPTOR: i32 = 8;
    let (holder, granted) = ground();
    check_prints(&["run", &dir(&granted, "::/in::ro"), "files.wat", "text"], "", "three little words");
    check_prints(&["run", &dir(&granted, ""), "files.wat", "made", "new"], "", "");
    assert_eq!(fs::read_to_string(format!("{granted}/made")).expect("written"), "new");
    for path in ["link", "../secret", "/etc/passwd"] {
        for rest in ["::/in", "::/in::ro"] {
            check(&["run", &dir(&granted, rest), "files.wat", path], "", "", "", NOT_PERMITTED);
            check(&["run", &dir(&granted, rest), "files.wat", path, "changed"], "", "", "", NOT_PERMITTED);
        }
    }
    check(&["run", &dir(&granted, "::/in::ro"), "files.wat", "text", "changed"], "", "", "", NOT_PERMITTED);
    check(&["run", "files.wat", "text"], "", "", "", BAD_DESCRIPTOR);
    assert_eq!(fs::read_to_string(format!("{granted}/text")).expect("there"), "three little words");
    assert_eq!(fs::read_to_string(holder.path().join("secret")).expect("there"), "canary");
}

#[test]
fn a_program_that_opens_without_end_is_told_so() {
    let (_holder, granted) = ground();
    let ended = Wasmpool::new(["run", &dir(&granted, ""), "opens-for-ever.wat"]).run("");
    // Too many files, by whichever of preview 1's codes the runtime has for it.
    assert!([29, 33, 41].contains(&ended.code()), "{}", ended.transcript());
}

#[test]
fn a_directory_that_cannot_be_granted_is_wrong_usage() {
    let (_holder, granted) = ground();
    let file = format!("{granted}/text");
    for verb in [&["apply", "tasks.wasm", "cube", "1"][..], &["run", "files.wat"]] {
        // Flags of `run` stand before the module, whose arguments follow it.
        let with = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| format!("--dir={flag}")).collect();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            [&verb[..1], &flags, &verb[1..]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let refuses = |flags: &[&str], line: &str| {
            let arguments = with(flags);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            check_refuses(&arguments, "", line, 2);
        };
        refuses(
            &["missing"],
            "directory `missing` cannot be granted: it does not exist; make it first: No such file …",
        );
        refuses(
            &[&format!("{file}::/in")],
            "`…/text` cannot be granted: it is no directory; grant the one that holds it: Not a directory …",
        );
        refuses(
            &[&format!("{granted}::/in"), &format!("{granted}::in/::ro")],
            "two directories are granted under the guest's path `in/`; give one of them another (HOST::GUEST)",
        );
        refuses(
            &["a::b::c"],
            "invalid value 'a::b::c' for '--dir <HOST[::GUEST[::ro]]>': behind HOST::GUEST only `::ro` can stand, for a \
             directory to read",
        );
        refuses(
            &[".."],
            "invalid value '..' for '--dir <HOST[::GUEST[::ro]]>': guests cannot use a path with `..` in it; give \
             HOST::GUEST",
        );
    }
}
