//! Certificate files: errors at start, and reloads.

use std::error::Error;
use std::path::Path;

use tickwire_hub::{Config, Hub};

use super::{encrypting, shake_hands};
use crate::kit::{Client, Publisher, TestHub, config, tls_file, trade, until};

/// Returns the certificate that a new connection receives.
fn shown(hub: &TestHub) -> Vec<u8> {
    shake_hands(hub).conn.peer_certificates().unwrap()[0].to_vec()
}

fn copy(name: &str, to: &Path) {
    std::fs::copy(tls_file(name), to).unwrap();
}

#[test]
fn reloaded_certificate_applies_to_new_connections() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    copy("first.pem", &cert);
    copy("first.key", &key);
    let [tls_cert, tls_key] = [&cert, &key].map(|path| Some(path.clone()));
    let hub = TestHub::start_encrypted(Config { tls_cert, tls_key, ..config() });
    let mut session = Client::msgpack(&hub);
    session.subscribe(r#""trades":["AAPL"]"#);
    let first = shown(&hub);
    copy("second.pem", &cert);
    assert_eq!(shown(&hub), first, "a new certificate without its key is not used");
    copy("second.key", &key);
    until("the second certificate", || shown(&hub) != first);
    Publisher::acknowledged(&hub, "market").0.publish(&[trade("AAPL", 7)]);
    assert_eq!(crate::kit::id_of(&session.take(1)[0]), 7);
}

#[test]
fn unusable_certificate_files_are_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing.pem");
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n")
        .unwrap();
    let [first, first_key, second_key] = ["first.pem", "first.key", "second.key"].map(tls_file);
    for (cert, key, culprit, reason) in [
        (&missing, &first_key, "missing.pem", "No such file"),
        (&first, &missing, "missing.pem", "No such file"),
        (&empty, &first_key, "empty.pem", "BEGIN CERTIFICATE"),
        (&first_key, &first_key, "first.key", "BEGIN CERTIFICATE"),
        (&broken, &first_key, "broken.pem", "base64"),
        (&first, &empty, "empty.pem", "BEGIN PRIVATE KEY"),
        (&first, &first, "first.pem", "BEGIN PRIVATE KEY"),
        (&first, &second_key, "second.key", "KeyMismatch"),
    ] {
        let [tls_cert, tls_key] = [cert, key].map(|path| Some(path.clone()));
        let error = refused(Config { tls_cert, tls_key, ..encrypting() });
        assert!(error.contains(culprit) && error.contains(reason), "{culprit}: {error}");
    }
}

#[test]
fn certificate_without_key_is_refused_at_start() {
    let without_key = refused(Config { tls_key: None, ..encrypting() });
    assert!(without_key.starts_with("tls_cert is set: expected tls_key"), "{without_key}");
    let without_cert = refused(Config { tls_cert: None, ..encrypting() });
    assert!(without_cert.starts_with("tls_key is set: expected tls_cert"), "{without_cert}");
}

/// Returns the error with which a hub fails to start, with all causes.
fn refused(config: Config) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(Hub::start(config)).unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
