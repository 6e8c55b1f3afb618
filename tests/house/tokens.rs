//! Rust as a flat row of tokens, each with its line, and the reading of `cfg` predicates.
//!
//! `syn` does not look into macro bodies, and a forbidden word is forbidden there too. A row of
//! tokens knows no grammar, but it never mistakes a comment or a string for code.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One token. Delimiters are tokens of their own; `::` is one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of a file, or why it is no Rust.
pub(crate) fn of_text(text: &str) -> Result<Vec<Token>, String> {
    let stream: TokenStream = text.parse().map_err(|error| format!("not Rust: {error}"))?;
    Ok(of_stream(stream))
}

pub(crate) fn of_stream(stream: TokenStream) -> Vec<Token> {
    let mut row = Vec::new();
    flatten(stream, &mut row);
    row
}

fn flatten(stream: TokenStream, row: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                row.push(Token { text: open.to_owned(), line });
                flatten(group.stream(), row);
                row.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
            TokenTree::Punct(first)
                if first.as_char() == ':' && first.spacing() == Spacing::Joint =>
            {
                let second =
                    trees.next_if(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ':'));
                let text = if second.is_some() { "::" } else { ":" };
                row.push(Token { text: text.to_owned(), line });
            }
            other => row.push(Token { text: other.to_string(), line }),
        }
    }
}

/// The tokens between the delimiter at `open` and its partner.
pub(crate) fn inside(row: &[Token], open: usize) -> &[Token] {
    let mut depth = 0;
    for (offset, token) in row[open..].iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &row[(open + 1).min(open + offset)..open + offset];
        }
    }
    &row[open + 1..]
}

/// Splits at the commas that stand in no inner delimiters.
pub(crate) fn split(row: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0;
    row.split(|token| {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        depth == 0 && token.text == ","
    })
    .filter(|part| !part.is_empty())
    .collect()
}

/// Whether a `cfg` predicate can hold only in a build of the tests.
pub(crate) fn needs_test(predicate: &[Token]) -> bool {
    let Some(first) = predicate.first() else { return false };
    let arguments = || split(inside(predicate, 1));
    match (first.text.as_str(), predicate.len()) {
        ("test", 1) => true,
        ("all", 3..) => arguments().into_iter().any(needs_test),
        ("any", 4..) => arguments().into_iter().all(needs_test),
        _ => false,
    }
}

/// The text of a plain string literal.
pub(crate) fn string(token: &Token) -> Option<&str> {
    token.text.strip_prefix('"')?.strip_suffix('"')
}

#[test]
fn test_only_predicates() {
    let only = |text: &str| needs_test(&of_text(text).unwrap());
    assert!(only("test") && only("all(loom, test)") && only("any(all(test, unix), test)"));
    assert!(
        !only("loom") && !only("not(test)") && !only("any(test, unix)") && !only("all(unix, loom)")
    );
}
