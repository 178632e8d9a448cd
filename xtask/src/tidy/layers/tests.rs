use super::*;

/// Returns the findings in a crate of these files, each as `file:line: message`.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let files = [&[("lib.rs", "")], files].concat();
    let paths: Vec<_> = files.iter().map(|(path, _)| format!("{ROOT}{path}")).collect();
    let texts = files.iter().map(|(_, text)| *text);
    let sources: Vec<_> =
        paths.iter().zip(texts).map(|(path, text)| Source { path, text }).collect();
    check(&sources).iter().map(|finding| finding.to_string()[ROOT.len()..].to_owned()).collect()
}

#[track_caller]
fn assert_finds(files: &[(&str, &str)], expected: &str) {
    let found = findings(files);
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

#[track_caller]
fn assert_clean(files: &[(&str, &str)]) {
    assert_eq!(findings(files), Vec::<String>::new());
}

#[test]
fn import_from_a_lower_layer_is_clean_and_from_a_higher_one_is_not() {
    assert_clean(&[("state.rs", "use crate::fanout::Log;"), ("fanout.rs", "pub struct Log;")]);
    assert_finds(
        &[("fanout/log.rs", "\nuse crate::state::X;"), ("fanout.rs", ""), ("state.rs", "")],
        "fanout/log.rs:2: `fanout` imports from `state`, a higher layer",
    );
}

#[test]
fn path_in_code_counts_as_an_import() {
    assert_finds(
        &[("clock.rs", "fn f() {\n    let _ = crate::config::ms(1);\n}"), ("config.rs", "")],
        "clock.rs:2: `clock` imports from `config`",
    );
    assert_finds(
        &[("http.rs", ""), ("http/a.rs", "type A = super::super::server::B;"), ("server.rs", "")],
        "http/a.rs:1: `http` imports from `server`",
    );
}

#[test]
fn every_branch_of_a_use_tree_counts() {
    let text = "use crate::{clock, access::{self, keys::{Key, Role as R}}, config::*};";
    assert_eq!(
        findings(&[("durable.rs", text), ("clock.rs", ""), ("access.rs", ""), ("config.rs", "")]),
        ["durable.rs:1: `durable` imports from `access`, a higher layer; move the item down, or \
             hand it in as an argument"; 3]
    );
}

#[test]
fn comments_strings_and_test_code_are_no_imports() {
    let text = r##"
        // crate::server::A
        /* crate::server::B /* nested */ crate::server::C */
        /// [`crate::server::D`]
        const A: (&str, &str, char) = ("crate::server::E", r#"" crate::server::F"#, '"');
        fn f<'a>(a: &'a str) {}
        #[cfg(test)]
        use crate::server::G;
        #[cfg(test)]
        #[derive(Debug)]
        struct H { a: crate::server::I }
        pub(in super::super) fn g() {}
        #[cfg(test)]
        mod tests {
            use crate::server::J;
        }
        #[cfg(test)]
        mod kit;
    "##;
    let server = ("server.rs", "pub struct A;");
    assert_clean(&[("clock.rs", text), ("clock/kit.rs", "use crate::server::A;"), server]);
    let with_import = format!("{text} use crate::server::A;");
    assert_finds(&[("clock.rs", &with_import), server], "clock.rs:19: `clock` imports from");
}

#[test]
fn siblings_that_import_from_each_other_are_a_cycle() {
    let files = [
        ("http.rs", "mod a; mod b; mod c;"),
        ("http/a.rs", "use super::b::B;"),
        ("http/b.rs", "\nuse crate::http::c::C;"),
        ("http/c.rs", "\n\nfn f() { super::a::g() }"),
    ];
    assert_finds(
        &files,
        "http/a.rs:1: import cycle: http/a.rs:1 imports http/b.rs, http/b.rs:2 imports http/c.rs, \
         http/c.rs:3 imports http/a.rs",
    );
    assert_clean(&files[..3]);
}

#[test]
fn module_and_its_descendants_may_import_from_each_other() {
    assert_clean(&[
        ("http.rs", "mod a; use a::A;"),
        ("http/a.rs", "mod b; use super::C; use b::B;"),
        ("http/a/b.rs", "use super::A; use super::super::C;"),
    ]);
}

#[test]
fn module_counts_with_everything_below_it() {
    assert_finds(
        &[
            ("http.rs", "mod a; mod c;"),
            ("http/a.rs", "mod b;"),
            ("http/a/b.rs", "use crate::http::c::C;"),
            ("http/c.rs", "use super::a::A;"),
        ],
        "http/a/b.rs:1: import cycle: http/a/b.rs:1 imports http/c.rs, http/c.rs:1 imports http/a.rs",
    );
}

#[test]
fn reexported_item_belongs_to_the_file_that_defines_it() {
    assert_finds(
        &[
            ("bars.rs", "mod log; mod batch; pub use batch::Batch; pub use log::Log as History;"),
            ("bars/log.rs", "use super::Batch;"),
            ("bars/batch.rs", "use crate::bars::{History};"),
        ],
        "bars/batch.rs:1: import cycle: bars/batch.rs:1 imports bars/log.rs, bars/log.rs:1",
    );
}

#[test]
fn module_without_a_layer_is_found() {
    assert_finds(&[("misc.rs", ""), ("misc/a.rs", "")], "misc.rs:1: `misc` has no layer");
}

#[test]
fn only_the_server_names_the_whole_state() {
    let text = format!("fn f(state: &{STATE}) {{}}");
    assert_clean(&[("server.rs", &text), ("server/state.rs", &text)]);
    assert_finds(&[("http.rs", &text)], "http.rs:1: ");
    assert_finds(&[("http/a.rs", &text)], "http/a.rs:1: ");
}
