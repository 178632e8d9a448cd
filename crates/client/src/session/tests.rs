mod model;
mod resume;

use super::*;
use crate::names;
use crate::subscriptions::SubscribeOptions;
use tickwire_protocol::{
    Channel, Delivery, ErrorCode, FeedState, MessageBuf, OnLag, PerChannel, Resume, ResumeOutcome,
    ResumePoint, SubscribeRequest, Symbol, TickData, Trade, UnixNanos,
};

const TRADES: &[Channel] = &[Channel::Trades];
const LATEST: Delivery = Delivery::Latest { max_rate: None };

fn subscribe(delivery: Delivery) -> Change {
    Change::Subscribe(SubscribeOptions { delivery, start: Start::Now })
}

fn tick(symbol: &str, seq: u64) -> Tick {
    let symbol = Symbol::new(symbol).unwrap();
    Tick { symbol, seq: Seq(seq), time: UnixNanos(1), data: TickData::Trade(Trade::default()) }
}

/// Drives a session with messages of a hub in one encoding.
struct Harness {
    session: Session,
    encoding: Encoding,
}

impl Harness {
    fn control(&mut self, control: &Control) -> Vec<Event> {
        let mut bytes = Vec::new();
        control.write_message(self.encoding, &mut bytes);
        self.bytes(&bytes)
    }

    fn ticks(&mut self, ticks: &[(&str, u64)]) -> Vec<Event> {
        let mut message = MessageBuf::new(self.encoding);
        for (symbol, seq) in ticks {
            message.push(&tick(symbol, *seq));
        }
        let bytes = message.finish().to_vec();
        self.bytes(&bytes)
    }

    /// Sends trades and the position after them in one message.
    fn ticks_to_position(&mut self, ticks: &[(&str, u64)], pos: u64) -> Vec<Event> {
        let mut message = MessageBuf::new(self.encoding);
        for (symbol, seq) in ticks {
            message.push(&tick(symbol, *seq));
        }
        message.push_position(pos);
        let bytes = message.finish().to_vec();
        self.bytes(&bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        self.session.on_message(bytes, self.encoding, &mut events).unwrap();
        events
    }

    /// Subscribes to trades of symbols with this delivery, and answers as the hub does.
    fn subscribe_and_answer(
        &mut self,
        id: u64,
        symbols: &[&str],
        delivery: Delivery,
    ) -> Vec<Event> {
        let names = names(TRADES, symbols.iter().copied()).unwrap();
        let change = subscribe(delivery);
        self.session.on_request(&Request { id, change, names: names.clone() });
        self.answer_last(delivery, names)
    }

    /// Answers the last command as the hub does.
    fn answer_last(&mut self, delivery: Delivery, names: SubscriptionSet) -> Vec<Event> {
        self.answer_command(self.session.sent, delivery, names, None, None)
    }

    /// Answers a command with the position at which its names start.
    fn answer_command(
        &mut self,
        number: u64,
        delivery: Delivery,
        names: SubscriptionSet,
        pos: Option<u64>,
        resumed: Option<ResumeOutcome>,
    ) -> Vec<Event> {
        self.control(&Control::Subscription {
            id: Some(number),
            names: Box::new(names),
            total: PerChannel::default(),
            delivery,
            on_lag: OnLag::Close,
            modes: Vec::new(),
            pos,
            resumed,
            from: None,
        })
    }

    /// Announces a gap.
    fn gap(&mut self, symbol: &str, from: Option<u64>, to: Option<u64>) -> Vec<Event> {
        self.announce(symbol, from, to, false)
    }

    /// Announces a gap because the session lagged.
    fn lag(&mut self, symbol: &str, from: Option<u64>, to: Option<u64>) -> Vec<Event> {
        self.announce(symbol, from, to, true)
    }

    fn announce(
        &mut self,
        symbol: &str,
        from: Option<u64>,
        to: Option<u64>,
        lagged: bool,
    ) -> Vec<Event> {
        let symbol = Symbol::new(symbol).unwrap();
        self.control(&Control::Gap { channel: Channel::Trades, symbol, from, to, lagged })
    }

    fn subscribe(&mut self, id: u64, symbols: &[&str]) -> Vec<String> {
        let names = names(TRADES, symbols.iter().copied()).unwrap();
        self.session.on_request(&Request { id, change: subscribe(Delivery::Every), names })
    }

    fn set_epoch(&mut self, epoch: &str) {
        self.control(&Control::Connected { epoch: Some(epoch.to_owned()) });
    }

    /// Loses the connection and opens another. Returns the commands that the client sends.
    fn reopen(&mut self) -> Vec<String> {
        self.session.on_close();
        self.session.on_open()
    }
}

/// Returns a harness with an open connection to epoch `one`.
fn harness(encoding: Encoding) -> Harness {
    let mut session = Session::new(None, None);
    assert!(session.on_open().is_empty());
    let mut harness = Harness { session, encoding };
    harness.set_epoch("one");
    harness
}

/// Formats events shortly, to compare them.
fn format_events(events: &[Event]) -> Vec<String> {
    let formatted = events.iter().map(|event| match event {
        Event::Tick { tick, snapshot } => {
            format!("{}{}{}", if *snapshot { "snapshot " } else { "" }, tick.symbol, tick.seq.0)
        }
        Event::Gap { topic, from, to } => {
            let number = |seq: &Option<Seq>| seq.map_or("?".to_owned(), |seq| seq.0.to_string());
            format!("gap {topic} {}-{}", number(from), number(to))
        }
        Event::Position(position) => position.to_string(),
        Event::OutOfOrder { topic, seq, expected } => {
            format!("{topic} {} instead of {}", seq.0, expected.0)
        }
        Event::Lagged { topic, from, to } => {
            format!("lagged {topic} {:?}-{:?}", from.map(|seq| seq.0), to.map(|seq| seq.0))
        }
        other => format!("{other:?}"),
    });
    formatted.collect()
}

#[test]
fn gap_is_reported_once_before_the_next_tick() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut harness = harness(encoding);
        let events = harness.ticks(&[("A", 1), ("A", 4), ("A", 5), ("B", 9)]);
        assert_eq!(format_events(&events), ["A1", "gap A trades 2-3", "A4", "A5", "B9"]);
    }
}

#[test]
fn repeated_tick_is_reported_and_not_delivered() {
    let mut harness = harness(Encoding::MsgpackArray);
    let events = harness.ticks(&[("A", 1), ("A", 2), ("A", 2), ("A", 3)]);
    assert_eq!(format_events(&events), ["A1", "A2", "A trades 2 instead of 3", "A3"]);
}

#[test]
fn ticks_between_snapshot_and_live_are_marked_and_set_the_base() {
    let mut harness = harness(Encoding::Json);
    harness.control(&Control::Snapshot { ticks: 1 });
    assert_eq!(format_events(&harness.ticks(&[("A", 7)])), ["snapshot A7"]);
    harness.control(&Control::Live);
    assert_eq!(format_events(&harness.ticks(&[("A", 9)])), ["gap A trades 8-8", "A9"]);
}

#[test]
fn reconnect_subscribes_to_everything_again() {
    let mut harness = harness(Encoding::Json);
    let commands = harness.subscribe(1, &["A"]);
    assert_eq!(commands, [r#"{"action":"subscribe","id":1,"trades":["A"],"pos":true}"#]);
    harness.subscribe(2, &["B", "*"]);
    harness.session.on_close();
    assert!(harness.subscribe(3, &["C"]).is_empty(), "there is no connection to send on");
    let again = harness.session.on_open();
    assert_eq!(again, [r#"{"action":"subscribe","id":3,"trades":["*","A","B","C"],"pos":true}"#]);
}

#[test]
fn gap_across_a_reconnect_is_found_within_one_epoch_only() {
    let mut harness = harness(Encoding::MsgpackArray);
    harness.subscribe(1, &["A"]);
    harness.ticks(&[("A", 5)]);
    harness.reopen();
    harness.set_epoch("one");
    harness.control(&Control::Snapshot { ticks: 1 });
    assert_eq!(format_events(&harness.ticks(&[("A", 8)])), ["gap A trades 6-8", "snapshot A8"]);
    harness.control(&Control::Live);
    harness.reopen();
    harness.set_epoch("two");
    assert_eq!(format_events(&harness.ticks(&[("A", 1), ("A", 2)])), ["A1", "A2"]);
}

#[test]
fn snapshot_ends_with_the_connection() {
    let mut harness = harness(Encoding::Json);
    harness.control(&Control::Snapshot { ticks: 2 });
    harness.reopen();
    assert_eq!(format_events(&harness.ticks(&[("A", 1)])), ["A1"]);
}

#[test]
fn rejected_names_are_not_subscribed_to_again() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe(1, &["A"]);
    harness.subscribe(2, &["A", "B"]);
    let rejection = Control::Error { code: ErrorCode::SymbolLimit, detail: None, id: Some(2) };
    let events = harness.control(&rejection);
    assert!(matches!(events[..], [Event::Error { id: Some(2), .. }]), "{events:?}");
    assert_eq!(harness.reopen(), [r#"{"action":"subscribe","id":3,"trades":["A"],"pos":true}"#]);
}

#[test]
fn topic_has_no_gap_after_an_unsubscribe() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe(1, &["A"]);
    harness.ticks(&[("A", 1)]);
    let names = names(TRADES, ["A"]).unwrap();
    harness.session.on_request(&Request {
        id: 2,
        change: Change::Unsubscribe,
        names: names.clone(),
    });
    harness.ticks(&[("A", 2)]);
    let events = harness.answer_last(Delivery::Every, names);
    assert!(matches!(events[..], [Event::Subscribed { id: Some(2), .. }]), "{events:?}");
    harness.subscribe(3, &["A"]);
    assert_eq!(format_events(&harness.ticks(&[("A", 9)])), ["A9"]);
}

#[test]
fn pending_commands_are_bounded() {
    let mut harness = harness(Encoding::Json);
    for id in 0..PENDING_MAX as u64 {
        assert!(harness.session.has_room());
        harness.subscribe(id, &["A"]);
    }
    assert!(!harness.session.has_room());
    harness.session.on_close();
    assert!(harness.session.has_room());
}

#[test]
fn view_is_reported_with_the_first_feed_element_and_when_it_changes() {
    let mut harness = harness(Encoding::Json);
    let mut views = |view: Option<&str>, delay_ms| {
        let events = harness.control(&Control::Feed {
            feed: Feed::default(),
            state: FeedState::Live,
            since: UnixNanos(1),
            lost: 0,
            view: view.map(str::to_owned),
            delay_ms,
        });
        let view = events.iter().find_map(|event| match event {
            Event::View { view, delay } => Some((view.clone(), *delay)),
            _ => None,
        });
        assert!(matches!(events.last(), Some(Event::Feed { .. })));
        view
    };
    assert_eq!(views(None, 0), None, "the view is the feed");
    let delayed = ("late".to_owned(), Duration::from_secs(900));
    assert_eq!(views(Some("late"), 900_000), Some(delayed));
    assert_eq!(views(Some("late"), 900_000), None);
    assert_eq!(views(None, 0), Some(("main".to_owned(), Duration::ZERO)));
}

#[test]
fn malformed_message_is_an_error_and_gives_no_events() {
    let mut harness = harness(Encoding::MsgpackArray);
    let mut events = Vec::new();
    let result = harness.session.on_message(b"[{]", Encoding::Json, &mut events);
    assert!(result.is_err());
    assert!(events.is_empty());
}

#[test]
fn topic_of_latest_may_jump_but_not_repeat() {
    let mut harness = harness(Encoding::MsgpackArray);
    let events = harness.subscribe_and_answer(1, &["A"], LATEST);
    assert!(matches!(events[..], [Event::Subscribed { id: Some(1), delivery: LATEST, .. }]));
    harness.subscribe_and_answer(2, &["B"], Delivery::Every);
    let events = harness.ticks(&[("A", 1), ("A", 9), ("A", 9), ("B", 1), ("B", 3)]);
    let expected = ["A1", "A9", "A trades 9 instead of 10", "B1", "gap B trades 2-2", "B3"];
    assert_eq!(format_events(&events), expected);
}

#[test]
fn symbol_of_every_beside_a_wildcard_of_latest_reports_gaps() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_and_answer(1, &["*"], LATEST);
    harness.subscribe_and_answer(2, &["A"], Delivery::Every);
    let events = harness.ticks(&[("A", 1), ("B", 1), ("A", 3), ("B", 3)]);
    assert_eq!(format_events(&events), ["A1", "B1", "gap A trades 2-2", "A3", "B3"]);
}

#[test]
fn change_from_latest_to_every_reports_no_gap() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_and_answer(1, &["A", "*"], LATEST);
    assert_eq!(format_events(&harness.ticks(&[("A", 1), ("B", 1)])), ["A1", "B1"]);
    harness.subscribe_and_answer(2, &["A"], Delivery::Every);
    harness.control(&Control::Snapshot { ticks: 1 });
    assert_eq!(format_events(&harness.ticks(&[("A", 7)])), ["snapshot A7"]);
    harness.control(&Control::Live);
    assert_eq!(
        format_events(&harness.ticks(&[("A", 9), ("B", 5)])),
        ["gap A trades 8-8", "A9", "B5"]
    );
    harness.subscribe_and_answer(3, &["*"], Delivery::Every);
    let events = harness.ticks(&[("B", 9), ("B", 11), ("A", 11)]);
    assert_eq!(
        format_events(&events),
        ["B9", "gap B trades 10-10", "B11", "gap A trades 10-10", "A11"]
    );
}

#[test]
fn delivery_changes_with_the_answer_and_not_with_the_command() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_and_answer(1, &["A"], LATEST);
    harness.subscribe(2, &["A"]);
    assert_eq!(
        format_events(&harness.ticks(&[("A", 1), ("A", 5)])),
        ["A1", "A5"],
        "sent before the answer"
    );
    harness.answer_last(Delivery::Every, names(TRADES, ["A"]).unwrap());
    assert_eq!(
        format_events(&harness.ticks(&[("A", 8), ("A", 10)])),
        ["A8", "gap A trades 9-9", "A10"]
    );
}

#[test]
fn lag_is_reported_once_per_topic_and_downgrades_all_names() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut harness = harness(encoding);
        harness.subscribe_and_answer(1, &["A", "B", "C"], Delivery::Every);
        harness.ticks(&[("A", 4), ("B", 1)]);
        assert_eq!(
            format_events(&harness.lag("A", None, Some(9))),
            ["lagged A trades Some(5)-Some(9)"]
        );
        assert_eq!(format_events(&harness.lag("C", None, None)), ["lagged C trades None-None"]);
        let events = harness.ticks(&[("A", 12), ("B", 6), ("C", 3), ("C", 8), ("A", 12)]);
        assert_eq!(format_events(&events), ["A12", "B6", "C3", "C8", "A trades 12 instead of 13"]);
        harness.subscribe_and_answer(2, &["A"], Delivery::Every);
        let events = harness.ticks(&[("A", 20), ("A", 22), ("B", 9)]);
        assert_eq!(format_events(&events), ["A20", "gap A trades 21-21", "A22", "B9"]);
        assert_eq!(
            format_events(&harness.lag("A", Some(23), Some(30))),
            ["lagged A trades Some(23)-Some(30)"]
        );
        assert_eq!(format_events(&harness.ticks(&[("A", 40)])), ["A40"], "it has lagged again");
    }
}

#[test]
fn ticks_within_an_announced_gap_are_out_of_order() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_and_answer(1, &["A"], Delivery::Every);
    harness.ticks(&[("A", 1)]);
    harness.lag("A", Some(2), Some(u64::MAX));
    assert_eq!(
        format_events(&harness.ticks(&[("A", 5)])),
        [format!("A trades 5 instead of {}", u64::MAX)],
        "the largest number must not overflow"
    );
}

#[test]
fn reconnect_restores_the_deliveries_that_were_requested() {
    let max_rate = Some(tickwire_protocol::MaxRate::per_second(4.0).unwrap());
    let session = Session::new(None, Some(OnLag::Latest));
    let mut harness = Harness { session, encoding: Encoding::Json };
    harness.session.on_open();
    harness.subscribe_and_answer(1, &["A"], Delivery::Every);
    harness.subscribe_and_answer(2, &["*"], Delivery::Latest { max_rate });
    harness.subscribe_and_answer(3, &["B"], LATEST);
    harness.ticks(&[("A", 1)]);
    harness.lag("A", Some(2), Some(3));
    assert_eq!(
        harness.reopen(),
        [
            r#"{"action":"subscribe","id":4,"trades":["*"],"delivery":"latest","max_rate":4,"on_lag":"latest"}"#,
            r#"{"action":"subscribe","id":5,"trades":["A"],"on_lag":"latest","pos":true}"#,
            r#"{"action":"subscribe","id":6,"trades":["B"],"delivery":"latest","on_lag":"latest"}"#,
        ]
    );
    harness.set_epoch("one");
    harness.session.sent = 5;
    harness.answer_last(Delivery::Every, names(TRADES, ["A"]).unwrap());
    assert_eq!(
        format_events(&harness.ticks(&[("A", 4), ("A", 6)])),
        ["A4", "gap A trades 5-5", "A6"]
    );
}

#[test]
fn rejected_change_of_delivery_keeps_the_previous_one() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_and_answer(1, &["A"], Delivery::Every);
    let change = subscribe(LATEST);
    let names = names(TRADES, ["A", "B"]).unwrap();
    harness.session.on_request(&Request { id: 2, change, names });
    harness.control(&Control::Error { code: ErrorCode::SymbolLimit, detail: None, id: Some(2) });
    assert_eq!(harness.reopen(), [r#"{"action":"subscribe","id":3,"trades":["A"],"pos":true}"#]);
}
