//! The soak that anyone can run, in small.

use std::process::Command;

use wasmpool_tests::watchdog::Watchdog;

#[test]
fn nothing_is_wrong_lost_doubled_or_left_over() {
    let _watchdog = Watchdog::start();
    let soak = Command::new(env!("CARGO_BIN_EXE_soak")).args(["20000", "20", "5", "3"]).output();
    let soak = soak.expect("it runs");
    let (report, said) = (String::from_utf8_lossy(&soak.stdout), String::from_utf8_lossy(&soak.stderr));
    assert!(soak.status.success(), "{report}{said}");
    let figure = |what: &str| {
        let line = report.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{report}"));
        line.split_whitespace().last().and_then(|word| word.parse::<u64>().ok()).expect("a number")
    };
    assert_eq!((figure("workers killed"), figure("workers stopped")), (20, 5), "{report}");
    assert_eq!(figure("supervisors killed"), 3, "{report}");
}
