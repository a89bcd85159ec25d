//! What stands in the parentheses of `#[task(...)]`.

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Meta, MetaNameValue, Token};

use crate::errors::Errors;

/// The attribute's arguments.
#[derive(Default)]
pub(crate) struct Attribute {
    name: Option<LitStr>,
}

impl Attribute {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// Every argument that is unknown, malformed or given twice.
    pub(crate) fn parse(tokens: TokenStream) -> syn::Result<Self> {
        let arguments = Punctuated::<Meta, Token![,]>::parse_terminated
            .parse2(tokens)
            .map_err(|error| syn::Error::new(error.span(), "expected `name = \"...\"`"))?;
        let mut attribute = Self::default();
        let mut errors = Errors::default();
        for argument in arguments {
            let taken = attribute.take(argument);
            errors.absorb(taken);
        }
        errors.finish()?;
        Ok(attribute)
    }

    fn take(&mut self, argument: Meta) -> syn::Result<()> {
        if !argument.path().is_ident("name") {
            return Err(syn::Error::new_spanned(
                argument,
                "unknown argument; `#[task]` knows `name = \"...\"`",
            ));
        }
        let name = string(&argument)?;
        if self.name.is_some() {
            return Err(syn::Error::new_spanned(argument, "the task's name is given twice"));
        }
        check_name(&name.value()).map_err(|message| syn::Error::new_spanned(&name, message))?;
        self.name = Some(name);
        Ok(())
    }

    /// The task's name: the one given, or else the function's.
    ///
    /// # Errors
    ///
    /// When none is given and the function's is not fit for a task.
    pub(crate) fn task_name(&self, function: &Ident) -> syn::Result<String> {
        if let Some(name) = &self.name {
            return Ok(name.value());
        }
        let name = syn::ext::IdentExt::unraw(function).to_string();
        match check_name(&name) {
            Ok(()) => Ok(name),
            Err(message) => Err(syn::Error::new_spanned(
                function,
                format!("{message}; give one by `#[task(name = \"...\")]`"),
            )),
        }
    }
}

fn string(argument: &Meta) -> syn::Result<LitStr> {
    match argument {
        Meta::NameValue(MetaNameValue { value: Expr::Lit(ExprLit { lit: Lit::Str(name), .. }), .. }) => {
            Ok(name.clone())
        }
        _ => Err(syn::Error::new_spanned(argument, "the task's name is given as `name = \"...\"`")),
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if wasmpool_abi::is_task_name(name) {
        return Ok(());
    }
    Err("a task's name is 1 to 128 ASCII letters, digits, `_`, `-` and `.`")
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn name_of(arguments: TokenStream) -> Result<String, String> {
        let function = syn::parse_quote!(cube);
        Attribute::parse(arguments)
            .and_then(|attribute| attribute.task_name(&function))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_task_is_called_as_its_function_unless_it_is_named() {
        assert_eq!(name_of(quote!()).as_deref(), Ok("cube"));
        assert_eq!(name_of(quote!(name = "third-power.v2",)).as_deref(), Ok("third-power.v2"));
    }

    #[test]
    fn a_raw_identifier_is_a_name_without_its_mark() {
        let function = syn::parse_quote!(r#loop);
        let name = Attribute::default().task_name(&function);
        assert_eq!(name.map_err(|error| error.to_string()).as_deref(), Ok("loop"));
    }

    #[test]
    fn all_wrong_arguments_are_told_at_once() {
        let error = Attribute::parse(quote!(nam = "a", name = 3, name = "", name)).err();
        assert_eq!(error.into_iter().flatten().count(), 4);
    }
}
