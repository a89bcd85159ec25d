//! Mistakes, collected until all of them can be told at once.

use quote::ToTokens;

/// All mistakes found so far in one use of the attribute.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds a mistake at the place of `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: &str) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a mistake, or several.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    }

    /// The value of a part, or its mistakes added to these.
    pub(crate) fn absorb<T>(&mut self, part: syn::Result<T>) -> Option<T> {
        part.map_err(|error| self.push(error)).ok()
    }

    /// Ends the collection: an error if there was any mistake.
    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
