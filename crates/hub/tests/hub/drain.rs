//! The drain: sessions are closed one after the other, with the time to stay away.

use std::collections::BTreeSet;

use std::time::{Duration, Instant};

use tickwire_hub::Config;

use crate::kit::{
    Client, Event, Publisher, TestHub, config, now, seqs, trade, until, upgrade_request,
};

/// Reads a session until its close. Returns the time of the close, the last tick before it, and the
/// close.
fn reading(hub: &TestHub) -> std::thread::JoinHandle<(Instant, u64, Event)> {
    let mut client = Client::msgpack(hub);
    client.subscribe(r#""trades":["AAPL"]"#);
    std::thread::spawn(move || {
        let mut last = 0;
        loop {
            match client.event() {
                Event::Ticks(ticks) => {
                    let came = seqs(&ticks);
                    assert_eq!(came, (last + 1..=last + came.len() as u64).collect::<Vec<_>>());
                    last += came.len() as u64;
                }
                end => {
                    let at = now();
                    client.send_close(1001);
                    client.gone();
                    return (at, last, end);
                }
            }
        }
    })
}

/// Publishes until the hub closes the publisher. Returns the number of ticks and the close.
fn publishing(mut publisher: Publisher) -> (u64, Event) {
    let mut published = 0;
    loop {
        publisher.send(&[trade("AAPL", published)]);
        match publisher.client.event() {
            Event::Control(ack) => {
                assert_eq!(ack["T"], "ack", "{ack}");
                assert_eq!(ack["up_to"], publisher.number, "{ack}");
                published += 1;
            }
            end => return (published, end),
        }
    }
}

#[test]
fn sessions_are_closed_over_the_drain_with_every_tick_until_then() {
    const SESSIONS: usize = 50;
    let drain_duration = Duration::from_secs(3);
    let mut hub =
        TestHub::start(Config { drain_duration, slow_grace: Duration::from_secs(60), ..config() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let sessions: Vec<_> = (0..SESSIONS).map(|_| reading(&hub)).collect();
    publisher.publish(&[trade("AAPL", 0), trade("AAPL", 1)]);
    let publishing = std::thread::spawn(|| publishing(publisher));
    let ended = hub.begin_shutdown();
    let ends: Vec<_> = sessions.into_iter().map(|session| session.join().unwrap()).collect();
    let (published, end) = publishing.join().unwrap();
    let times = || ends.iter().map(|(at, ..)| *at);
    let over = times().max().unwrap() - times().min().unwrap();
    // Readers of a busy machine see their close late, which brings the first and the last together.
    assert!(over > drain_duration / 10, "all within {over:?}");
    let lasts: BTreeSet<_> = ends.iter().map(|(_, last, _)| *last).collect();
    assert!(*lasts.first().unwrap() >= 2, "ticks from before the drain arrive");
    assert!(
        *lasts.last().unwrap() <= published + 3,
        "at most one message is taken and not acknowledged"
    );
    assert!(lasts.len() > 3, "open sessions still receive ticks: {lasts:?}");
    let mut order: Vec<_> = (0..SESSIONS).collect();
    order.sort_by_key(|session| ends[*session].0);
    assert!(!order.is_sorted(), "in random order");
    for (.., end) in &ends {
        assert_eq!(end.retry_ms(), Some(4_000), "{end:?}");
    }
    assert_eq!(end.retry_ms(), Some(1_000), "its drain is over");
    hub.block_on(ended).unwrap();
}

#[test]
fn draining_hub_is_not_ready_and_refuses_sessions_but_answers_requests() {
    let token = "let-me-drain";
    let mut hub = TestHub::start(Config {
        drain_duration: Duration::from_secs(60),
        admin_token: Some(token.to_owned()),
        ..config()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let sessions: Vec<_> = (0..20).map(|_| Client::json(&hub)).collect();
    let authorization = format!("Bearer {token}");
    let asked = || {
        let headers = [("Authorization", authorization.as_str())];
        hub.request("POST", "/api/drain", &headers, "")
    };
    assert_eq!(asked().status, 202);
    hub.drain_requested();
    assert_eq!(asked().status, 202, "a second request is accepted too");
    for path in ["/healthz", "/metrics", "/api/status"] {
        assert_eq!(hub.get(path).status, 200, "{path}");
    }
    assert_eq!(hub.get("/readyz").status, 503);
    assert_eq!(hub.metric("tickwire_draining"), 1);
    assert!(hub.get("/api/status").body.contains(r#""draining":true"#));
    for path in ["/ws", "/publish"] {
        let request = upgrade_request(hub.address, path, &[("Connection", "close")]);
        let refused = crate::kit::exchange(hub.address, request.as_bytes());
        assert_eq!(refused.status, 503, "{path}: {refused:?}");
        assert!(refused.head.contains("retry-after: 61"), "{path}: {refused:?}");
    }
    assert_eq!(hub.post("/publish", "[]").status, 503);
    publisher.publish(&[trade("AAPL", 1)]); // a connected publisher is still served
    drop(sessions);
    let ended = hub.begin_shutdown();
    assert!(publisher.client.closed().retry_ms().is_some());
    until("the hub has ended after its last session", || ended.is_finished());
}

#[test]
fn drain_requires_the_admin_token() {
    let ask = |hub: &TestHub, headers: &[_]| hub.request("POST", "/api/drain", headers, "");
    let hub = TestHub::default();
    let refused = ask(&hub, &[("Authorization", "Bearer anything")]);
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("--admin-token"), "{refused:?}");
    let hub = TestHub::start(Config {
        admin_token: Some("let-me-drain".to_owned()),
        publish_token: Some("let-me-publish".to_owned()),
        ..config()
    });
    assert_eq!(ask(&hub, &[]).status, 401);
    assert_eq!(ask(&hub, &[("Authorization", "Bearer let-me-publish")]).status, 401);
    let shown = ("Authorization", "Bearer let-me-drain");
    assert_eq!(ask(&hub, &[shown, ("Origin", "https://elsewhere.example")]).status, 403);
    assert_eq!(hub.request("GET", "/api/drain", &[shown], "").status, 405);
    assert_eq!(hub.get("/readyz").status, 200);
    assert_eq!(ask(&hub, &[shown]).status, 202);
    hub.drain_requested();
}

#[test]
fn drain_ends_with_the_last_session() {
    let mut hub = TestHub::start(Config { drain_duration: Duration::from_secs(60), ..config() });
    let sessions: Vec<_> = (0..20).map(|_| Client::json(&hub)).collect();
    let ended = hub.begin_shutdown();
    drop(sessions);
    until("the hub has ended", || ended.is_finished());
}
