//! The container image and its documents: safe defaults.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kit::{Running, tickwire};
use tickwire_testkit::until;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Returns the default command of the image.
fn default_command() -> Vec<String> {
    let text = file("Dockerfile");
    let line = text.lines().rev().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    serde_json::from_str(line).unwrap()
}

/// Sends a request, and returns status and body.
fn ask(address: &str, request: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[test]
fn default_command_of_the_image_lets_others_read_but_not_publish() {
    let command = default_command();
    let arguments: Vec<_> =
        command.iter().map(|part| part.replace("0.0.0.0:8080", "127.0.0.1:0")).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = tickwire(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running(child);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    until("the simulated market publishes", || {
        let (status, body) = ask(address, "GET /api/symbols", "");
        assert_eq!(status, "200");
        body.contains("AAPL")
    });
    let tick = r#"[{"T":"t","S":"AAPL","i":1,"x":"V","p":1,"s":1,"c":[],"t":"2026-01-02T14:30:00Z","z":"C"}]"#;
    assert_eq!(ask(address, "POST /publish", tick).0, "401");
    assert_eq!(ask(address, "POST /api/drain", "").0, "403");
}

#[test]
fn every_base_image_is_an_argument() {
    let text = file("Dockerfile");
    for line in text.lines().filter(|line| line.starts_with("FROM ")) {
        let image = line.split(' ').nth(1).unwrap();
        let name = image.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).expect(line);
        assert!(text.lines().any(|line| line.starts_with(&format!("ARG {name}="))), "{line}");
    }
}

/// Returns all documents, with their paths.
fn documents(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push((path.clone(), std::fs::read_to_string(path).unwrap()));
        }
    }
    found
}

#[test]
fn no_example_of_a_document_puts_a_secret_into_the_arguments_of_a_process() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut documents = documents(&root.join("docs"));
    for name in ["README.md", "docker-compose.yml", "Dockerfile"] {
        documents.push((root.join(name), file(name)));
    }
    assert!(documents.len() > 10);
    let secrets = ["--secret ", "--token ", "--publish-token ", "--admin-token ", "Bearer "];
    for (path, text) in documents {
        let commands = text.lines().filter(|line| {
            line.starts_with("tickwire ") || line.contains("curl ") || line.contains("command: ")
        });
        for line in commands {
            let command = line.split("    ").next().unwrap(); // before a comment
            let is_secret = |flag: &&&str| command.contains(**flag);
            assert_eq!(secrets.iter().find(is_secret), None, "{}: {line}", path.display());
        }
    }
}

#[test]
fn compose_file_publishes_on_loopback_only_and_requires_a_key_to_publish() {
    let text = file("docker-compose.yml");
    assert!(!text.contains("--open"), "{text}");
    for line in text.lines().filter(|line| line.trim_start().starts_with("ports:")) {
        assert!(line.contains("\"${TICKWIRE_ADDRESS:-127.0.0.1}:"), "{line}");
    }
}

/// Every setting of the Compose file is in `.env.example` with its default, and the other way
/// round.
#[test]
fn example_of_the_environment_has_the_defaults_of_the_compose_file() {
    let compose = file("docker-compose.yml");
    let used: BTreeSet<_> = compose
        .split("${")
        .skip(1)
        .map(|rest| rest.split_once('}').unwrap().0.split_once(":-").unwrap())
        .collect();
    let example = file(".env.example");
    let settings = example.lines().filter_map(|line| line.strip_prefix("#TICKWIRE_"));
    let settings: Vec<_> = settings.map(|line| format!("TICKWIRE_{line}")).collect();
    let documented: BTreeSet<_> =
        settings.iter().map(|line| line.split_once('=').unwrap()).collect();
    assert_eq!(used, documented);
    assert_eq!(used.len(), 4);
}

/// Compose would otherwise ask a registry for the image, and report an error.
#[test]
fn only_the_hub_builds_the_image_and_no_service_pulls_it() {
    let text = file("docker-compose.yml");
    let policies: Vec<_> =
        text.lines().filter_map(|line| line.trim().strip_prefix("pull_policy: ")).collect();
    let count = |start: &str| policies.iter().filter(|policy| policy.starts_with(start)).count();
    assert_eq!((count("build"), count("never")), (1, 3), "{policies:?}");
    assert!(text.contains("--publisher market"), "the market continues after a restart");
}
