//! Delivery of only the newest ticks, against a hub whose every word is known.

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

/// The next events about ticks, as far as `wanted` goes.
async fn events(client: &mut Client, wanted: usize) -> Vec<String> {
    let mut spelled = Vec::new();
    while spelled.len() < wanted {
        match client.next().await.unwrap() {
            Event::Tick { tick, .. } => spelled.push(tick.seq.0.to_string()),
            Event::Gap { from, to, .. } => {
                spelled.push(format!("gap {}-{}", from.unwrap().0, to.unwrap().0));
            }
            Event::Lagged { from, to, .. } => {
                spelled.push(format!("lagged {}-{}", from.unwrap().0, to.unwrap().0));
            }
            Event::OutOfOrder { seq, .. } => spelled.push(format!("again {}", seq.0)),
            _ => {}
        }
    }
    spelled
}

#[tokio::test]
async fn latest_is_asked_for_with_its_rate_and_again_after_a_cut() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let latest = Delivery::Latest { max_rate: Some(MaxRate::per_second(2.5).unwrap()) };
    let wanted = names(&[Channel::Trades], ["A"]).unwrap();
    client.subscribe_as(wanted.clone(), latest).await.unwrap();
    for epoch in ["one", "two"] {
        let asked = session.subscribed().await;
        assert_eq!((&asked.names, asked.delivery), (&wanted, latest));
        assert_eq!(asked.on_lag, Some(OnLag::Latest));
        session.trades("A", &[3, 9, 9], UnixNanos(1)).await;
        assert_eq!(events(&mut client, 3).await, ["3", "9", "again 9"], "{epoch}");
        drop(session);
        session = hub.accept("two").await;
    }
}

#[tokio::test]
async fn lagging_session_is_told_its_gap_and_may_ask_for_every_tick_again() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let wanted = names(&[Channel::Trades], ["A"]).unwrap();
    client.subscribe(wanted.clone()).await.unwrap();
    session.subscribed().await;
    session.trades("A", &[1, 2], UnixNanos(1)).await;
    let symbol = Symbol::new("A").unwrap();
    let (channel, from, to) = (Channel::Trades, Some(3), Some(7));
    session.say(&Control::Gap { channel, symbol, from, to, lagged: true }).await;
    session.trades("A", &[8, 12], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 5).await, ["1", "2", "lagged 3-7", "8", "12"]);
    client.subscribe(wanted).await.unwrap();
    assert_eq!(session.subscribed().await.delivery, Delivery::Every);
    session.trades("A", &[15, 17], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 3).await, ["15", "gap 16-16", "17"]);
}
