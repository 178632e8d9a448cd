use super::super::apply_rules;
use super::*;

const NONE: [usize; 0] = [];

/// Returns the numbers of the lines that break a rule.
fn broken(path: &str, text: &str) -> Vec<usize> {
    apply_rules(&Source { path, text }).into_iter().map(|finding| finding.line).collect()
}

#[test]
fn finding_says_where_and_what_to_do() {
    let findings = apply_rules(&Source { path: "web/src/a.ts", text: "let a;\nlet b; \n" });
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].to_string(), "web/src/a.ts:2: whitespace at the end; remove it");
}

#[test]
fn code_of_800_lines_is_short_and_of_801_is_not() {
    assert_eq!(broken("crates/hub/src/lib.rs", &"\n".repeat(LINES_MAX)), NONE);
    assert_eq!(broken("crates/hub/src/lib.rs", &"\n".repeat(LINES_MAX + 1)), [801]);
    assert_eq!(broken("Cargo.lock", &"\n".repeat(LINES_MAX + 1)), NONE);
}

#[test]
fn unfinished_code_is_found() {
    for word in UNFINISHED {
        assert_eq!(
            broken("crates/hub/src/lib.rs", &format!("fn f() {{\n    {word}(1)\n}}\n")),
            [2]
        );
        assert_eq!(broken("crates/hub/src/lib.rs", &format!("my_{word}\n")), NONE, "a longer word");
        assert_eq!(broken("CONTRIBUTING.md", word), NONE, "a text may name it");
    }
}

#[test]
fn recorded_data_keeps_its_whitespace() {
    assert_eq!(broken("crates/feeder/tests/data/trades.csv", "1,2, \n"), NONE);
    assert_eq!(broken("fuzz/corpus/session/0a1b", "1,2, \n"), NONE);
    assert_eq!(broken("README.md", "1,2, \n"), [1]);
}

#[test]
fn prose_wraps_and_tables_code_and_addresses_may_be_long() {
    let words = "word ".repeat(20) + "x";
    assert_eq!(broken("src/lib.rs", &format!("/// {words}\n")), [1]);
    assert_eq!(broken("README.md", &format!("{words}\n")), [1]);
    assert_eq!(broken("README.md", &format!("| {words} |\n")), NONE);
    assert_eq!(broken("README.md", &format!("```sh\n{words}\n```\n")), NONE);
    assert_eq!(broken("src/lib.rs", &format!("// {words} https://example.com\n")), NONE);
    assert_eq!(broken("src/lib.rs", &format!("let text = \"{words}\";\n")), NONE);
}

#[test]
fn comments_of_settings_wrap() {
    let words = "word ".repeat(20) + "x";
    for path in ["deny.toml", "docker-compose.yml"] {
        assert_eq!(broken(path, &format!("# {words}\n")), [1]);
        assert_eq!(broken(path, &format!("key = 1 # {words}\n")), [1]);
        assert_eq!(broken(path, &format!("key = \"{words}\"\n")), NONE);
    }
}

#[test]
fn values_are_not_bound_in_pairs() {
    for (line, lines) in [
        ("let (a, b) = (f(1), 2);", vec![1]),
        ("    let (mut a, (b, c)) = (1, f(2));", vec![1]),
        ("let (a, b) = f(1, 2);", vec![]),
        ("let (a, b) = (f)(1, 2);", vec![]),
        ("let (a, b) = (x + y).pair(1, 2);", vec![]),
        ("let pair = (a, b);", vec![]),
    ] {
        assert_eq!(broken("src/lib.rs", &format!("{line}\n")), lines, "{line}");
    }
}

#[test]
fn hub_feeder_and_client_do_not_depend_on_each_other() {
    let hub = |text| broken("crates/hub/Cargo.toml", text);
    assert_eq!(hub("[dependencies]\ntickwire-protocol.workspace = true\n"), NONE);
    assert_eq!(hub("[dependencies]\ntickwire-client.workspace = true\n"), [2]);
    assert_eq!(hub("[dependencies]\ntickwire-feeder = { path = \"../feeder\" }\n"), [2]);
    assert_eq!(hub("[dependencies.tickwire-feeder]\nworkspace = true\n"), [1]);
    assert_eq!(hub("[target.'cfg(unix)'.dependencies]\ntickwire-feeder.workspace = true\n"), [2]);
    assert_eq!(
        hub("[dependencies]\nbytes = \"1\"\n[dev-dependencies]\ntickwire-client = \"1\"\n"),
        NONE
    );
    let binary = "[dependencies]\ntickwire-client.workspace = true\n";
    assert_eq!(broken("crates/tickwire/Cargo.toml", binary), NONE);
}

#[test]
fn protocol_has_no_runtime() {
    assert_eq!(
        broken("crates/protocol/Cargo.toml", "[dependencies]\ntokio.workspace = true\n"),
        [2]
    );
}

#[test]
fn fan_out_core_has_no_runtime_clock_or_lock() {
    let core = "crates/hub/src/fanout/shard.rs";
    for word in IMPURE {
        assert_eq!(broken(core, &format!("use {word};\n")), [1], "{word}");
        assert_eq!(broken(core, &format!("/// Does without {word}.\n")), NONE, "{word}");
        assert_eq!(broken("crates/hub/src/router.rs", &format!("use {word};\n")), NONE, "{word}");
    }
    assert_eq!(broken("crates/hub/src/fanout.rs", "use tokio::net;\n"), [1]);
    assert_eq!(broken(core, "let minimum_backtracing = 1;\n"), NONE);
}

#[test]
fn shipped_code_writes_through_the_output_module() {
    for word in OUTPUT {
        let text = format!("fn f() {{\n    {word};\n}}\n");
        assert_eq!(broken("crates/tickwire/src/watch.rs", &text), [2], "{word}");
        assert_eq!(broken("crates/hub/src/server.rs", &text), [2], "{word}");
        assert_eq!(broken("crates/tickwire/src/output.rs", &text), NONE, "{word}");
        assert_eq!(broken("crates/testkit/src/seeds.rs", &text), NONE, "{word}");
        assert_eq!(broken("crates/tickwire/tests/feed.rs", &text), NONE, "{word}");
    }
    let example = "//!         Event::Tick { tick, .. } => println!(\"{tick:?}\"),\n";
    assert_eq!(broken("crates/client/src/lib.rs", example), NONE);
    assert_eq!(broken("crates/tickwire/src/hub.rs", "output::stderr_is_terminal();\n"), NONE);
}

#[test]
fn absolute_paths_of_one_machine_are_found() {
    for path in MACHINE_PATHS {
        assert_eq!(broken("README.md", &format!("see {path}notes\n")), [1], "{path}");
        assert_eq!(broken("README.md", &format!("see src{path}notes\n")), NONE, "{path}");
    }
}

#[test]
fn lock_file_names_no_download_address() {
    let lock = "{\n\"resolved\": \"https://registry.example/a.tgz\"\n}\n";
    assert_eq!(broken("web/package-lock.json", lock), [2]);
    assert_eq!(broken("web/notes.json", lock), NONE);
}
