//! The README's commands do what the README shows.

use std::path::Path;

use wasmpool_tests::cli;
use wasmpool_tests::console::{Readme, Shell, Shown, shown};

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let shell = Shell::default();
    // Builds wasm-tasks and puts it there as tasks.wasm.
    let place = cli::place();
    let mut compared = 0;
    for Shown { command, output } in shown(&Readme::read().rest) {
        // The test that runs this is the second one.
        if command == "cargo test" {
            continue;
        }
        // The release build of the same sources is the continuous integration's business.
        let printed = match command.strip_prefix("cargo run --release -- ") {
            // On stderr it may tell that it builds the tasks.
            Some(arguments) => {
                let [stdout, _] = shell.run(&format!("wasmpool {arguments}"), root);
                stdout
            }
            None => shell.run(&command, place).concat(),
        };
        if !output.is_empty() {
            assert_eq!(printed, output, "{command}");
            compared += 1;
        }
    }
    assert!(compared >= 4, "the README shows the output of only {compared} commands");
}
