//! The code that `#[task]` adds beside the function.
//!
//! For every target: a check of the types, which the compiler reports at the types as written. For wasm only: the
//! pull-loop entry, the plain export of a numeric task, and the record in the task section.
//!
//! Everything stands in one `const _`, so that no name of it is visible outside. Names of items begin with
//! `__wasmpool`, because items are not hygienic; local variables are (`mixed_site`), so a parameter may have the
//! function's own name.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Ident;
use syn::spanned::Spanned;
use wasmpool_abi::{NUMERIC_EXPORT_PREFIX, TASK_EXPORT_PREFIX, TASK_SECTION};

use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::signature::{Function, Parameter};

/// The code to put behind the function.
///
/// # Errors
///
/// Every mistake in the attribute and in the function.
pub(crate) fn task(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let attribute = errors.absorb(Attribute::parse(attribute));
    let function = errors.absorb(Function::parse(item));
    let name = attribute
        .zip(function.as_ref())
        .and_then(|(attribute, function)| errors.absorb(attribute.task_name(&function.identifier)));
    match name.zip(function) {
        Some((name, function)) => Ok(Task { name, function }.code()),
        None => errors.finish().map(|()| TokenStream::new()),
    }
}

struct Task {
    name: String,
    function: Function,
}

impl Task {
    fn code(&self) -> TokenStream {
        let conditions = &self.function.conditions;
        let check = self.check();
        let entry = self.entry();
        let numeric = self.function.is_numeric().then(|| self.numeric());
        let record = self.record();
        quote! {
            #(#conditions)*
            const _: () = {
                #[allow(unused_imports, reason = "which results need the trait is known to the compiler only")]
                use ::wasmpool_guest::rt::{self as __wasmpool_rt, Plain as _};

                #check

                #[cfg(target_family = "wasm")]
                const _: () = {
                    #entry
                    #numeric
                    #record
                };
            };
        }
    }

    /// Mentions the function, so that it counts as used, and every type, so that a wrong one is told at its place.
    fn check(&self) -> TokenStream {
        let function = &self.function.identifier;
        let parameters = self.function.parameters.iter().map(|parameter| {
            let owned = parameter.owned();
            quote_spanned! { parameter.written.span()=> let _ = __wasmpool_rt::parameter::<#owned>; }
        });
        let result = &self.function.result;
        let result = quote_spanned! { result.span()=>
            let _: fn(#result) = |result| __wasmpool_rt::result(__wasmpool_rt::Returned(result).into_result());
        };
        quote! {
            let _ = #function;
            #(#parameters)*
            #result
        }
    }

    fn entry(&self) -> TokenStream {
        let export = format!("{TASK_EXPORT_PREFIX}{}", self.name);
        let function = &self.function.identifier;
        let names = self.function.parameters.iter().map(|parameter| &parameter.name);
        let arguments = self.arguments();
        let nested = nest(arguments.iter().map(|argument| quote!(#argument)));
        let types = nest(self.function.parameters.iter().map(Parameter::owned));
        let passed = arguments.iter().zip(&self.function.parameters).map(|(argument, parameter)| {
            match &parameter.borrowed {
                Some(borrowed) => quote!(__wasmpool_rt::lend::<#borrowed>(&#argument)),
                None => quote!(#argument),
            }
        });
        let result = &self.function.result;
        let (codec, answer) = (local("codec"), local("answer"));
        quote! {
            #[unsafe(export_name = #export)]
            extern "C" fn __wasmpool_entry(#codec: i32) {
                __wasmpool_rt::serve(#codec, &[#(#names),*], |#nested: #types, #answer: __wasmpool_rt::Answer<'_>| {
                    #answer.give(
                        __wasmpool_rt::Returned(#function(#(#passed),*)).into_result(),
                        __wasmpool_rt::Returned::<#result>::NO_RESULT,
                    )
                });
            }
        }
    }

    fn numeric(&self) -> TokenStream {
        let export = format!("{NUMERIC_EXPORT_PREFIX}{}", self.name);
        let function = &self.function.identifier;
        let arguments = self.arguments();
        let types = self.function.parameters.iter().map(|parameter| &parameter.written);
        let result = &self.function.result;
        quote! {
            #[unsafe(export_name = #export)]
            extern "C" fn __wasmpool_numeric(#(#arguments: #types),*) -> #result {
                #function(#(#arguments),*)
            }
        }
    }

    fn record(&self) -> TokenStream {
        let name = &self.name;
        let result = &self.function.result;
        let result_text = self.function.result_text();
        let documentation = &self.function.documentation;
        let numeric = self.function.is_numeric();
        let names = self.function.parameters.iter().map(|parameter| &parameter.name);
        let types = self.function.parameters.iter().map(|parameter| crate::text::of_type(&parameter.written));
        quote! {
            const __WASMPOOL_TASK: __wasmpool_rt::TaskDescription<'static> = __wasmpool_rt::TaskDescription {
                name: #name,
                // An alias may hide that there is none.
                result: if __wasmpool_rt::Returned::<#result>::NO_RESULT { "" } else { #result_text },
                documentation: #documentation,
                flags: __wasmpool_rt::flags(
                    #numeric,
                    __wasmpool_rt::Returned::<#result>::NO_RESULT,
                    __wasmpool_rt::Returned::<#result>::FALLIBLE,
                ),
                parameters: &[#((#names, #types)),*],
            };
            #[used]
            #[unsafe(link_section = #TASK_SECTION)]
            static __WASMPOOL_RECORD: [u8; __WASMPOOL_TASK.record_bytes()] = __WASMPOOL_TASK.record();
        }
    }

    fn arguments(&self) -> Vec<Ident> {
        let count = self.function.parameters.len();
        (0..count).map(|index| local(&format!("argument_{index}"))).collect()
    }
}

impl Parameter {
    /// The type that a call decodes.
    fn owned(&self) -> TokenStream {
        match &self.borrowed {
            Some(borrowed) => {
                quote_spanned!(borrowed.span()=> <#borrowed as ::wasmpool_guest::rt::Lent>::Owner)
            }
            None => {
                let written = &self.written;
                quote!(#written)
            }
        }
    }
}

/// A local variable that shadows nothing of the user's: the task itself may be called the same.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// `(a, (b, (c, ())))`: a list of any length of which traits can speak.
fn nest(parts: impl DoubleEndedIterator<Item = TokenStream>) -> TokenStream {
    parts.rfold(quote!(()), |rest, part| quote!((#part, #rest)))
}
