//! Write tasks for wasmpool as ordinary functions.
//!
//! A *task* is a function that a wasmpool pool can call by its name, on every core at once, without trusting it.
//! Mark it with [`#[task]`](macro@crate::task); that is all:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use wasmpool_guest::task;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     article: String,
//!     count: u32,
//!     cents_each: u64,
//! }
//!
//! #[derive(Debug, PartialEq, Serialize)]
//! struct Receipt {
//!     article: String,
//!     cents: u64,
//! }
//!
//! /// Adds up an order.
//! #[task]
//! fn bill(order: Order, discount_percent: u64) -> Result<Receipt, String> {
//!     let rest = 100u64.checked_sub(discount_percent).ok_or("the discount is over 100 percent")?;
//!     let cents = order.cents_each * u64::from(order.count) * rest / 100;
//!     Ok(Receipt { article: order.article, cents })
//! }
//!
//! // A task stays a function, so it is tested like one, natively.
//! let order = Order { article: "screws".to_owned(), count: 20, cents_each: 5 };
//! assert_eq!(bill(order, 10), Ok(Receipt { article: "screws".to_owned(), cents: 90 }));
//! ```
//!
//! `wasmpool` builds the crate and calls the task; arguments and results are JSON at the command line:
//!
//! ```text
//! $ wasmpool apply . bill '{"article": "screws", "count": 20, "cents_each": 5}' 10
//! {"article":"screws","cents":90}
//! ```
//!
//! # What a task may be
//!
//! - **Parameters**: any number, of any types that implement [`serde::Deserialize`] and own their data. They may be
//!   borrowed: for `&str`, `&[T]`, `&Path` and `&T` the call decodes the owner and lends it to the task.
//! - **Result**: nothing, any type that implements [`serde::Serialize`], or a `Result` of one. `Err` makes the
//!   call fail with the error's `Display` text. A panic makes it trap, with the panic's message and place.
//! - **Numbers alone**: a task whose parameters and result are all `i32`, `i64`, `f32` or `f64` is also exported as
//!   a plain function, which costs a few nanoseconds a call. Nothing has to be done for it.
//! - **Output**: what a task prints goes to the pool's standard error, whole lines, also when the last is unfinished.
//! - **Files**: `std::fs` works in the directories that the task is granted (`--dir`), under the paths that they are
//!   granted by. Without one, there are no files.
//! - **Calls**: a task can call tasks of its module, itself too, on all workers of its pool; see [`pool`].
//!
//! Floats that JSON lacks are written, and read, as the texts `"NaN"`, `"Infinity"` and `"-Infinity"`. Input and results may be
//! nested up to 128 deep.
//!
//! # State
//!
//! By default, a worker keeps the instance of a module from call to call, as a Python worker keeps its globals: a `static`
//! is a cache, and no more than that, for every worker has its own, and a failed call throws it away. With
//! `--fresh`, every call gets a new instance.
//!
//! # Who and where
//!
//! [`current`] tells a call its process's name and id, its worker, job, index and attempt, and a seed for random numbers
//! that is the same in each run.
//!
//! # Other targets
//!
//! On targets other than wasm the attribute checks the function's types and adds nothing else, so that
//! `cargo test` runs natively. The crate's `README.md` has a template to start from.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may"))]

/// Makes a function a task: a pool can call it by its name.
///
/// The function stays as it is; other code, and native tests, call it as before. Its parameters are any types that
/// implement `serde::Deserialize`, or shared references to such (`&str`, `&[T]`, `&T`). Its result is any
/// type that implements `serde::Serialize`, or a `Result` of one with an error that implements `Display`: `Err` makes
/// the call fail with the error's text.
///
/// `#[task(name = "...")]` gives the task another name than the function's: 1 to 128 ASCII letters, digits, `_`,
/// `-` and `.`. Names are unique within a module.
///
/// # Examples
///
/// ```
/// use wasmpool_guest::task;
///
/// /// Divides two numbers.
/// #[task]
/// fn divide(dividend: f64, divisor: f64) -> f64 {
///     dividend / divisor
/// }
///
/// /// Finds the longest line of a text.
/// #[task(name = "longest-line")]
/// fn longest_line(text: &str) -> Result<String, String> {
///     let longest = text.lines().max_by_key(|line| line.len());
///     longest.map(str::to_owned).ok_or_else(|| "the text has no lines".to_owned())
/// }
///
/// assert_eq!(divide(1.0, 4.0), 0.25);
/// assert_eq!(longest_line("a\nbc").as_deref(), Ok("bc"));
/// ```
///
/// # Errors
///
/// These do not compile: methods with `self`; functions that are `async`, `unsafe`, `extern`, variadic or generic;
/// parameters that are `&mut`, of a named lifetime, `impl Trait` or patterns; and types without the serde traits.
pub use wasmpool_macros::task;

pub use self::current::{Current, current};

mod arguments;
mod codec;
mod current;
#[cfg(target_family = "wasm")]
mod imports;
mod json_floats;
pub mod pool;
#[cfg(any(target_family = "wasm", test))]
mod pull;
#[cfg(target_family = "wasm")]
mod reactor;
mod returned;
#[doc(hidden)]
pub mod rt;
pub mod shared;
