//! The rules. Forbidden texts are written in two parts, so that this file does not break its own
//! rules.

use super::{Finding, Source};

/// A rule: returns its violations in one file.
type Rule = fn(&Source<'_>) -> Vec<Finding>;

pub(super) const RULES: [Rule; 10] = [
    files_stay_short,
    nothing_is_left_unfinished,
    no_line_ends_in_whitespace,
    crates_keep_their_distance,
    fan_out_stays_pure,
    output_never_panics,
    no_path_of_one_machine,
    lock_file_names_no_registry,
    prose_wraps_at_100_columns,
    each_value_has_its_own_let,
];

/// The most lines of a file. A longer file has more than one subject and should be split.
const LINES_MAX: usize = 800;

/// Greatest width of a line of prose, in characters.
const PROSE_COLUMNS_MAX: usize = 100;

/// Words that mean "not done yet".
const UNFINISHED: [&str; 4] = [
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
    concat!("dbg", "!"),
    concat!("FIX", "ME"),
];

/// Beginnings of paths that exist on one machine only, which the repository must not contain.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Use", "rs/")];

/// For each of our crates, the crates that it must not depend on.
const DISTANCES: [(&str, &[&str]); 4] = [
    ("protocol", &["tokio", "mio", "hyper", "axum", "tracing"]),
    ("hub", &["tickwire-feeder", "tickwire-client"]),
    ("feeder", &["tickwire-hub", "tickwire-client"]),
    ("client", &["tickwire-hub", "tickwire-feeder"]),
];

/// Names that the fan-out core must not use, because it has no runtime, sockets, clock, logs or
/// locks.
const IMPURE: [&str; 7] =
    ["tokio", "mio", "std::net", "Instant::now", "SystemTime::now", "tracing", "Mutex"];

/// Crates that run in the processes of users.
const SHIPPED: [&str; 5] = ["client", "feeder", "hub", "protocol", "tickwire"];

/// Calls that panic, or return an error that callers tend to unwrap, when standard output or
/// standard error is closed or full.
const OUTPUT: [&str; 7] =
    ["print!", "println!", "eprint!", "eprintln!", "io::stdout", "io::stderr", "ratatui::restore"];

/// The module that writes to standard output and standard error.
const OUTPUT_MODULE: &str = "crates/tickwire/src/output";

fn files_stay_short(source: &Source<'_>) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if !has_extension(source, &["rs", "ts"]) || lines <= LINES_MAX {
        return Vec::new();
    }
    let message = format!("{lines} lines, {LINES_MAX} are allowed; split the file along a noun");
    vec![finding(source, lines, message)]
}

fn nothing_is_left_unfinished(source: &Source<'_>) -> Vec<Finding> {
    if !has_extension(source, &["rs", "ts", "mjs", "js", "css", "html"]) {
        return Vec::new();
    }
    find_lines(source, |line| {
        let word = UNFINISHED.into_iter().find(|word| has_word(line, word))?;
        Some(format!("`{word}`; finish it, or say in a comment what holds today"))
    })
}

fn no_line_ends_in_whitespace(source: &Source<'_>) -> Vec<Finding> {
    // Recorded data keeps its bytes.
    if has_extension(source, &["csv", "ndjson", "txt", "hex", "svg"])
        || source.path.starts_with("fuzz/corpus/")
    {
        return Vec::new();
    }
    find_lines(source, |line| {
        line.ends_with(char::is_whitespace).then(|| "whitespace at the end; remove it".to_owned())
    })
}

fn crates_keep_their_distance(source: &Source<'_>) -> Vec<Finding> {
    let rule =
        DISTANCES.into_iter().find(|(name, _)| source.path == format!("crates/{name}/Cargo.toml"));
    let Some((name, banned)) = rule else { return Vec::new() };
    let mut in_dependencies = false;
    find_lines(source, |line| {
        let mut key = line;
        if let Some(table) = line.trim().strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            let (at, dependency) = dependency_table(table);
            in_dependencies = at;
            key = dependency;
        }
        let key = key.split(['.', '=', ' ']).next().filter(|_| in_dependencies)?;
        banned.contains(&key).then(|| {
            format!("{name} may not depend on {key}; only the binary, tests and benches join them")
        })
    })
}

/// Returns whether a table of a manifest lists normal dependencies. Also returns the dependency
/// that a table such as `[dependencies.serde]` describes; empty for a table of several.
fn dependency_table(table: &str) -> (bool, &str) {
    match table.rsplit_once("dependencies") {
        Some((before, of)) if before.is_empty() || before.ends_with('.') => {
            (true, of.trim_start_matches('.'))
        }
        _ => (false, ""),
    }
}

fn fan_out_stays_pure(source: &Source<'_>) -> Vec<Finding> {
    if !source.path.starts_with("crates/hub/src/fanout") {
        return Vec::new();
    }
    find_lines(source, |line| {
        let code = line.split("//").next().unwrap_or(line);
        let word = IMPURE.into_iter().find(|word| has_word(code, word))?;
        Some(format!("`{word}` in the fan-out core; take what it gives as an argument"))
    })
}

fn output_never_panics(source: &Source<'_>) -> Vec<Finding> {
    let is_shipped =
        SHIPPED.iter().any(|name| source.path.starts_with(&format!("crates/{name}/src/")));
    if !is_shipped || !has_extension(source, &["rs"]) || source.path.starts_with(OUTPUT_MODULE) {
        return Vec::new();
    }
    find_lines(source, |line| {
        let code = line.split("//").next().unwrap_or(line);
        let word = OUTPUT.into_iter().find(|word| has_word(code, word))?;
        Some(format!(
            "`{word}` outside of {OUTPUT_MODULE}.rs; use its functions, which survive a closed \
             pipe and a full disk"
        ))
    })
}

fn no_path_of_one_machine(source: &Source<'_>) -> Vec<Finding> {
    find_lines(source, |line| {
        let path = MACHINE_PATHS.into_iter().find(|path| has_path(line, path))?;
        Some(format!("`{path}` exists on one machine; use a relative path or an argument"))
    })
}

fn lock_file_names_no_registry(source: &Source<'_>) -> Vec<Finding> {
    if !source.path.ends_with("package-lock.json") {
        return Vec::new();
    }
    find_lines(source, |line| {
        line.contains("\"resolved\": \"http").then(|| {
            "an address of one registry; `npm install --omit-lockfile-registry-resolved`".to_owned()
        })
    })
}

/// Checks comments of Rust, TypeScript, TOML and YAML, and Markdown. Tables, code, addresses and
/// generated results may be longer.
fn prose_wraps_at_100_columns(source: &Source<'_>) -> Vec<Finding> {
    let is_markdown = has_extension(source, &["md"]);
    let is_generated = source.path.starts_with("benches/results/");
    let is_settings = has_extension(source, &["toml", "yml"]);
    if is_generated || !(is_markdown || is_settings || has_extension(source, &["rs", "ts"])) {
        return Vec::new();
    }
    let mut in_code = false;
    find_lines(source, |line| {
        let text = line.trim_start().trim_start_matches(['/', '!', '*', ' ']);
        in_code ^= text.starts_with("```");
        let is_prose = match is_settings {
            true => line.trim_start().starts_with('#') || line.contains(" # "),
            false => is_markdown || line.trim_start().starts_with("//"),
        };
        let may_be_long = in_code || text.contains('|') || text.contains("://");
        let columns = line.chars().count();
        (is_prose && !may_be_long && columns > PROSE_COLUMNS_MAX)
            .then(|| format!("{columns} columns; wrap prose at {PROSE_COLUMNS_MAX}"))
    })
}

fn each_value_has_its_own_let(source: &Source<'_>) -> Vec<Finding> {
    if !has_extension(source, &["rs"]) {
        return Vec::new();
    }
    find_lines(source, |line| {
        let statement = line.trim_start().strip_prefix("let ")?.strip_suffix(';')?;
        let (names, values) = statement.split_once(" = ")?;
        (is_tuple(names) && is_tuple(values))
            .then(|| "several values in one `let`; write one line for each".to_owned())
    })
}

/// Returns whether a text is one tuple: parentheses around values with a comma between them.
fn is_tuple(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else {
        return false;
    };
    let mut depth = 0_i32;
    let mut has_comma = false;
    for character in inner.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' => has_comma |= depth == 0,
            _ => {}
        }
        if depth < 0 {
            return false; // the first parenthesis is closed before the end
        }
    }
    has_comma
}

fn has_extension(source: &Source<'_>, extensions: &[&str]) -> bool {
    source.path.rsplit_once('.').is_some_and(|(_, found)| extensions.contains(&found))
}

/// Returns whether `line` contains `word` other than as part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(joins)
            && (word.ends_with('!') || !line[at + word.len()..].starts_with(joins))
    })
}

/// Returns whether `line` contains an absolute path that starts with `path`.
fn has_path(line: &str, path: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || "_-.~/}".contains(c);
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(joins))
}

fn finding(source: &Source<'_>, line: usize, message: String) -> Finding {
    Finding { path: source.path.to_owned(), line, message }
}

/// Returns a finding for each line for which `judge` returns a message.
fn find_lines(source: &Source<'_>, mut judge: impl FnMut(&str) -> Option<String>) -> Vec<Finding> {
    let lines = source.text.lines().zip(1..);
    lines.filter_map(|(line, number)| Some(finding(source, number, judge(line)?))).collect()
}

#[cfg(test)]
mod tests;
