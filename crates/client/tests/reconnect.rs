//! A connection that is cut comes back by itself.

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

/// The next events that are not about the connection, as far as `wanted` goes.
async fn events(client: &mut Client, wanted: usize) -> Vec<String> {
    let mut spelled = Vec::new();
    while spelled.len() < wanted {
        match client.next().await.unwrap() {
            Event::Tick { tick, snapshot } => {
                spelled.push(format!("{}{}", if snapshot { "snapshot " } else { "" }, tick.seq.0));
            }
            Event::Gap { from, to, .. } => {
                spelled.push(format!("gap {}-{}", from.unwrap().0, to.unwrap().0));
            }
            Event::Position(position) => spelled.push(position.to_string()),
            _ => {}
        }
    }
    spelled
}

#[tokio::test]
async fn subscriptions_come_back_after_a_cut_and_the_gap_is_told() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let first = names(&[Channel::Trades], ["A", "B"]).unwrap();
    client.subscribe(first.clone()).await.unwrap();
    assert_eq!(session.subscribed().await.names, first);
    session.trades("A", &[1, 2], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 2).await, ["1", "2"]);
    client.unsubscribe(names(&[Channel::Trades], ["B"]).unwrap()).await.unwrap();
    drop(session);

    let mut session = hub.accept("one").await;
    assert_eq!(session.subscribed().await.names, names(&[Channel::Trades], ["A"]).unwrap());
    session.say(&Control::Snapshot { ticks: 1 }).await;
    session.trades("A", &[5], UnixNanos(1)).await;
    session.say(&Control::Live).await;
    session.trades("A", &[6], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 3).await, ["gap 3-5", "snapshot 5", "6"]);
    drop(session);

    let mut session = hub.accept("two").await;
    session.subscribed().await;
    session.trades("A", &[1, 2], UnixNanos(1)).await;
    assert_eq!(events(&mut client, 2).await, ["1", "2"], "another epoch has no gap");
}

#[tokio::test]
async fn session_continues_over_cuts_and_an_application_over_its_restart() {
    let hub = FakeHub::start().await;
    let (mut client, mut session) = connected(&hub).await;
    let wanted = names(&[Channel::Trades], ["A"]).unwrap();
    client.subscribe(wanted.clone()).await.unwrap();
    let asked = session.begun(Some(10), None).await;
    assert_eq!((asked.pos, asked.resume), (true, None));
    session.positioned("A", &[1, 2], UnixNanos(1), Some(14)).await;
    assert_eq!(events(&mut client, 4).await, ["one:10", "1", "2", "one:14"]);
    drop(session);

    let mut session = hub.accept("one").await;
    let behind = |pos| Some(Resume { epoch: "one".to_owned(), point: ResumePoint::Position(pos) });
    let asked = session.begun(Some(14), Some(ResumeOutcome::Gap)).await;
    assert_eq!((&asked.names, asked.resume), (&wanted, behind(14)));
    let (symbol, channel) = (Symbol::new("A").unwrap(), Channel::Trades);
    session.say(&Control::Gap { channel, symbol, from: None, to: Some(4), lagged: false }).await;
    session.positioned("A", &[5], UnixNanos(1), Some(30)).await;
    assert_eq!(events(&mut client, 3).await, ["gap 3-4", "5", "one:30"]);
    client.close().await;

    let position: Position = "one:30".parse().unwrap();
    let (url, session) = (hub.url(), hub.accept("one"));
    let (client, mut session) = tokio::join!(Client::builder(&url).connect(), session);
    let mut client = client.unwrap();
    client.resume(wanted, &position).await.unwrap();
    assert_eq!(session.begun(Some(30), Some(ResumeOutcome::Complete)).await.resume, behind(30));
    session.positioned("A", &[6], UnixNanos(1), Some(31)).await;
    assert_eq!(events(&mut client, 3).await, ["one:30", "6", "one:31"]);
}

#[tokio::test]
async fn close_code_of_the_hub_is_told() {
    let hub = FakeHub::start().await;
    let (mut client, session) = connected(&hub).await;
    let closing = tokio::spawn(session.close(1008));
    let reason = loop {
        if let Event::Disconnected { reason, retry_in: Some(_) } = client.next().await.unwrap() {
            break reason;
        }
    };
    assert_eq!(reason.to_string(), "closed by the hub (1008 told to)");
    assert!(matches!(reason, Disconnect::Closed { code: Some(1008), .. }));
    closing.await.unwrap();
}

#[tokio::test]
async fn dropped_client_leaves() {
    let hub = FakeHub::start().await;
    let (client, mut session) = connected(&hub).await;
    drop(client);
    session.until_gone().await;
}
