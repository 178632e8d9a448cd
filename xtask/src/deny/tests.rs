//! The rules, on made-up dependency graphs.

use serde_json::{Value, json};

use super::*;
use licenses::is_satisfied;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

const POLICY: &str = r#"
[graph]
targets = ["x86_64-unknown-linux-gnu"]
all-features = true

[advisories]
ignore = []

[licenses]
allow = ["MIT", "Apache-2.0"]
exceptions = [{ crate = "copyleft", allow = ["MPL-2.0"] }]
confidence-threshold = 0.9

[bans]
multiple-versions = "deny"
wildcards = "deny"
allow-wildcard-paths = true
skip = [{ crate = "syn@1", reason = "macros of an old crate" }]
deny = [{ crate = "openssl", reason = "TLS is rustls" }]

[sources]
unknown-registry = "deny"
unknown-git = "deny"
allow-registry = ["https://github.com/rust-lang/crates.io-index"]
allow-git = ["https://example.com/allowed"]
"#;

/// Returns the metadata of a crate from crates.io under the MIT licence. Tests change the fields
/// that they are about.
fn package(name: &str, version: &str) -> Value {
    json!({
        "id": format!("{name}@{version}"), "name": name, "version": version, "license": "MIT",
        "source": CRATES_IO, "dependencies": [], "publish": null,
    })
}

/// Returns the violations in a graph of these crates and `syn@1`, which the policy excepts from the
/// rule about duplicates. `edges` are pairs of a crate and a dependency.
fn violations(packages: &[Value], edges: &[(&str, &str)]) -> Vec<String> {
    let packages: Vec<Value> = packages.iter().cloned().chain([package("syn", "1.0.9")]).collect();
    let nodes: Vec<Value> = packages
        .iter()
        .map(|package| {
            let of_package = edges.iter().filter(|(dependent, _)| package["id"] == *dependent);
            let dependencies: Vec<&str> = of_package.map(|(_, dependency)| *dependency).collect();
            json!({ "id": package["id"], "dependencies": dependencies })
        })
        .collect();
    let metadata = json!({ "packages": packages, "resolve": { "nodes": nodes } });
    let graph = Graph::parse(&metadata.to_string()).unwrap();
    find_violations(&Policy::parse(POLICY).unwrap(), &graph)
}

/// Returns a copy of the metadata of a crate with one field changed.
fn with(package: &Value, field: &str, value: Value) -> Value {
    let mut package = package.clone();
    package[field] = value;
    package
}

#[test]
fn repository_policy_is_supported() {
    let text = fs::read_to_string(shell::root().join(super::POLICY)).unwrap();
    Policy::parse(&text).unwrap();
}

#[test]
fn unknown_rule_is_an_error() {
    let text = POLICY.replace("[sources]", "skip-tree = []\n[sources]");
    let error = format!("{:#}", Policy::parse(&text).unwrap_err());
    assert!(error.contains("skip-tree"), "{error}");
    let text = POLICY.replace("wildcards = \"deny\"", "wildcards = \"warn\"");
    let error = format!("{:#}", Policy::parse(&text).unwrap_err());
    assert!(error.contains("warn"), "{error}");
}

#[test]
fn second_version_is_a_violation_unless_it_is_skipped() {
    let packages = [package("app", "0.1.0"), package("log", "0.3.9"), package("log", "0.4.1")];
    let edges = [("app@0.1.0", "log@0.3.9"), ("app@0.1.0", "log@0.4.1")];
    let expected = "log has several versions: 0.3.9 (for app 0.1.0), 0.4.1 (for app 0.1.0); \
                    update a dependent, or skip one version";
    assert_eq!(violations(&packages, &edges), [expected]);
    assert_eq!(violations(&[package("syn", "2.0.1")], &[]), [""; 0]);
    let three = violations(&[package("syn", "2.0.1"), package("syn", "3.0.1")], &[]);
    assert_eq!(three.len(), 1, "{three:?}");
}

#[test]
fn skip_that_matches_no_crate_is_a_violation() {
    let text = POLICY.replace("syn@1", "syn@1.0.1");
    let packages = json!({ "packages": [package("syn", "1.0.10")], "resolve": { "nodes": [] } });
    let graph = Graph::parse(&packages.to_string()).unwrap();
    let findings = find_violations(&Policy::parse(&text).unwrap(), &graph);
    let expected = "the skip of syn@1.0.1 (macros of an old crate) matches no crate; remove it";
    assert_eq!(findings, [expected]);
}

#[test]
fn wildcard_is_a_violation_unless_it_is_a_path_of_a_private_crate() {
    let requirement = |req: &str, path: Value| json!([{ "name": "x", "req": req, "path": path }]);
    let app = with(&package("app", "0.1.0"), "source", Value::Null);
    let private = with(&app, "publish", json!([]));
    let of = |package: &Value, dependencies| {
        violations(&[with(package, "dependencies", dependencies)], &[])
    };
    let expected = ["app 0.1.0 accepts any version of x; name a version"];
    assert_eq!(of(&private, requirement("^1", Value::Null)), [""; 0]);
    assert_eq!(of(&private, requirement("*", json!("../x"))), [""; 0]);
    assert_eq!(of(&private, requirement("*", Value::Null)), expected);
    assert_eq!(of(&app, requirement("*", json!("../x"))), expected);
}

#[test]
fn banned_crate_is_reported_with_its_dependents() {
    let packages = [package("app", "0.1.0"), package("openssl", "0.10.1")];
    let findings = violations(&packages, &[("app@0.1.0", "openssl@0.10.1")]);
    let expected = "openssl 0.10.1 is banned (TLS is rustls); dependents: app 0.1.0";
    assert_eq!(findings, [expected]);
}

#[test]
fn licence_must_be_allowed_or_excepted() {
    let with_license = |name, license| with(&package(name, "1.0.0"), "license", license);
    let of = |name, license| violations(&[with_license(name, license)], &[]);
    assert_eq!(
        of("a", json!("MPL-2.0")),
        ["a 1.0.0 has the licence MPL-2.0, which is not allowed"]
    );
    assert_eq!(of("copyleft", json!("MPL-2.0")), [""; 0]);
    assert_eq!(of("copyleft", json!("GPL-3.0")).len(), 1);
    assert_eq!(of("a", Value::Null), ["a 1.0.0 has no licence expression in its manifest"]);
    assert_eq!(of("a", json!("MIT OR")).len(), 1);
}

#[test]
fn licence_expressions_are_evaluated_by_precedence() {
    let satisfied =
        |expression| is_satisfied(expression, &|license| matches!(license, "MIT" | "ISC"));
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(satisfied(allowed).unwrap(), "{allowed}");
    }
    for forbidden in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT WITH x"] {
        assert!(!satisfied(forbidden).unwrap(), "{forbidden}");
    }
    for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH OR"] {
        assert!(satisfied(broken).is_err(), "{broken}");
    }
}

#[test]
fn source_must_be_allowed_with_or_without_a_commit() {
    let of = |source| violations(&[with(&package("a", "1.0.0"), "source", source)], &[]);
    assert_eq!(of(Value::Null), [""; 0], "a path");
    assert_eq!(of(json!("git+https://example.com/allowed?branch=main#0a1b")), [""; 0]);
    for source in ["git+https://example.com/other#0a1b", "registry+https://example.com/index"] {
        let expected = format!("a 1.0.0 comes from {source}, which is not an allowed source");
        assert_eq!(of(json!(source)), [expected]);
    }
}
