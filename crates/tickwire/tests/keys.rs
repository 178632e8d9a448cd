//! `tickwire keys`: creates, lists and revokes keys, which the other commands use.
#![expect(clippy::unwrap_used, reason = "tests")]

mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use kit::{Running, tickwire};
use tempfile::TempDir;

/// A temporary folder for a keys file and token files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keys(&self, arguments: &[&str]) -> Output {
        tickwire(&["keys"]).args(arguments).env("TICKWIRE_KEYS", self.file()).output().unwrap()
    }

    /// Runs `tickwire keys`, which must succeed, and returns its output.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.keys(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Creates a key and returns it as `ID:SECRET`.
    fn add(&self, arguments: &[&str]) -> String {
        let printed = self.done(&[&["add"], arguments].concat());
        let value = |name| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        format!("{}:{}", value("id "), value("secret "))
    }

    /// Runs `tickwire keys`, which must fail with this exit code and leave the file unchanged.
    /// Returns the error message.
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let before = std::fs::read(self.file()).ok();
        let output = self.keys(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert_eq!(std::fs::read(self.file()).ok(), before, "{arguments:?}");
        text
    }

    fn file(&self) -> PathBuf {
        self.path("keys.toml")
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_listed_without_secrets_and_revoked_by_name_or_id() {
    let folder = Folder::new();
    let ann = folder.add(&["ann", "--role", "admin"]);
    let bot = folder.add(&[
        "bot",
        "--feeds",
        "sip,test",
        "--symbols",
        "MSFT,AAPL",
        "--symbols-max",
        "30",
        "--sessions-max",
        "1",
        "--when-full",
        "replace",
    ]);
    assert_eq!(mode(&folder.file()), 0o600);
    let (id, secret) = bot.split_once(':').unwrap();
    assert!(id.len() == 20 && secret.len() == 40, "{bot}");
    let file = std::fs::read_to_string(folder.file()).unwrap();
    assert!(!file.contains(secret) && file.contains(id), "{file}");
    let list = folder.done(&["list"]);
    for part in [id, "bot", "admin", "sip,test", "AAPL,MSFT (at most 30)", "1, newest wins"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let json: serde_json::Value = serde_json::from_str(&folder.done(&["list", "--json"])).unwrap();
    assert_eq!((&json["keys"][1]["id"], &json["anonymous"]), (&id.into(), &"none".into()));
    assert_eq!(json["keys"][1]["symbols"], serde_json::json!(["AAPL", "MSFT"]));
    assert_eq!(folder.done(&["revoke", id]), format!("revoked {id} (bot)\n"));
    folder.done(&["revoke", "ann"]);
    let rest = folder.done(&["list"]);
    assert!(!rest.contains(ann.split(':').next().unwrap()) && !rest.contains(id), "{rest}");
}

#[test]
fn key_is_created_from_an_existing_id_and_secret() {
    let folder = Folder::new();
    let mut adding = tickwire(&["keys", "add", "bot", "--id", "PKOLD", "--secret-stdin"])
        .env("TICKWIRE_KEYS", folder.file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    adding.stdin.take().unwrap().write_all(b"an-old-secret-of-a-bot\n").unwrap();
    let output = adding.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("PKOLD"), "{text}");
    assert!(!text.contains("an-old-secret"), "a given secret is not printed: {text}");
}

#[test]
fn wrong_arguments_are_refused_with_what_is_allowed() {
    let folder = Folder::new();
    for (arguments, part) in [
        (&["add", "x", "--role", "boss"][..], "read, publish or admin"),
        (&["add", "x", "--secret", "short"], "--secret has 5 characters: expected 16 to 128"),
        (&["add", "x", "--id", "a:b"], "letters, digits, _ or -"),
        (&["add", "x", "--id", "oauth"], "another meaning"),
        (&["add", ""], "1 to 64 characters"),
        (&["add", "x", "--symbols", "aapl"], "did you mean AAPL?"),
        (&["add", "x", "--when-full", "replace"], "--sessions-max"),
        (&["add", "x", "--sessions-max", "0"], "--sessions-max"),
    ] {
        let text = folder.refused(arguments, 2);
        assert!(text.contains(part), "{arguments:?}: {part:?} is not in {text}");
        assert!(!folder.file().exists(), "{arguments:?}");
    }
    assert!(folder.refused(&["list"], 1).contains("keys.toml"));
    assert!(folder.refused(&["revoke", "x"], 1).contains("keys.toml"));
    folder.add(&["ann"]);
    assert!(folder.refused(&["add", "ann"], 1).contains("a key ann ("));
    assert!(folder.refused(&["revoke", "bob"], 1).contains("no key \"bob\""));
    let text = folder.refused(&["add", "bob", "--anonymous", "read"], 1);
    assert!(text.contains("--anonymous read"), "{text}");
}

#[test]
fn malformed_keys_file_is_refused_and_left_unchanged() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "[[key]]\nid = \"a\"\n\n[[key]\n").unwrap();
    for arguments in [&["add", "x"][..], &["list"], &["revoke", "a"]] {
        assert!(folder.refused(arguments, 1).contains("line 4"), "{arguments:?}");
    }
}

#[test]
fn key_is_created_only_if_it_is_missing() {
    let folder = Folder::new();
    let token = folder.path("feed.token");
    let path = token.display().to_string();
    let arguments = [
        "add",
        "feed",
        "--role",
        "publish",
        "--if-missing",
        "--anonymous",
        "read",
        "--token-to",
        &path,
    ];
    let printed = folder.done(&arguments);
    let file = std::fs::read(folder.file()).unwrap();
    let shown = std::fs::read_to_string(&token).unwrap();
    assert!(!printed.contains(shown.trim().split_once(':').unwrap().1), "{printed}");
    assert_eq!(mode(&token), 0o600);
    folder.done(&arguments);
    assert_eq!(std::fs::read(folder.file()).unwrap(), file);
    assert_eq!(std::fs::read_to_string(&token).unwrap(), shown);
    assert!(folder.done(&["list"]).contains("Without a key: read"));
    std::fs::remove_file(&token).unwrap();
    let text = folder.refused(&arguments, 1);
    assert!(text.contains("its secret cannot be recovered"), "{text}");
}

#[test]
fn token_that_cannot_be_written_leaves_no_file() {
    let folder = Folder::new();
    let token = folder.path("feed.token");
    // A limit of 0 bytes for files stands for a full disk.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_tickwire")).args(["keys", "add", "feed", "--if-missing"]);
    command.arg("--file").arg(folder.file()).arg("--token-to").arg(&token);
    let text = error_of(&command.output().unwrap());
    assert!(text.contains("--token-to") && text.contains("cannot write the file"), "{text}");
    assert!(!token.exists());
    let path = token.display().to_string();
    folder.done(&["add", "feed", "--if-missing", "--token-to", &path]);
    assert!(std::fs::read_to_string(&token).unwrap().contains(':'));
}

#[test]
fn empty_token_file_of_an_existing_key_is_no_success() {
    let folder = Folder::new();
    folder.add(&["feed"]);
    let token = folder.path("feed.token");
    std::fs::write(&token, "").unwrap();
    let path = token.display().to_string();
    let text = folder.refused(&["add", "feed", "--if-missing", "--token-to", &path], 1);
    assert!(text.contains("its secret cannot be recovered"), "{text}");
}

/// A hub process that logs at the most verbose level.
struct Hub {
    process: Running,
    address: String,
    log: PathBuf,
}

impl Hub {
    fn start(folder: &Folder) -> Self {
        let log = folder.path("log");
        let keys = folder.file().display().to_string();
        let mut process = tickwire(&["hub", "--listen", "127.0.0.1:0", "--keys", &keys])
            .env("TICKWIRE_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { process: Running(process), address, log }
    }

    /// Runs a command that connects to this hub.
    fn run(&self, arguments: &[&str]) -> Output {
        let url = format!("ws://{}", self.address);
        tickwire(arguments).env("TICKWIRE_HUB", url).output().unwrap()
    }

    fn logged(mut self) -> String {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        std::fs::read_to_string(&self.log).unwrap()
    }
}

fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_command_sends_a_key_and_the_hub_never_logs_a_secret() {
    let folder = Folder::new();
    let reader = folder.add(&["reader"]);
    let token = folder.path("feed.token");
    let path = token.display().to_string();
    folder.done(&["add", "feed", "--role", "publish", "--token-to", &path]);
    let hub = Hub::start(&folder);

    let sim = ["feed", "sim", "--symbols", "20", "--rate", "500", "--duration", "60s"];
    let text = error_of(&hub.run(&sim));
    assert!(text.contains("HTTP 401") && text.contains("--token"), "{text}");
    let text = error_of(&hub.run(&[&sim[..], &["--token", &reader]].concat()));
    assert!(text.contains("HTTP 403") && text.contains("key reader"), "{text}");
    let url = format!("ws://{}", hub.address);
    let feeding = tickwire(&[&sim[..], &["--token-file", &path]].concat())
        .env("TICKWIRE_HUB", &url)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _feeding = Running(feeding);

    let watch = ["watch", "*", "--count", "3", "--json"];
    let output = hub.run(&[&watch[..], &["--token", &reader]].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 3);
    let text = error_of(&hub.run(&watch));
    assert!(text.contains("401") && text.contains("--token"), "{text}");
    let wrong = format!("{}x", reader);
    let text = error_of(&hub.run(&[&watch[..], &["--token", &wrong]].concat()));
    assert!(text.contains("402 auth failed") && !text.contains(&wrong), "{text}");

    let load = [
        "load",
        "--connections",
        "5",
        "--per-connection",
        "2",
        "--duration",
        "500ms",
        "--ramp",
        "0s",
    ];
    let output = hub.run(&[&load[..], &["--token", &reader]].concat());
    assert!(output.status.success(), "{output:?}");
    let text = error_of(&hub.run(&load));
    assert!(text.contains("HTTP 401"), "{text}");

    let log = hub.logged();
    assert!(log.contains("wrong key or token"), "it logs at all: {log}");
    let shown = std::fs::read_to_string(&token).unwrap();
    for token in [reader.as_str(), shown.trim()] {
        let (id, secret) = token.split_once(':').unwrap();
        assert!(!log.contains(secret), "the secret of {id} is in the log");
    }
}

#[test]
fn watch_exits_with_the_reason_when_its_key_is_revoked() {
    let folder = Folder::new();
    let token = folder.add(&["reader"]);
    let hub = Hub::start(&folder);
    let mut watching = tickwire(&["watch", "AAPL", "--token", &token])
        .env("TICKWIRE_HUB", format!("ws://{}", hub.address))
        .stderr(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    let mut told = BufReader::new(watching.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("subscribed") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it ended");
    }
    folder.done(&["revoke", "reader"]);
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert_eq!(watching.0.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("revoked") && rest.contains("402 auth failed"), "{rest}");
}

#[test]
fn hub_on_a_reachable_address_requires_keys_or_open() {
    let folder = Folder::new();
    let refused = |arguments: &[&str]| {
        let output = tickwire(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let text = refused(&["hub", "--listen", "0.0.0.0:0"]);
    assert!(text.contains("error: --listen is 0.0.0.0:0: "), "{text}");
    for way in ["--keys FILE", "127.0.0.1", "--open"] {
        assert!(text.contains(way), "{text}");
    }
    assert!(refused(&["demo", "--listen", "0.0.0.0:0"]).contains("--open"));
    folder.add(&["ann"]);
    let keys = folder.file().display().to_string();
    assert!(refused(&["hub", "--keys", &keys, "--open"]).contains("either open or keys"));
    for more in [&["--keys", &keys][..], &["--open"]] {
        let mut command = tickwire(&[&["hub", "--listen", "0.0.0.0:0"], more].concat());
        let running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut running = Running(running);
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on http://0.0.0.0:"), "{more:?}: {line}");
    }
}
