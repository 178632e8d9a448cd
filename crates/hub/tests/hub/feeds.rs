//! Feed states as sessions receive them.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use tickwire_hub::Config;

use crate::kit::{
    Client, Event, OPEN_TEXT, PATIENCE, Publisher, TestHub, config, masked, now, trade,
};

/// Returns the next feed state that the client receives.
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
fn sessions_learn_that_their_feed_is_live_stale_or_down() {
    let hub = TestHub::start(Config { feed_stale_after: Duration::from_secs(3), ..config() });
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
fn ticks_lost_at_the_source_are_reported_exactly_once() {
    let hub = TestHub::default();
    let mut client = Client::json(&hub);
    let (mut older, _) = Publisher::acknowledged(&hub, "one");
    older.client.send_frame(OPEN_TEXT, br#"[{"T":"lost","ticks":5},{"T":"mark","mark":"a"}]"#);
    older.number += 1;
    older.settle();
    let (mut newer, mark) = Publisher::acknowledged(&hub, "one");
    assert_eq!(mark.as_deref(), Some("a"), "a message without ticks carries a mark too");
    let fenced = masked(OPEN_TEXT, br#"[{"T":"lost","ticks":100}]"#);
    let _may_be_closed = older.client.stream.write_all(&fenced);
    newer.client.send_frame(OPEN_TEXT, br#"[{"T":"lost","ticks":2}]"#);
    newer.number += 1;
    newer.settle();
    assert_eq!(hub.post("/publish", r#"[{"T":"lost","ticks":1}]"#).status, 200);
    let deadline = now() + PATIENCE;
    let mut told = 0;
    while told < 8 {
        assert!(now() < deadline, "told of {told}");
        if let Event::Control(element) = client.next()
            && element["T"] == "feed"
        {
            let lost = element["lost"].as_u64().unwrap_or_default();
            assert!(lost >= told, "{lost} after {told}");
            told = lost;
        }
    }
    assert_eq!((told, hub.metric(r#"tickwire_feed_lost_ticks_total{feed="main"}"#)), (8, 8));
}

#[test]
fn sessions_learn_only_of_their_own_feed() {
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
