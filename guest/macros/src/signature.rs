//! The function under the attribute: what a task may not be, and the parts of one that it may.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Item, ItemFn, Pat, PatType, PathArguments, ReturnType,
    Signature, Type, TypeReference,
};

use crate::errors::Errors;
use crate::text;

/// A function that can be a task, taken apart.
pub(crate) struct Function {
    pub(crate) identifier: Ident,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: Type,
    pub(crate) documentation: String,
    /// `#[cfg(...)]` of the function, which its exports must share.
    pub(crate) conditions: Vec<Attribute>,
}

/// One parameter of a task.
pub(crate) struct Parameter {
    /// Its name, by which callers may bind it.
    pub(crate) name: String,
    /// Its type as written.
    pub(crate) written: Type,
    /// For `&T`, the `T`: the call decodes what owns it and lends it to the function.
    pub(crate) borrowed: Option<Type>,
}

impl Function {
    /// Takes an item apart.
    ///
    /// # Errors
    ///
    /// Everything for which the item cannot be a task.
    pub(crate) fn parse(item: TokenStream) -> syn::Result<Self> {
        let function = free_function(item)?;
        let mut errors = Errors::default();
        check_attributes(&function.attrs, &mut errors);
        check_qualifiers(&function.sig, &mut errors);
        check_generics(&function.sig, &mut errors);
        let parameters = parameters(&function.sig, &mut errors);
        let result = result(&function.sig.output, &mut errors);
        errors.finish()?;
        Ok(Self {
            identifier: function.sig.ident,
            parameters,
            result,
            documentation: text::of_documentation(&function.attrs),
            conditions: function
                .attrs
                .into_iter()
                .filter(|attribute| attribute.path().is_ident("cfg"))
                .collect(),
        })
    }

    /// Whether the task can also be exported as a plain function of numbers.
    pub(crate) fn is_numeric(&self) -> bool {
        let result = is_unit(&self.result) || is_number(&self.result);
        result && self.parameters.iter().all(|parameter| is_number(&parameter.written))
    }

    /// The type of what the task returns on success, as written.
    pub(crate) fn result_text(&self) -> String {
        let value = ok_type(&self.result).unwrap_or(&self.result);
        if is_unit(value) { String::new() } else { text::of_type(value) }
    }
}

/// The item without further `#[task]`s, so that a mistake is told once and not once per attribute.
pub(crate) fn without_task_attributes(item: TokenStream) -> TokenStream {
    let Ok(mut function) = syn::parse2::<ItemFn>(item.clone()) else { return item };
    function.attrs.retain(|attribute| !is_task(attribute));
    function.into_token_stream()
}

fn free_function(item: TokenStream) -> syn::Result<ItemFn> {
    const MESSAGE: &str = "only a function with a body can be a task";
    match syn::parse2(item.clone()) {
        Ok(Item::Fn(function)) => Ok(function),
        Ok(other) => Err(syn::Error::new_spanned(other, MESSAGE)),
        Err(_) => Err(syn::Error::new_spanned(item, MESSAGE)),
    }
}

fn is_task(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "task")
}

fn check_attributes(attributes: &[Attribute], errors: &mut Errors) {
    for attribute in attributes.iter().filter(|attribute| is_task(attribute)) {
        errors.at(attribute, "the function is marked `#[task]` twice");
    }
}

fn check_qualifiers(signature: &Signature, errors: &mut Errors) {
    if let Some(keyword) = &signature.asyncness {
        errors.at(keyword, "a task cannot be `async`: the pool itself runs many calls at once");
    }
    if let Some(keyword) = &signature.unsafety {
        errors.at(keyword, "a task cannot be `unsafe`: anyone may call it with any arguments");
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, "a task cannot be `extern`: `#[task]` writes the exports");
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(variadic, "a task cannot be variadic: take a `Vec<T>`");
    }
}

fn check_generics(signature: &Signature, errors: &mut Errors) {
    for parameter in &signature.generics.params {
        match parameter {
            GenericParam::Lifetime(_) => {
                errors.at(parameter, "a task cannot have named lifetimes: leave them out");
            }
            _ => errors.at(parameter, "a task cannot be generic: its inputs have fixed types"),
        }
    }
    if let Some(clause) = &signature.generics.where_clause {
        errors.at(clause, "a task cannot be generic: there is nothing to bound");
    }
}

fn parameters(signature: &Signature, errors: &mut Errors) -> Vec<Parameter> {
    let parts = signature.inputs.iter().map(parameter);
    parts.filter_map(|part| errors.absorb(part)).collect()
}

fn parameter(input: &FnArg) -> syn::Result<Parameter> {
    let input = match input {
        FnArg::Typed(input) => input,
        FnArg::Receiver(receiver) => {
            return Err(syn::Error::new_spanned(
                receiver,
                "a task is a free function, it cannot take `self`",
            ));
        }
    };
    let mut errors = Errors::default();
    let name = errors.absorb(parameter_name(input));
    let borrowed = errors.absorb(borrowed(&input.ty));
    check_named_type(&input.ty, &mut errors);
    check_owner(&input.ty, &mut errors);
    errors.finish()?;
    Ok(Parameter {
        name: name.unwrap_or_default(),
        written: (*input.ty).clone(),
        borrowed: borrowed.flatten(),
    })
}

fn parameter_name(input: &PatType) -> syn::Result<String> {
    match &*input.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            Ok(pattern.ident.unraw().to_string())
        }
        pattern => Err(syn::Error::new_spanned(
            pattern,
            "a task's parameter needs a name: callers may bind it by name",
        )),
    }
}

/// The `T` of `&T`, if the type is that.
fn borrowed(written: &Type) -> syn::Result<Option<Type>> {
    let Type::Reference(TypeReference { lifetime, mutability, elem, .. }) = bare(written) else {
        return Ok(None);
    };
    let mut errors = Errors::default();
    if mutability.is_some() {
        errors.at(written, "a task's parameter cannot be `&mut`: take it by value, and return what changed");
    }
    if let Some(lifetime) = lifetime.as_ref().filter(|lifetime| lifetime.ident != "_") {
        errors.at(lifetime, "a task borrows its arguments for the call only: leave the lifetime out");
    }
    errors.finish()?;
    Ok(Some((**elem).clone()))
}

fn result(output: &ReturnType, errors: &mut Errors) -> Type {
    let ReturnType::Type(_, written) = output else { return syn::parse_quote!(()) };
    check_named_type(written, errors);
    if let Type::Never(_) = bare(written) {
        errors.at(written, "a task cannot be declared to never return: leave the result out");
    }
    (**written).clone()
}

fn check_named_type(written: &Type, errors: &mut Errors) {
    let is_impl = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "impl");
    if mentions(quote!(#written), &is_impl) {
        errors.at(written, "a task cannot have `impl Trait` types: name the type");
    }
}

/// Refuses references inside of a parameter: there is no owner who could be decoded for them.
fn check_owner(written: &Type, errors: &mut Errors) {
    let owner = match bare(written) {
        Type::Reference(reference) => &reference.elem,
        other => other,
    };
    let is_reference = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == '&');
    if mentions(quote!(#owner), &is_reference) {
        errors.at(
            written,
            "a task's parameter cannot hold references: let it own its data, as `String` and `Vec<T>` do",
        );
    }
}

fn mentions(tokens: TokenStream, is_it: &dyn Fn(&TokenTree) -> bool) -> bool {
    tokens.into_iter().any(|token| match &token {
        TokenTree::Group(group) => mentions(group.stream(), is_it),
        token => is_it(token),
    })
}

/// A type without parentheses around it, and without the invisible ones that `$t:ty` leaves.
fn bare(written: &Type) -> &Type {
    match written {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        other => other,
    }
}

fn is_number(written: &Type) -> bool {
    let Type::Path(written) = bare(written) else { return false };
    ["i32", "i64", "f32", "f64"].iter().any(|number| written.path.is_ident(number))
}

fn is_unit(written: &Type) -> bool {
    matches!(bare(written), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// The `T` of what is written as `Result<T, ...>`; documentation only, the code asks the compiler.
fn ok_type(written: &Type) -> Option<&Type> {
    let Type::Path(written) = bare(written) else { return None };
    let last = written.path.segments.last().filter(|segment| segment.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(value) => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(item: TokenStream) -> Function {
        Function::parse(item).unwrap()
    }

    #[test]
    fn only_plain_numbers_make_a_numeric_task() {
        assert!(
            parse(quote!(
                fn f(a: i32, mut b: f64) -> i64 {
                    0
                }
            ))
            .is_numeric()
        );
        assert!(
            parse(quote!(
                fn f() {}
            ))
            .is_numeric()
        );
        assert!(
            parse(quote!(
                fn f(a: f32) -> () {}
            ))
            .is_numeric()
        );
        assert!(
            !parse(quote!(
                fn f(a: u32) {}
            ))
            .is_numeric()
        );
        assert!(
            !parse(quote!(
                fn f(a: &i32) {}
            ))
            .is_numeric()
        );
        assert!(
            !parse(quote!(
                fn f(a: i32) -> Result<i32, String> {
                    Ok(a)
                }
            ))
            .is_numeric()
        );
    }

    #[test]
    fn the_result_is_told_without_its_error() {
        for (item, text) in [
            (
                quote!(
                    fn f() {}
                ),
                "",
            ),
            (
                quote!(
                    fn f() -> () {}
                ),
                "",
            ),
            (
                quote!(
                    fn f() -> Result<(), String> {}
                ),
                "",
            ),
            (
                quote!(
                    fn f() -> Result<Vec<u8>, String> {}
                ),
                "Vec<u8>",
            ),
            (
                quote!(
                    fn f() -> std::io::Result<f64> {}
                ),
                "f64",
            ),
            (
                quote!(
                    fn f() -> Option<f64> {}
                ),
                "Option<f64>",
            ),
        ] {
            assert_eq!(parse(item).result_text(), text);
        }
    }

    #[test]
    fn references_are_lent_and_the_rest_is_moved() {
        let function = parse(quote!(
            fn f(a: &str, b: Vec<u8>, c: &[f64], r#type: (&'_ str)) {}
        ));
        let lent: Vec<_> = function
            .parameters
            .iter()
            .map(|parameter| (parameter.name.as_str(), parameter.borrowed.as_ref().map(text::of_type)))
            .collect();
        let expected = [("a", Some("str")), ("b", None), ("c", Some("[f64]")), ("type", Some("str"))];
        assert_eq!(lent, expected.map(|(name, kind)| (name, kind.map(str::to_owned))));
    }
}
