//! What is no hub is told apart.

#![expect(clippy::unwrap_used, reason = "part of tests")]

mod fake;

use std::time::Duration;

use fake::FakeHub;
use tickwire_client::{Client, ConnectError};
use tokio::io::AsyncWriteExt;

async fn answered(answer: &[u8]) -> ConnectError {
    let hub = FakeHub::start().await;
    let url = hub.url();
    let answering = async {
        let mut stream = hub.accept_bare().await;
        stream.write_all(answer).await.unwrap();
        stream
    };
    let (client, _stream) = tokio::join!(Client::builder(&url).connect(), answering);
    client.unwrap_err()
}

#[tokio::test]
async fn http_refusal_gives_its_status() {
    let error = answered(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(error, ConnectError::Refused { status: 503, .. }), "{error}");
}

#[tokio::test]
async fn another_protocol_is_no_hub() {
    let error = answered(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert!(matches!(error, ConnectError::NotAHub { .. }), "{error}");
}

#[tokio::test]
async fn silent_server_is_given_up() {
    let hub = FakeHub::start().await;
    let within = Duration::from_millis(50);
    let connecting = Client::builder(&hub.url()).connect_within(within).connect().await;
    assert!(matches!(connecting, Err(ConnectError::TimedOut { .. })), "{connecting:?}");
}

#[tokio::test]
async fn port_where_nobody_listens_is_unreachable() {
    let hub = FakeHub::start().await;
    let url = hub.url();
    drop(hub);
    let error = Client::builder(&url).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn unusable_addresses_and_feeds_are_refused_before_connecting() {
    let error = Client::builder("wss://127.0.0.1:1").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Url { .. }), "{error}");
    let error = Client::builder("ws://127.0.0.1:1").feed("Main").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Feed(_)), "{error}");
}
