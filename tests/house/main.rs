//! The house rules, as ordinary tests: `cargo test --test house`.
//!
//! A rule that stands only in prose is broken within a month, unseen. Here each rule reads
//! the tree and says which line of which file breaks it, and what to do. Each is a plain function
//! from a [`tree::Tree`] to its findings, so it is also tried on small planted trees that break it:
//! a rule that cannot fail shows nothing.
//!
//! **Alternative:** a script beside the tests. It would not run in `cargo test`, and it would read Rust
//! with regular expressions; these rules read it with `syn` and Markdown with `pulldown-cmark`.

mod chapters;
mod commands;
mod edges;
mod essays;
mod imports;
mod links;
mod map;
mod seeds;
mod tokens;
mod tree;
mod unsafe_code;
