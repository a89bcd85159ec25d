//! Results of every kind, also under names that say something else.
//!
//! Most of the test is that this compiles, natively and for wasm, without a warning.
#![forbid(unsafe_code)]
#![deny(warnings)]

use std::fmt;
use std::io;

use serde::Serialize;
use wasmpool_guest::task;

#[derive(Serialize)]
struct Receipt {
    cents: u64,
}

/// Neither `Serialize` nor an error, but it can be displayed.
struct Refusal;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

type Billed = Result<Receipt, Refusal>;

#[task]
#[allow(clippy::unused_unit, reason = "it may be written")]
fn unit() -> () {}

#[task]
fn receipt() -> Receipt {
    Receipt { cents: 1 }
}

#[task]
fn alias() -> Billed {
    Err(Refusal)
}

#[task]
fn fails() -> Result<(), Refusal> {
    Err(Refusal)
}

#[task]
fn boxed() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    Ok(Vec::new())
}

#[task]
fn shortened() -> io::Result<u64> {
    Ok(1)
}

#[task]
fn borrowed_from_an_argument(text: &str) -> Option<&str> {
    text.lines().next()
}

#[task]
fn borrowed_for_ever() -> &'static [f64] {
    &[1.0]
}

mod own {
    /// Has the name of the one in `std`, and nothing else of it.
    #[derive(serde::Serialize)]
    pub(super) enum Result {
        Won,
    }
}

#[task]
fn match_result() -> own::Result {
    own::Result::Won
}

#[test]
fn the_functions_stay_as_they_are() {
    unit();
    assert_eq!(receipt().cents, 1);
    assert_eq!(alias().err().map(|refusal| refusal.to_string()).as_deref(), Some("refused"));
    assert!(fails().is_err());
    assert!(boxed().is_ok_and(|bytes| bytes.is_empty()));
    assert!(shortened().is_ok_and(|value| value == 1));
    assert_eq!(borrowed_from_an_argument("a\nb"), Some("a"));
    assert_eq!(borrowed_for_ever(), [1.0]);
    assert!(matches!(match_result(), own::Result::Won));
}
