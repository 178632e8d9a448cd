//! Lagging sessions that continue with newest values: `on_lag` `latest`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tickwire_hub::Config;
use tickwire_protocol::{Encoding, Tick};

use crate::kit::{
    Client, Event, PATIENCE, Publisher, TestHub, config, correction, now, seqs, symbols, trade,
    until,
};

/// Age of a backlog at which its session lags. Long enough to act on the backlog before, on a busy
/// machine too.
const AGE_MAX: Duration = Duration::from_secs(2);

fn small_backlog() -> Config {
    Config {
        backlog_ticks_max: 2_000,
        slow_grace: Duration::from_millis(100),
        shards: 1,
        ..config()
    }
}

/// Subscribes to every tick, with `on_lag` `latest`.
fn tolerant(hub: &TestHub, encoding: Encoding, names: &str) -> Client {
    let mut client = Client::session(hub, encoding);
    client.subscribe(&format!(r#"{names},"on_lag":"latest""#));
    client
}

fn downgraded(hub: &TestHub) -> u64 {
    hub.metric("tickwire_downgraded_total")
}

/// A symbol without subscribers.
const UNWANTED: &str = "FLOOD";

/// Publishes messages, numbered from 0, until the session lags. Waits after each message until the
/// shard has applied it, so that nothing is published after the lag. Returns the number of ticks of
/// subscribed symbols.
fn publish_until_downgraded(
    hub: &TestHub,
    publisher: &mut Publisher,
    mut message: impl FnMut(u64) -> Vec<Tick>,
) -> u64 {
    let began = now();
    let mut wanted = 0;
    for number in 0.. {
        let ticks = message(number);
        wanted += ticks.iter().filter(|tick| tick.symbol.as_str() != UNWANTED).count() as u64;
        publisher.publish(&ticks);
        let dealt_with = || {
            let queued = hub.metric("tickwire_backlog_ticks");
            wanted == queued + hub.metric("tickwire_ticks_delivered_total")
        };
        until("dealt with", || downgraded(hub) > 0 || dealt_with());
        if downgraded(hub) > 0 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "never lagged");
    }
    wanted
}

/// The ticks and gaps that a session received, by topic.
#[derive(Debug, Default)]
struct Story {
    /// By letter and symbol: every sequence number received or reported missing, in order.
    covered: BTreeMap<(&'static str, String), Vec<u64>>,
    gaps: Vec<Value>,
}

impl Story {
    fn take(&mut self, event: Event) {
        match event {
            Event::Ticks(ticks) => {
                for tick in ticks {
                    let topic = (tick.channel().letter(), tick.symbol.to_string());
                    self.covered.entry(topic).or_default().push(tick.seq.0);
                }
            }
            other => {
                let gap = other.control();
                if gap["T"] == "subscription" {
                    return;
                }
                assert_eq!(gap["T"], "gap", "{gap}");
                let letter = match gap["channel"].as_str() {
                    Some("trades") => "t",
                    Some("corrections") => "c",
                    other => panic!("channel {other:?}"),
                };
                let topic = (letter, gap["S"].as_str().unwrap().to_owned());
                let covered = self.covered.entry(topic).or_default();
                if let (Some(from), Some(to)) = (gap["from"].as_u64(), gap["to"].as_u64()) {
                    assert!(from <= to, "{gap}");
                    covered.extend(from..=to);
                }
                self.gaps.push(gap);
            }
        }
    }

    fn newest(&self) -> u64 {
        self.covered.values().filter_map(|seqs| seqs.last()).sum()
    }

    /// Asserts that every tick was received or reported missing exactly once, in order.
    fn check(&self) {
        for (topic, covered) in &self.covered {
            for (seq, expected) in covered.iter().zip(1..) {
                assert_eq!(*seq, expected, "{topic:?} of {}", covered.len());
            }
        }
    }
}

#[test]
fn gaps_name_exactly_the_ticks_that_a_lagging_session_misses() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let hub = TestHub::start(small_backlog());
        let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
        let mut client = tolerant(&hub, encoding, r#""trades":["S0","S1","S2","*"]"#);
        let names = symbols(5);
        let published = publish_until_downgraded(&hub, &mut publisher, |number| {
            (0..500).map(|at| trade(&names[at * at % 5], number)).collect()
        });
        assert_eq!(hub.closes("slow_client"), 0);
        let mut story = Story::default();
        while story.newest() < published {
            story.take(client.event());
        }
        story.check();
        assert_eq!(story.gaps.len(), 3, "S2 and S3 never tick: {:?}", story.gaps);
        client.nothing_pending();
    }
}

#[test]
fn lagging_session_stays_on_latest_until_it_subscribes_again() {
    let hub = TestHub::start(small_backlog());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = tolerant(&hub, Encoding::MsgpackArray, r#""trades":["A"],"quotes":["B"]"#);
    publish_until_downgraded(&hub, &mut publisher, |number| vec![trade("A", number); 500]);
    while hub.metric("tickwire_ticks_conflated_total") < 10_000 {
        publisher.publish(&vec![trade("A", 0); 500]);
    }
    let newest = hub.metric("tickwire_ticks_in_total");
    let mut last = 0;
    while last < newest {
        if let Event::Ticks(ticks) = client.event() {
            last = ticks.last().unwrap().seq.0;
        }
    }
    let list = client.ask(r#"{"action":"list"}"#);
    assert_eq!(
        list,
        json!({"T":"subscription","trades":["A"],"quotes":["B"],"total":{"trades":1,"quotes":1},
            "on_lag":"latest","modes":[{"trades":["A"],"quotes":["B"],"delivery":"latest"}]})
    );

    let ack = client.ask(r#"{"action":"subscribe","trades":["A"],"quotes":["B"],"id":7}"#);
    assert_eq!(
        ack,
        json!({"T":"subscription","id":7,"trades":["A"],"quotes":["B"],
            "total":{"trades":1,"quotes":1},"on_lag":"latest"})
    );
    assert_eq!(client.control(), json!({"T":"snapshot","ticks":1}));
    assert_eq!(seqs(&client.take(1)), [newest]);
    assert_eq!(client.control(), json!({"T":"live"}));
    publisher.publish(&vec![trade("A", 0); 1_000]);
    assert_eq!(seqs(&client.take(1_000)), (newest + 1..=newest + 1_000).collect::<Vec<_>>());
    client.nothing_pending();
    assert_eq!(downgraded(&hub), 1);
}

/// Another topic fills the log until the oldest pending tick of the subscribed topic leaves it.
#[test]
fn gap_has_no_start_if_the_log_has_evicted_it() {
    let hub = TestHub::start(Config {
        log_ticks: 5_000,
        ingest_ticks_max: 5_000,
        publish_ticks_max: 5_000,
        backlog_ticks_max: 5_000,
        ..small_backlog()
    });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = tolerant(&hub, Encoding::MsgpackArray, r#""trades":["A"]"#);
    let mut published = 0;
    let mut is_blocked = false;
    publish_until_downgraded(&hub, &mut publisher, |_| {
        is_blocked |= hub.metric("tickwire_backlog_ticks") > 0;
        if is_blocked {
            return vec![trade(UNWANTED, 0); 1_000];
        }
        published += 100;
        vec![trade("A", 0); 100]
    });
    let mut last = 0;
    let gap = loop {
        match client.event() {
            Event::Ticks(ticks) => last = ticks.last().unwrap().seq.0,
            other => break other.control(),
        }
    };
    assert!(last + 1 < published, "{last} of {published}");
    assert_eq!(
        gap,
        json!({"T":"gap","S":"A","channel":"trades","to":published - 1,"delivery":"latest"})
    );
    assert_eq!(seqs(&client.take(1)), [published], "the value of now");
    client.nothing_pending();
}

/// Corrections are never conflated: each refers to a different trade.
#[test]
fn lost_corrections_are_in_gaps_and_later_ones_are_delivered() {
    let hub = TestHub::start(small_backlog());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let names = r#""trades":["A"],"corrections":["*"]"#;
    let mut client = tolerant(&hub, Encoding::MsgpackArray, names);
    let published = publish_until_downgraded(&hub, &mut publisher, |number| {
        (0..250).flat_map(|_| [trade("A", number), correction("A", number)]).collect()
    });
    let mut story = Story::default();
    while story.newest() < published {
        story.take(client.event());
    }
    let corrections = json!("corrections");
    let gap = story.gaps.iter().find(|gap| gap["channel"] == corrections).unwrap();
    assert_eq!(gap["to"], published / 2, "the gap includes the last correction");
    publisher.publish(&vec![correction("A", 0); 300]);
    while story.newest() < published + 300 {
        story.take(client.event());
    }
    story.check();
    assert_eq!(story.gaps.len(), 2, "{:?}", story.gaps);
}

#[test]
fn answers_among_lost_ticks_are_still_delivered() {
    let hub = TestHub::start(small_backlog());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = tolerant(&hub, Encoding::MsgpackArray, r#""trades":["A"]"#);
    let mut asked = false;
    let published = publish_until_downgraded(&hub, &mut publisher, |_| {
        if !asked && hub.metric("tickwire_backlog_ticks") > 0 {
            asked = true;
            client.send(r#"{"action":"subscribe","trades":["B"],"id":5}"#);
            hub.until_metric("tickwire_subscriptions", 2);
        }
        vec![trade("A", 0); 500]
    });
    assert!(asked);
    assert_eq!(client.answer()["id"], 5);
    assert_eq!(client.control(), json!({"T":"snapshot","ticks":0}));
    assert_eq!(client.control(), json!({"T":"live"}));
    assert_eq!(client.control()["T"], "gap");
    assert_eq!(seqs(&client.take(1)), [published]);
    publisher.publish(&[trade("B", 0)]);
    assert_eq!(seqs(&client.take(1)), [1]);
}

/// The session has changed to `latest` before it lags.
#[test]
fn session_that_changes_mode_with_a_backlog_survives_lag() {
    let hub = TestHub::start(Config { backlog_age_max: AGE_MAX, ..small_backlog() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = tolerant(&hub, Encoding::MsgpackArray, r#""trades":["A"]"#);
    let mut asked = false;
    publish_until_downgraded(&hub, &mut publisher, |_| {
        if !asked && hub.metric("tickwire_backlog_ticks") == 0 {
            return vec![trade("A", 0); 100];
        }
        if !std::mem::replace(&mut asked, true) {
            client.send(r#"{"action":"subscribe","trades":["A"],"delivery":"latest","id":5}"#);
        }
        vec![trade(UNWANTED, 0)]
    });
    assert_eq!(client.answer()["id"], 5);
    assert_eq!(client.control(), json!({"T":"snapshot","ticks":1}));
    let newest = client.take(1)[0].seq.0;
    assert_eq!(client.control(), json!({"T":"live"}));
    let gap = client.control();
    assert_eq!(
        (&gap["T"], &gap["to"]),
        (&json!("gap"), &json!(newest)),
        "the gap ends at the snapshot"
    );
    publisher.publish(&[trade("A", 0)]);
    assert_eq!(seqs(&client.take(1)), [newest + 1]);
}

/// Answers fill the socket, and then each topic ticks once, so only newest values are pending.
#[test]
fn session_that_lags_without_losses_is_still_informed() {
    let hub = TestHub::start(Config { backlog_age_max: AGE_MAX, ..small_backlog() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut names = symbols(20_000);
    names.extend(["B".to_owned(), "C".to_owned()]);
    let names = format!(r#""trades":{}"#, json!(names));
    let mut client = tolerant(&hub, Encoding::MsgpackArray, &names);
    (0..50).for_each(|_| client.send(r#"{"action":"list"}"#));
    let published = publish_until_downgraded(&hub, &mut publisher, |_| {
        let is_first = hub.metric("tickwire_backlog_ticks") == 0 && downgraded(&hub) == 0;
        if is_first { vec![trade("B", 0), trade("C", 0)] } else { vec![trade(UNWANTED, 0)] }
    });
    let mut story = Story::default();
    while story.newest() < published {
        story.take(client.event());
    }
    story.check();
    assert_eq!(story.gaps.len(), 1, "{:?}", story.gaps);
}

/// Without a gap element the session would not learn that its names are `latest` now.
#[test]
fn stalled_session_within_its_limits_loses_nothing() {
    let hub = TestHub::start(Config { backlog_age_max: AGE_MAX, ..small_backlog() });
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let names = r#""trades":["A"],"corrections":["*"]"#;
    let mut client = tolerant(&hub, Encoding::MsgpackArray, names);
    publish_until_downgraded(&hub, &mut publisher, |number| vec![trade("A", number); 500]);
    let lagged = now();
    while lagged.elapsed() < 3 * AGE_MAX {
        publisher.publish(&[trade("A", 0)]);
    }
    assert_eq!(downgraded(&hub), 1, "a session without pending ticks does not lag");
    let published = hub.metric("tickwire_ticks_in_total");
    let mut last = 0;
    while last < published {
        if let Event::Ticks(ticks) = client.event() {
            last = ticks.last().unwrap().seq.0;
        }
    }
    client.nothing_pending();
}

#[test]
fn last_on_lag_setting_applies() {
    let hub = TestHub::start(small_backlog());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "market");
    let mut client = tolerant(&hub, Encoding::Json, r#""trades":["A"]"#);
    assert_eq!(client.ask(r#"{"action":"list"}"#)["on_lag"], "latest");
    let ack = client.ask(r#"{"action":"subscribe","trades":["B"],"snapshot":false}"#);
    assert_eq!(ack["on_lag"], "latest", "as it was");
    let ack = client.ask(r#"{"action":"subscribe","trades":["A"],"on_lag":"close"}"#);
    assert_eq!(ack, json!({"T":"subscription","total":{"trades":2}}));
    let began = now();
    while hub.closes("slow_client") == 0 {
        assert!(began.elapsed() < PATIENCE, "never slow");
        publisher.publish(&vec![trade("A", 0); 500]);
    }
    assert_eq!(downgraded(&hub), 0);
}
