//! Who may import whom, and where the sharp tools live: the rules of docs/architecture.md, read off the source text.
//!
//! The check works on tokens (comments, strings and `#[cfg(test)]` items are left out), resolves `crate::`, `super::` and
//! `self::` and opens up `use` groups. It sees names, not types: a renamed import (`use std::time as t`) is clippy's to
//! catch (clippy.toml, `disallowed-methods`).

use std::fs;
use std::path::Path;

const WORDS: &[&str] = &["error", "id", "config", "message", "bytes", "path", "clock", "sync"];
const MECHANISMS: &[&str] = &["mailbox", "timer", "scheduler"];
const BELOW_ACTOR: &[&[&str]] = &[WORDS, MECHANISMS];
const BELOW_REGISTRY: &[&[&str]] = &[WORDS, MECHANISMS, &["actor"]];
const BELOW_SUPERVISION: &[&[&str]] = &[WORDS, MECHANISMS, &["actor", "registry"]];
const BELOW_EXTENSIONS: &[&[&str]] = &[WORDS, MECHANISMS, &["actor", "registry", "supervision"]];
const BELOW_RUNTIME: &[&[&str]] =
    &[WORDS, MECHANISMS, &["actor", "registry", "supervision", "mesh", "jit", "vortex"]];
const BELOW_HOST: &[&[&str]] = &[WORDS, &["runtime"]];

/// A module and the modules that it may name. A module that is missing here fails the test: give it a level.
const LEVELS: &[(&str, &[&[&str]])] = &[
    ("error", &[WORDS]),
    ("id", &[WORDS]),
    ("config", &[WORDS]),
    ("message", &[WORDS]),
    ("bytes", &[WORDS]),
    ("path", &[WORDS]),
    ("clock", &[WORDS]),
    ("sync", &[WORDS]),
    ("mailbox", &[WORDS]),
    ("timer", &[WORDS]),
    ("scheduler", &[WORDS]),
    ("actor", BELOW_ACTOR),
    ("registry", BELOW_REGISTRY),
    ("supervision", BELOW_SUPERVISION),
    ("mesh", BELOW_EXTENSIONS),
    ("vortex", BELOW_EXTENSIONS),
    ("jit", &[&["error", "config"]]),
    ("runtime", BELOW_RUNTIME),
    ("node", BELOW_HOST),
    ("python", BELOW_HOST),
];

/// Where a sharp tool may be used: a file, or a folder when it ends in `/`.
const UNSAFE: &[&str] = &[
    "node/raw/",
    "node/lent.rs",
    "mesh/transport/lowat.rs",
    "python/buffer.rs",
    "python/jit_entry.rs",
    "jit/code.rs",
    "jit/imports.rs",
    "jit/kernel.rs",
];
const THREADS: &[&str] =
    &["sync.rs", "scheduler/", "timer/", "python/lane.rs", "python/jit_map.rs", "mesh/transport/"];
const SOCKETS: &[&str] = &["mesh/transport/"];
const CLOCK: &[&str] = &["clock.rs"];
const CODEGEN: &[&str] = &["jit/codegen/", "jit/code.rs"];
const FEATURES: &[&str] = &["lib.rs", "runtime/", "node/", "python/"];
const NAPI: &[&str] = &["node/", "../build.rs"];
const PYO3: &[&str] = &["python/"];

#[test]
fn the_sources_keep_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![("../build.rs".to_owned(), root.join("build.rs"))];
    collect(&root.join("src"), "", &mut files);
    assert!(files.iter().any(|(name, _)| name == "lib.rs"), "the scan found no src/lib.rs");

    let found: Vec<String> = files
        .iter()
        .flat_map(|(name, path)| {
            violations(name, &fs::read_to_string(path).expect("a source file is readable"))
        })
        .collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_broken_rule_is_found() {
    let cases: &[(&str, &str, &str)] = &[
        // Levels, in each spelling of a path.
        ("error.rs", "use crate::runtime::Runtime;", "error may not import runtime"),
        ("timer/mod.rs", "fn f() { crate::scheduler::wake() }", "timer may not import scheduler"),
        ("actor/cell.rs", "use crate::{id::Pid, registry};", "actor may not import registry"),
        ("actor/cell.rs", "use super::super::registry::Names;", "actor may not import registry"),
        ("actor/mod.rs", "use super::registry;", "actor may not import registry"),
        ("actor/mod.rs", "mod x { use super::super::registry; }", "actor may not import registry"),
        ("actor/mod.rs", "use crate::{\n  id::{self, Pid},\n  runtime::*,\n};", "actor/mod.rs:3"),
        ("mailbox/mod.rs", "pub(in crate::runtime) fn f() {}", "mailbox may not import runtime"),
        ("mailbox/mod.rs", "macro_rules! m { () => { $crate::actor::f() } }", "import actor"),
        ("jit/ir.rs", "use crate::id::Pid;", "jit may not import id"),
        ("mesh/mod.rs", "use crate::vortex::Ghost;", "mesh may not import vortex"),
        ("node/mod.rs", "use crate::python::Lane;", "node may not import python"),
        ("node/actor.rs", "use crate::actor::{Cell, Slot};", "node may not import actor::Slot"),
        ("node/actor.rs", "use crate::actor;", "node may not import actor"),
        ("python/mod.rs", "use crate::mailbox::Queue;", "python may not import mailbox"),
        // Names without a level.
        ("helpers/mod.rs", "use crate::id::Pid;", "helpers has no level"),
        ("mailbox/mod.rs", "use crate::Pid;", "crate::Pid is no module"),
        // Sharp tools.
        ("actor/mod.rs", "fn f() { unsafe { g() } }", "unsafe"),
        ("node/actor.rs", "#[unsafe(no_mangle)] fn f() {}", "unsafe"),
        ("runtime/mod.rs", "use napi::Env;", "napi"),
        ("lib.rs", "#[napi_derive::napi] fn f() {}", "napi"),
        ("node/mod.rs", "use pyo3::prelude::*;", "pyo3"),
        ("jit/ir.rs", "use cranelift_codegen::ir;", "cranelift"),
        ("runtime/mod.rs", "fn f() { std::thread::spawn(|| ()); }", "threads"),
        ("runtime/mod.rs", "use std::{thread::{self, Builder}};", "threads"),
        ("actor/mod.rs", "fn f() { tokio::spawn(g()); }", "threads"),
        ("actor/mod.rs", "fn f() { tokio::task::spawn_blocking(g); }", "threads"),
        ("mesh/session.rs", "use tokio::net::TcpStream;", "sockets"),
        ("node/mod.rs", "use std::os::unix::net::UnixStream;", "sockets"),
        ("scheduler/mod.rs", "use std::time::{Duration, Instant};", "clock"),
        ("actor/mod.rs", "fn f() { SystemTime::now(); }", "clock"),
        ("actor/mod.rs", "#[cfg(feature = \"mesh\")] fn f() {}", "cfg(feature)"),
        ("timer/mod.rs", "#[cfg(not(any(feature = \"a\")))] fn f() {}", "cfg(feature)"),
        // What must not hide a violation.
        ("id.rs", "/* /* */ */ use crate::runtime;", "id may not import runtime"),
        ("id.rs", "const S: &str = r#\"a\"b\"#; use crate::runtime;", "id may not import runtime"),
        ("id.rs", "const C: char = '\"'; use crate::runtime;", "id may not import runtime"),
        ("id.rs", "fn f<'a>(x: &'a str) {} use crate::runtime;", "id may not import runtime"),
        ("id.rs", "#[cfg(test)] mod tests { fn f() {} } use crate::runtime;", "import runtime"),
        ("id.rs", "#[cfg(not(test))] fn f() { crate::runtime::f() }", "id may not import runtime"),
        ("id.rs", "struct A { #[cfg(test)] x: u8, y: crate::runtime::R }", "import runtime"),
    ];
    for (path, code, expected) in cases {
        let found = violations(path, code);
        assert!(
            found.iter().any(|v| v.contains(expected)),
            "{path}: `{code}` should have been refused ({expected}); found {found:?}"
        );
    }
}

#[test]
fn what_the_rules_allow_passes() {
    let cases: &[(&str, &str)] = &[
        ("lib.rs", "#[cfg(feature = \"node\")] mod node; pub use crate::runtime::Runtime;"),
        ("actor/mod.rs", "use crate::{id::Pid, mailbox::{Queue, Full as F}}; use super::timer;"),
        ("actor/cell.rs", "use super::handle::Handle; use self::inner::X; use crate::actor;"),
        ("registry/names.rs", "use crate::actor::Cell;"),
        ("runtime/mod.rs", "#[cfg(feature = \"mesh\")] use crate::mesh::Mesh;"),
        ("node/mod.rs", "use napi::Env; use crate::{runtime::HostLane, id::Pid};"),
        ("node/raw/mod.rs", "fn f() { unsafe { napi::sys::x() } }"),
        ("python/lane.rs", "use pyo3::Python; fn f() { std::thread::Builder::new(); }"),
        ("clock.rs", "use std::time::Instant; fn f() { Instant::now(); }"),
        ("scheduler/worker.rs", "fn f() { std::thread::spawn(|| ()); }"),
        ("../build.rs", "fn main() { napi_build::setup(); }"),
        ("actor/mod.rs", "fn f() { std::thread::current(); } use std::time::Duration;"),
        ("id.rs", "//! crate::runtime\n/// unsafe\nconst S: &str = \"crate::runtime unsafe\";"),
        ("id.rs", "#[cfg(test)] mod tests { use crate::runtime::R; fn f() { unsafe {} } }"),
        ("id.rs", "#[cfg(all(test, not(iris_shuttle)))] #[allow(x)] fn f<A, B>() { Instant }"),
        ("id.rs", "#[cfg(test)] use crate::runtime::{A, B}; struct X;"),
        ("timer/tests.rs", "use crate::runtime::R; use std::time::Instant;"),
        ("mailbox/tests/loom_queue.rs", "use crate::runtime::R;"),
        ("error.rs", "#![deny(unsafe_code)] pub(crate) fn f(feature: u8) {}"),
    ];
    for (path, code) in cases {
        let found = violations(path, code);
        assert!(found.is_empty(), "{path}: `{code}` should pass; found {found:?}");
    }
}

/// All `.rs` files under `dir`, named relative to `src`.
fn collect(dir: &Path, prefix: &str, into: &mut Vec<(String, std::path::PathBuf)>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .expect("src is readable")
        .map(|entry| entry.expect("src is readable").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|n| n.to_str()).expect("source names are UTF-8");
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push((format!("{prefix}{name}"), path));
        }
    }
}

/// What `code`, standing in `src/<file>`, does against the rules.
fn violations(file: &str, code: &str) -> Vec<String> {
    if file == "tests.rs" || file.ends_with("/tests.rs") || file.contains("tests/") {
        return Vec::new();
    }
    let tokens = without_tests(lex(code));
    let paths = paths(&tokens, &module_of(file));
    let mut found = Vec::new();
    let mut refuse = |line: usize, what: String| found.push(format!("src/{file}:{line}: {what}"));

    for path in &paths {
        if let Some(why) = import_refused(file, path) {
            refuse(path.line, why);
        }
        if path.has(&["thread"], &["spawn", "Builder", "scope"])
            || path.has(&["tokio"], &["spawn"])
            || path.has(&["task"], &["spawn", "spawn_blocking", "spawn_local"])
        {
            confine(file, THREADS, "threads and tasks", &mut |w| refuse(path.line, w));
        }
        if path.has(&["std", "tokio", "unix", "windows"], &["net"]) {
            confine(file, SOCKETS, "sockets", &mut |w| refuse(path.line, w));
        }
    }
    for (i, token) in tokens.iter().enumerate() {
        let Kind::Word(word) = &token.kind else { continue };
        let followed_by_value = matches!(
            tokens.get(i + 1..i + 3),
            Some([Token { kind: Kind::Mark('='), .. }, Token { kind: Kind::Text, .. }])
        );
        let (allowed, what) = match word.as_str() {
            "unsafe" => (UNSAFE, "unsafe"),
            "Instant" | "SystemTime" => (CLOCK, "the machine's clock"),
            "feature" if followed_by_value => (FEATURES, "cfg(feature)"),
            w if w == "napi" || w.starts_with("napi_") => (NAPI, "napi"),
            w if w == "pyo3" || w.starts_with("pyo3_") => (PYO3, "pyo3"),
            w if w.starts_with("cranelift") => (CODEGEN, "cranelift"),
            _ => continue,
        };
        confine(file, allowed, what, &mut |why| refuse(token.line, why));
    }
    found
}

fn confine(file: &str, allowed: &[&str], what: &str, refuse: &mut dyn FnMut(String)) {
    if !allowed.iter().any(|a| file == *a || (a.ends_with('/') && file.starts_with(a))) {
        refuse(format!("{what} only in {}", allowed.join(", ")));
    }
}

fn import_refused(file: &str, path: &Resolved) -> Option<String> {
    let own = module_of(file);
    let from = own.first()?; // lib.rs and build.rs wire modules together: no level
    let target = path.in_crate.then(|| path.segments.first()).flatten()?;
    if target == from || target == "*" {
        return None;
    }
    let Some((_, allowed)) = LEVELS.iter().find(|(name, _)| name == from) else {
        return Some(format!("{from} has no level: add it to LEVELS"));
    };
    if !LEVELS.iter().any(|(name, _)| name == target) {
        return Some(format!("crate::{target} is no module: import it from where it is defined"));
    }
    if allowed.iter().any(|group| group.contains(&target.as_str())) {
        return None;
    }
    let item = path.segments.iter().take(2).cloned().collect::<Vec<_>>().join("::");
    Some(format!("{from} may not import {item}"))
}

/// `actor/cell.rs` is `actor::cell`, `actor/mod.rs` is `actor`, `lib.rs` is the crate itself.
fn module_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" || stem.starts_with("..") {
        return Vec::new();
    }
    stem.split('/').map(str::to_owned).collect()
}

/// A path as it was written, with `crate`, `self` and `super` resolved.
struct Resolved {
    line: usize,
    in_crate: bool,
    segments: Vec<String>,
}

impl Resolved {
    /// Whether one of `first` stands directly before one of `then`.
    fn has(&self, first: &[&str], then: &[&str]) -> bool {
        self.segments
            .windows(2)
            .any(|w| first.contains(&w[0].as_str()) && then.contains(&w[1].as_str()))
    }
}

fn paths(tokens: &[Token], file_module: &[String]) -> Vec<Resolved> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new(); // `mod x {` and its depth
    let mut depth = 0;
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        match &token.kind {
            Kind::Mark('{') => depth += 1,
            Kind::Mark('}') => {
                depth -= 1;
                inline.retain(|(_, opened)| *opened <= depth);
            }
            Kind::Word(word) if word == "mod" => {
                if let (Some(Kind::Word(name)), Some(Kind::Mark('{'))) =
                    (tokens.get(i + 1).map(|t| &t.kind), tokens.get(i + 2).map(|t| &t.kind))
                {
                    inline.push((name.clone(), depth + 1));
                }
            }
            Kind::Word(_) => {
                let mut written = Vec::new();
                let after = tree(tokens, i, &mut Vec::new(), &mut written);
                let module: Vec<String> = file_module
                    .iter()
                    .cloned()
                    .chain(inline.iter().map(|(name, _)| name.clone()))
                    .collect();
                found.extend(written.into_iter().map(|(line, path)| resolve(line, path, &module)));
                i = after;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Reads the path or `use` tree that starts at `i`, adds each full path to `into`, answers the index after it.
fn tree(
    tokens: &[Token],
    mut i: usize,
    prefix: &mut Vec<String>,
    into: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let added_from = prefix.len();
    let mut line = 0;
    loop {
        match tokens.get(i).map(|t| (&t.kind, t.line)) {
            Some((Kind::Word(word), at)) => {
                prefix.push(word.clone());
                line = at;
                i += 1;
            }
            Some((Kind::Mark('*'), at)) if !prefix.is_empty() => {
                prefix.push("*".to_owned());
                line = at;
                i += 1;
            }
            Some((Kind::Mark('{'), _)) if !prefix.is_empty() => {
                i += 1;
                loop {
                    match tokens.get(i).map(|t| &t.kind) {
                        Some(Kind::Mark('}')) => {
                            prefix.truncate(added_from);
                            return i + 1;
                        }
                        Some(Kind::Word(_) | Kind::Mark('*' | '{')) => {
                            i = tree(tokens, i, prefix, into);
                        }
                        Some(_) => i += 1,
                        None => return i,
                    }
                }
            }
            _ => break,
        }
        match tokens.get(i).map(|t| &t.kind) {
            Some(Kind::PathSep) => i += 1,
            _ => break,
        }
    }
    if prefix.len() > added_from {
        into.push((line, prefix.clone()));
    }
    prefix.truncate(added_from);
    i
}

fn resolve(line: usize, path: Vec<String>, module: &[String]) -> Resolved {
    let mut base: Option<Vec<String>> = None;
    let mut rest = path.as_slice();
    while let Some((first, tail)) = rest.split_first() {
        match first.as_str() {
            "crate" => base = Some(Vec::new()),
            "self" => base = base.or_else(|| Some(module.to_vec())),
            "super" => {
                let mut at = base.unwrap_or_else(|| module.to_vec());
                at.pop();
                base = Some(at);
            }
            _ => break,
        }
        rest = tail;
    }
    let in_crate = base.is_some();
    let segments = base.unwrap_or_default().into_iter().chain(rest.iter().cloned());
    Resolved { line, in_crate, segments: segments.filter(|s| s != "self").collect() }
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Word(String),
    PathSep,
    Text,
    Mark(char),
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    line: usize,
}

/// Rust text as words and marks. Comments vanish; strings become [`Kind::Text`]; lifetimes and characters vanish.
fn lex(code: &str) -> Vec<Token> {
    let c: Vec<char> = code.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut i = 0;
    while i < c.len() {
        let start = i;
        let mut kind = None;
        match c[i] {
            '/' if at(i + 1) == '/' => {
                while i < c.len() && c[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut open = 0;
                while i < c.len() {
                    match (c[i], at(i + 1)) {
                        ('/', '*') => (open, i) = (open + 1, i + 2),
                        ('*', '/') => (open, i) = (open - 1, i + 2),
                        _ => i += 1,
                    }
                    if open == 0 {
                        break;
                    }
                }
            }
            '"' => {
                i = string_end(&c, i, None);
                kind = Some(Kind::Text);
            }
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < c.len() && c[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            '\'' => i += 1, // a lifetime: its name becomes a harmless word
            ':' if at(i + 1) == ':' => {
                i += 2;
                kind = Some(Kind::PathSep);
            }
            ch if ch.is_alphanumeric() || ch == '_' => {
                while i < c.len() && (c[i].is_alphanumeric() || c[i] == '_') {
                    i += 1;
                }
                let word: String = c[start..i].iter().collect();
                let hashes = c[i..].iter().take_while(|h| **h == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    i = string_end(&c, i + hashes, Some(hashes));
                    kind = Some(Kind::Text);
                } else if word == "r" && hashes == 1 {
                    i += 1; // a raw identifier: the word itself follows
                } else {
                    kind = Some(Kind::Word(word));
                }
            }
            ch => {
                i += 1;
                if !ch.is_whitespace() {
                    kind = Some(Kind::Mark(ch));
                }
            }
        }
        if let Some(kind) = kind {
            tokens.push(Token { kind, line });
        }
        line += c[start..i.min(c.len())].iter().filter(|ch| **ch == '\n').count();
    }
    tokens
}

/// The index after the string whose quote stands at `i`; `raw` is the number of `#` of a raw string.
fn string_end(c: &[char], mut i: usize, raw: Option<usize>) -> usize {
    i += 1;
    while i < c.len() {
        match (c[i], raw) {
            ('\\', None) => i += 1,
            ('"', None) => return i + 1,
            ('"', Some(n)) if c[i + 1..].iter().take_while(|h| **h == '#').count() >= n => {
                return i + 1 + n;
            }
            _ => {}
        }
        i += 1;
    }
    i
}

/// Leaves out what only exists in tests: `#[cfg(test)]` and the item or field behind it.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        match attribute(&tokens, i) {
            Some((end, true)) => i = item_end(&tokens, end),
            Some((end, false)) => {
                kept.extend_from_slice(&tokens[i..end]);
                i = end;
            }
            None => {
                kept.push(tokens[i].clone());
                i += 1;
            }
        }
    }
    kept
}

/// The end of the outer attribute at `i`, and whether it is a `cfg` that holds in tests only.
fn attribute(tokens: &[Token], i: usize) -> Option<(usize, bool)> {
    let is = |at: usize, ch: char| tokens.get(at).is_some_and(|t| t.kind == Kind::Mark(ch));
    if !is(i, '#') || !is(i + 1, '[') {
        return None;
    }
    let mut depth = 0;
    let mut end = i + 1;
    loop {
        match tokens.get(end)?.kind {
            Kind::Mark('[') => depth += 1,
            Kind::Mark(']') => depth -= 1,
            _ => {}
        }
        end += 1;
        if depth == 0 {
            break;
        }
    }
    let words = |at: usize| match &tokens[at].kind {
        Kind::Word(word) => word.as_str(),
        _ => "",
    };
    // `not(test)` and `any(test, …)` leave code in the product; `test` and `all(test, …)` do not.
    let only = words(i + 2) == "cfg"
        && (words(i + 4) == "test" || (words(i + 4) == "all" && words(i + 6) == "test"));
    Some((end, only))
}

/// The index after the item, field or arm that starts at `i`.
fn item_end(tokens: &[Token], mut i: usize) -> usize {
    while let Some((end, _)) = attribute(tokens, i) {
        i = end;
    }
    let is_item = tokens[i..].iter().take(8).any(|t| {
        matches!(&t.kind, Kind::Word(w) if matches!(
            w.as_str(),
            "mod" | "fn" | "use" | "struct" | "enum" | "impl" | "const" | "static" | "type" | "trait"
                | "macro_rules"
        ))
    });
    let mut depth = 0_i32;
    while let Some(token) = tokens.get(i) {
        match token.kind {
            Kind::Mark('(' | '[') => depth += 1,
            Kind::Mark(')' | ']') => depth -= 1,
            Kind::Mark('{') => depth += 1,
            Kind::Mark('}') if depth == 0 => return i, // the end of what contains it
            Kind::Mark('}') => {
                depth -= 1;
                if depth == 0 && is_item {
                    return i + 1;
                }
            }
            Kind::Mark(';') if depth == 0 => return i + 1,
            Kind::Mark(',') if depth == 0 && !is_item => return i + 1,
            _ => {}
        }
        i += 1;
    }
    i
}
