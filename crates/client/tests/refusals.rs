//! Refused connections: servers that are no hubs, keys that are refused, settings that are not
//! valid.

#![expect(clippy::unwrap_used, reason = "part of tests")]

mod fake;

use std::time::Duration;

use fake::FakeHub;
use tickwire_client::{Client, ConnectError, Disconnect, ErrorCode, Event};
use tickwire_protocol::Control;
use tokio::io::AsyncWriteExt;

/// Connects to a server that answers with these bytes, and returns the error.
async fn connect_error(answer: &[u8]) -> ConnectError {
    let hub = FakeHub::start().await;
    let url = hub.url();
    let answering = async {
        let mut stream = hub.accept_tcp().await;
        stream.write_all(answer).await.unwrap();
        stream
    };
    let (client, _stream) = tokio::join!(Client::builder(&url).connect(), answering);
    client.unwrap_err()
}

#[tokio::test]
async fn http_refusal_is_reported_with_its_status() {
    let error =
        connect_error(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(error, ConnectError::Refused { status: 503, .. }), "{error}");
}

#[tokio::test]
async fn server_of_another_protocol_is_no_hub() {
    let error = connect_error(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    assert!(matches!(error, ConnectError::NotAHub { .. }), "{error}");
}

#[tokio::test]
async fn silent_server_times_out() {
    let hub = FakeHub::start().await;
    let timeout = Duration::from_millis(50);
    let connecting = Client::builder(&hub.url()).connect_timeout(timeout).connect().await;
    assert!(matches!(connecting, Err(ConnectError::TimedOut { .. })), "{connecting:?}");
}

#[tokio::test]
async fn port_without_a_listener_is_unreachable() {
    let hub = FakeHub::start().await;
    let url = hub.url();
    drop(hub);
    let error = Client::builder(&url).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn settings_that_are_not_valid_fail_before_connecting() {
    let error = Client::builder("ftp://127.0.0.1:1").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Url { .. }), "{error}");
    let error = Client::builder("ws://127.0.0.1:1").feed("Main").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Feed(_)), "{error}");
    let error = Client::builder("ws://127.0.0.1:1").token("a b").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Token(_)) && error.is_final(), "{error}");
}

const EPOCH: &str = "0000000000000001";

fn rejection(code: ErrorCode, detail: &str) -> Control {
    Control::Error { code, detail: Some(detail.to_owned()), id: None }
}

#[tokio::test]
async fn key_is_sent_and_messages_before_its_acceptance_are_not_lost() {
    let hub = FakeHub::start().await;
    let url = hub.url();
    let accepting = async {
        let (mut session, authorization) = hub.accept_with_key(EPOCH).await;
        session.send(&Control::Authenticated).await;
        (session, authorization)
    };
    let connecting = Client::builder(&url).token("TW1:secret").connect();
    let (client, (_session, authorization)) = tokio::join!(connecting, accepting);
    assert_eq!(authorization.as_deref(), Some("Bearer TW1:secret"));
    let mut client = client.unwrap();
    assert!(matches!(client.next().await, Some(Event::Connected { epoch, .. }) if epoch == EPOCH));
}

#[tokio::test]
async fn refused_key_is_an_error_of_connect() {
    for (code, is_final) in [
        (ErrorCode::AuthFailed, true),
        (ErrorCode::InsufficientSubscription, true),
        (ErrorCode::ConnectionLimit, false),
    ] {
        let hub = FakeHub::start().await;
        let url = hub.url();
        let accepting = async {
            let (mut session, _) = hub.accept_with_key(EPOCH).await;
            session.send(&rejection(code, "held by another")).await;
            session
        };
        let connecting = Client::builder(&url).token("TW1:secret").connect();
        let (client, _session) = tokio::join!(connecting, accepting);
        let error = client.unwrap_err();
        assert_eq!(error.is_final(), is_final, "{error}");
        let text = error.to_string();
        assert!(text.contains(&code.code().to_string()) && text.contains("held by another"));
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn revoked_key_ends_the_stream_once_the_hub_refuses_it() {
    let hub = FakeHub::start().await;
    let url = hub.url();
    let serving = async {
        let (mut session, _) = hub.accept_with_key(EPOCH).await;
        session.send(&Control::Authenticated).await;
        session.close_with_reason(1008, "revoked").await;
        let (mut session, _) = hub.accept_with_key(EPOCH).await;
        session.send(&rejection(ErrorCode::AuthFailed, "no such key")).await;
        session.read_to_end().await;
    };
    let reading = async {
        let mut client = Client::builder(&url).token("TW1:secret").connect().await.unwrap();
        let mut lost = Vec::new();
        while let Some(event) = client.next().await {
            if let Event::Disconnected { reason, retry_in } = event {
                lost.push((reason, retry_in.is_some()));
            }
        }
        lost
    };
    let ((), lost) = tokio::join!(serving, reading);
    let [(first, true), (second, false)] = &lost[..] else { panic!("{lost:?}") };
    assert!(!first.is_final(), "only the rights of the key may have changed");
    let refused = matches!(
        second,
        Disconnect::Refused(ConnectError::KeyRefused { code: ErrorCode::AuthFailed, .. })
    );
    assert!(refused && second.is_final(), "{second}");
}

#[tokio::test]
async fn client_does_not_reconnect_after_a_final_close_reason() {
    for reason in ["auth_timeout", "not_allowed", "replaced"] {
        let hub = FakeHub::start().await;
        let url = hub.url();
        let serving = async {
            hub.accept(EPOCH).await.close_with_reason(1008, reason).await;
        };
        let reading = async {
            let mut client = Client::builder(&url).connect().await.unwrap();
            let mut last = None;
            while let Some(event) = client.next().await {
                last = Some(event);
            }
            last
        };
        let ((), last) = tokio::join!(serving, reading);
        assert!(matches!(last, Some(Event::Disconnected { retry_in: None, .. })), "{last:?}");
    }
}
