//! A client reconnects by itself and continues where it was.

#![expect(clippy::unwrap_used, reason = "part of tests")]

mod fake;

use std::time::Duration;

use fake::FakeHub;
use tickwire_client::{
    Backoff, Channel, Client, Disconnect, Event, Position, ResumeOutcome, Symbol, UnixNanos, names,
};
use tickwire_protocol::{Control, Resume, ResumePoint};

async fn connected(hub: &FakeHub) -> (Client, fake::Session) {
    let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
    let url = hub.url();
    let connecting = Client::builder(&url).backoff(Some(backoff)).connect();
    let (client, session) = tokio::join!(connecting, hub.accept("one"));
    (client.unwrap(), session)
}

/// Returns the next `count` events that are not about the connection, as texts.
async fn events(client: &mut Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match client.next().await.unwrap() {
            Event::Tick { tick, snapshot } => {
                texts.push(format!("{}{}", if snapshot { "snapshot " } else { "" }, tick.seq.0));
            }
            Event::Gap { from, to, .. } => {
                texts.push(format!("gap {}-{}", from.unwrap().0, to.unwrap().0));
            }
            Event::Position(position) => texts.push(position.to_string()),
            _ => {}
        }
    }
    texts
}

#[tokio::test]
async fn reconnect_restores_subscriptions_and_reports_the_gap() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let first = names(&[Channel::Trades], ["A", "B"]).unwrap();
    client.subscribe(first.clone()).await.unwrap();
    assert_eq!(session.answer_subscribe().await.names, first);
    session.send_trades("A", &[1, 2], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 2).await, ["1", "2"]);
    client.unsubscribe(names(&[Channel::Trades], ["B"]).unwrap()).await.unwrap();
    drop(session);

    let mut session = hub.accept("one").await;
    assert_eq!(session.answer_subscribe().await.names, names(&[Channel::Trades], ["A"]).unwrap());
    session.send(&Control::Snapshot { ticks: 1 }).await;
    session.send_trades("A", &[5], UnixNanos(1)).await;
    session.send(&Control::Live).await;
    session.send_trades("A", &[6], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 3).await, ["gap 3-5", "snapshot 5", "6"]);
    drop(session);

    let mut session = hub.accept("two").await;
    session.answer_subscribe().await;
    session.send_trades("A", &[1, 2], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 2).await, ["1", "2"], "another epoch has no gap");
}

#[tokio::test]
async fn session_resumes_after_a_reconnect_and_an_application_after_its_restart() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let trades = names(&[Channel::Trades], ["A"]).unwrap();
    client.subscribe(trades.clone()).await.unwrap();
    let request = session.answer_subscribe_at(Some(10), None).await;
    assert_eq!((request.pos, request.resume), (true, None));
    session.send_trades_to_position("A", &[1, 2], UnixNanos(1), Some(14)).await;
    assert_eq!(events(&mut client, 4).await, ["one:10", "1", "2", "one:14"]);
    drop(session);

    let mut session = hub.accept("one").await;
    let after = |pos| Some(Resume { epoch: "one".to_owned(), point: ResumePoint::Position(pos) });
    let request = session.answer_subscribe_at(Some(14), Some(ResumeOutcome::Gap)).await;
    assert_eq!((&request.names, request.resume), (&trades, after(14)));
    let symbol = Symbol::new("A").unwrap();
    let channel = Channel::Trades;
    session.send(&Control::Gap { channel, symbol, from: None, to: Some(4), lagged: false }).await;
    session.send_trades_to_position("A", &[5], UnixNanos(1), Some(30)).await;
    assert_eq!(events(&mut client, 3).await, ["gap 3-4", "5", "one:30"]);
    client.close().await;

    let position: Position = "one:30".parse().unwrap();
    let url = hub.url();
    let session = hub.accept("one");
    let (client, mut session) = tokio::join!(Client::builder(&url).connect(), session);
    let mut client = client.unwrap();
    client.resume(trades, &position).await.unwrap();
    assert_eq!(
        session.answer_subscribe_at(Some(30), Some(ResumeOutcome::Complete)).await.resume,
        after(30)
    );
    session.send_trades_to_position("A", &[6], UnixNanos(1), Some(31)).await;
    assert_eq!(events(&mut client, 3).await, ["one:30", "6", "one:31"]);
}

#[tokio::test]
async fn close_code_and_reason_are_reported() {
    let hub = FakeHub::start().await;
    let (mut client, session) = connected(&hub).await;
    let closing = tokio::spawn(session.close(1008));
    let reason = loop {
        if let Event::Disconnected { reason, retry_in: Some(_) } = client.next().await.unwrap() {
            break reason;
        }
    };
    assert_eq!(reason.to_string(), "closed by the hub (1008 test)");
    assert!(matches!(reason, Disconnect::Closed { code: Some(1008), .. }));
    closing.await.unwrap();
}

#[tokio::test]
async fn dropped_client_closes_its_connection() {
    let hub = FakeHub::start().await;
    let (client, mut session) = connected(&hub).await;
    drop(client);
    session.read_to_end().await;
}
