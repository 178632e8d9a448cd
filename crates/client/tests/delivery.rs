//! Delivery `latest` and lagging sessions.

#![expect(clippy::unwrap_used, reason = "part of tests")]

mod fake;

use std::time::Duration;

use fake::{FakeHub, Session};
use tickwire_client::{
    Backoff, Channel, Client, Delivery, Event, MaxRate, OnLag, Symbol, UnixNanos, names,
};
use tickwire_protocol::Control;

async fn connected(hub: &FakeHub) -> (Client, Session) {
    let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
    let url = hub.url();
    let builder = Client::builder(&url).backoff(Some(backoff)).on_lag(OnLag::Latest);
    let (client, session) = tokio::join!(builder.connect(), hub.accept("one"));
    (client.unwrap(), session)
}

/// Returns the next `count` events about ticks, as texts.
async fn events(client: &mut Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match client.next().await.unwrap() {
            Event::Tick { tick, .. } => texts.push(tick.seq.0.to_string()),
            Event::Gap { from, to, .. } => {
                texts.push(format!("gap {}-{}", from.unwrap().0, to.unwrap().0));
            }
            Event::Lagged { from, to, .. } => {
                texts.push(format!("lagged {}-{}", from.unwrap().0, to.unwrap().0));
            }
            Event::OutOfOrder { seq, .. } => texts.push(format!("out of order {}", seq.0)),
            _ => {}
        }
    }
    texts
}

#[tokio::test]
async fn reconnect_restores_delivery_latest_with_its_rate() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let latest = Delivery::Latest { max_rate: Some(MaxRate::per_second(2.5).unwrap()) };
    let trades = names(&[Channel::Trades], ["A"]).unwrap();
    client.subscribe_as(trades.clone(), latest).await.unwrap();
    for epoch in ["one", "two"] {
        let request = session.answer_subscribe().await;
        assert_eq!((&request.names, request.delivery), (&trades, latest));
        assert_eq!(request.on_lag, Some(OnLag::Latest));
        session.send_trades("A", &[3, 9, 9], UnixNanos(1)).await;
        assert_eq!(events(&mut client, 3).await, ["3", "9", "out of order 9"], "{epoch}");
        drop(session);
        session = hub.accept("two").await;
    }
}

#[tokio::test]
async fn lagging_session_reports_its_gap_and_can_return_to_every() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let trades = names(&[Channel::Trades], ["A"]).unwrap();
    client.subscribe(trades.clone()).await.unwrap();
    session.answer_subscribe().await;
    session.send_trades("A", &[1, 2], UnixNanos(1)).await;
    let symbol = Symbol::new("A").unwrap();
    let channel = Channel::Trades;
    let from = Some(3);
    let to = Some(7);
    session.send(&Control::Gap { channel, symbol, from, to, lagged: true }).await;
    session.send_trades("A", &[8, 12], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 5).await, ["1", "2", "lagged 3-7", "8", "12"]);
    client.subscribe(trades).await.unwrap();
    assert_eq!(session.answer_subscribe().await.delivery, Delivery::Every);
    session.send_trades("A", &[15, 17], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 3).await, ["15", "gap 16-16", "17"]);
}
