//! Types and documentation as people write them, for the task section.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// A type as rustfmt would print it on one line: `Vec<f64>`, not `Vec < f64 >`.
pub(crate) fn of_type(kind: impl ToTokens) -> String {
    let mut text = String::new();
    write(kind.to_token_stream(), &mut text);
    text
}

/// Appends the tokens, each with a space before it if it needs one.
fn write(tokens: TokenStream, text: &mut String) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        if is_trailing_comma(&tokens[index..]) {
            continue;
        }
        let glued = index > 0 && is_first_half(&tokens[index - 1]);
        if !glued && needs_space(text, token) {
            text.push(' ');
        }
        write_token(token, text);
    }
}

fn write_token(token: &TokenTree, text: &mut String) {
    let TokenTree::Group(group) = token else {
        text.push_str(&token.to_string());
        return;
    };
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::None => ("", ""),
    };
    text.push_str(open);
    write(group.stream(), text);
    text.push_str(close);
}

/// A comma before `>`, as types on several lines have it; `(T,)` keeps its own, which means a tuple of one.
fn is_trailing_comma(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(comma), TokenTree::Punct(close), ..]
        if comma.as_char() == ',' && close.as_char() == '>')
}

/// Whether the next token belongs to this one: the `-` of `->`, the quote of a lifetime.
fn is_first_half(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint && matches!(punct.as_char(), '-' | ':' | '\''))
}

fn needs_space(before: &str, token: &TokenTree) -> bool {
    let Some(last) = before.chars().next_back() else { return false };
    let after_separator = matches!(last, ',' | ';' | '=' | '+') || before.ends_with("->");
    let after_word = last.is_alphanumeric() || last == '_' || (last == '>' && !before.ends_with("->"));
    match token {
        TokenTree::Ident(_) | TokenTree::Literal(_) => after_separator || after_word,
        TokenTree::Punct(punct) => match punct.as_char() {
            '=' | '+' | '-' => true,
            '\'' => after_separator,
            ',' | ';' | '>' | ':' => false,
            _ => after_separator,
        },
        TokenTree::Group(_) => after_separator,
    }
}

/// The documentation comment's text, without the space that follows `///`.
pub(crate) fn of_documentation(attributes: &[Attribute]) -> String {
    let lines: Vec<_> = attributes.iter().filter_map(documentation_line).collect();
    lines.join("\n").trim().to_owned()
}

fn documentation_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(documentation) = &attribute.meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &documentation.value else { return None };
    let line = line.value();
    let line = line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    documentation.path.is_ident("doc").then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_printed_as_they_are_written() {
        for written in [
            "i64",
            "Vec<f64>",
            "&str",
            "&[u8]",
            "&'static str",
            "[u8; 4]",
            "()",
            "(i64, f64)",
            "(i64,)",
            "std::collections::HashMap<String, Vec<Option<u8>>>",
            "Box<dyn Fn(i32, &str) -> Vec<u8> + Send + 'static>",
            "<Shape as Bounded>::Box",
            "Box<dyn Iterator<Item = (u8, u16)>>",
            "Cow<'_, str>",
            "fn(i32) -> i32",
            "::core::primitive::u8",
            "*const u8",
            "Grid<3, { N + 1 }>",
        ] {
            let kind: syn::Type = syn::parse_str(written).unwrap();
            // rustfmt pads braces; nothing else here has them.
            let expected = written.replace("{ ", "{").replace(" }", "}");
            assert_eq!(of_type(kind), expected);
        }
    }

    #[test]
    fn a_type_on_several_lines_becomes_one() {
        let kind: syn::Type = syn::parse_str("Result<\n    Vec<f64>,\n    String,\n>").unwrap();
        assert_eq!(of_type(kind), "Result<Vec<f64>, String>");
    }

    #[test]
    fn documentation_keeps_its_lines_and_indentation() {
        let function: syn::ItemFn = syn::parse_quote! {
            #[doc = " Cubes a number."]
            #[doc = ""]
            #[doc = "     indented"]
            #[doc(hidden)]
            #[inline]
            #[doc = " "]
            fn cube() {}
        };
        assert_eq!(of_documentation(&function.attrs), "Cubes a number.\n\n    indented");
    }
}
