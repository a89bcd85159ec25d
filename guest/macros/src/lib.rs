//! The `#[task]` attribute of `wasmpool-guest`, where it is documented for users.
//!
//! The work goes through four files, each knowing nothing of the next: `attribute` reads what stands in the
//! parentheses, `signature` checks the function and takes it apart, `text` prints types and documentation for
//! the task section, `expand` writes the code. What the code calls lives in `wasmpool_guest::rt`.
//!
//! Every mistake in an attribute and its function is reported at once, each at its own place, and the function
//! itself is always handed on unchanged, so that one mistake does not cause errors elsewhere.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may"))]

use proc_macro::TokenStream;
use quote::quote;

mod attribute;
mod errors;
mod expand;
mod signature;
mod text;

/// Makes a function a task; documented in `wasmpool_guest`, from which it is used.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    let expansion = expand::task(attribute.into(), item.clone());
    let (item, code) = match expansion {
        Ok(expansion) => (item, expansion),
        Err(error) => (signature::without_task_attributes(item), error.into_compile_error()),
    };
    quote! { #item #code }.into()
}
