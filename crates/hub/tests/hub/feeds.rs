//! How a feed is, as sessions are told.

use serde_json::Value;
use tickwire_hub::Config;

use crate::kit::{Client, Event, PATIENCE, Publisher, TestHub, config, now, trade};

/// The next state of a feed that the client is told.
fn state(client: &mut Client) -> (String, String) {
    let deadline = now() + PATIENCE;
    loop {
        assert!(now() < deadline, "no state of a feed");
        if let Event::Control(element) = client.next()
            && element["T"] == "feed"
        {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            return (text(&element["feed"]), text(&element["state"]));
        }
    }
}

fn expect(client: &mut Client, feed: &str, expected: &str) {
    assert_eq!(state(client), (feed.to_owned(), expected.to_owned()));
}

#[test]
fn sessions_are_told_when_their_feed_comes_falls_silent_and_goes() {
    let hub = TestHub::start(Config { feed_stale_ms: 300, ..config() });
    let mut client = Client::json(&hub);
    let publisher = Publisher::open(&hub);
    expect(&mut client, "main", "stale");
    drop(publisher);
    expect(&mut client, "main", "down");
    let mut publisher = Publisher::open(&hub);
    expect(&mut client, "main", "stale");
    publisher.send(&[trade("AAPL", 1)]);
    expect(&mut client, "main", "live");
    expect(&mut client, "main", "stale");
    let mut late = Client::open(&hub, "/ws", &[]);
    expect(&mut late, "main", "stale");
    publisher.client.send_close(1000);
    for client in [&mut client, &mut late] {
        expect(client, "main", "down");
    }
    let series = |state| format!("tickwire_feed_state{{feed=\"main\",state=\"{state}\"}}");
    assert_eq!(["live", "stale", "down"].map(|state| hub.metric(&series(state))), [0, 0, 1]);
}

#[test]
fn sessions_are_told_of_their_own_feed_only() {
    let hub = TestHub::start(Config { feeds: vec!["main".into(), "test".into()], ..config() });
    let mut main = Client::json(&hub);
    let mut test = Client::open(&hub, "/ws?feed=test", &[]);
    expect(&mut test, "test", "down");
    let _publisher = Client::open(&hub, "/publish?feed=test", &[]);
    expect(&mut test, "test", "stale");
    let _publisher = Publisher::open(&hub);
    expect(&mut main, "main", "stale");
    let status: Value = serde_json::from_str(&hub.get("/api/status").body).unwrap();
    for (place, name) in [(0, "main"), (1, "test")] {
        let feed = &status["feeds"][place];
        assert_eq!((&feed["feed"], &feed["state"]), (&name.into(), &"stale".into()));
        assert_eq!(feed["publishers"], 1);
    }
}
