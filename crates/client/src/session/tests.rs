mod model;
mod resume;

use super::*;
use crate::names;
use crate::wanted::How;
use tickwire_protocol::{
    Channel, Delivery, ErrorCode, MessageBuf, OnLag, PerChannel, Resume, ResumeOutcome,
    ResumePoint, SubscribeRequest, Symbol, TickData, Trade, UnixNanos,
};

const TRADES: &[Channel] = &[Channel::Trades];
const LATEST: Delivery = Delivery::Latest { max_rate: None };

fn subscribe(delivery: Delivery) -> Change {
    Change::Subscribe(How { delivery, start: Start::Now })
}

fn tick(symbol: &str, seq: u64) -> Tick {
    let symbol = Symbol::new(symbol).unwrap();
    Tick { symbol, seq: Seq(seq), time: UnixNanos(1), data: TickData::Trade(Trade::default()) }
}

/// A session and the encoding it hears.
struct Heard {
    session: Session,
    encoding: Encoding,
}

impl Heard {
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

    /// Trades and the position behind them, in one message.
    fn positioned(&mut self, ticks: &[(&str, u64)], pos: u64) -> Vec<Event> {
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
        self.session.message(bytes, self.encoding, &mut events).unwrap();
        events
    }

    /// Asks for trades of symbols in this way, and takes the hub's answer to it.
    fn granted(&mut self, id: u64, symbols: &[&str], delivery: Delivery) -> Vec<Event> {
        let names = names(TRADES, symbols.iter().copied()).unwrap();
        let change = subscribe(delivery);
        self.session.request(&Request { id, change, names: names.clone() });
        self.ack(delivery, names)
    }

    /// The answer to the last command.
    fn ack(&mut self, delivery: Delivery, names: SubscriptionSet) -> Vec<Event> {
        self.begun(self.session.sent, delivery, names, None, None)
    }

    /// The answer to a command, with what it says about where its names begin.
    fn begun(
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

    /// Ticks will not come.
    fn gap(&mut self, symbol: &str, from: Option<u64>, to: Option<u64>) -> Vec<Event> {
        self.missing(symbol, from, to, false)
    }

    /// Ticks will not come since the session lagged.
    fn lag(&mut self, symbol: &str, from: Option<u64>, to: Option<u64>) -> Vec<Event> {
        self.missing(symbol, from, to, true)
    }

    fn missing(
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
        self.session.request(&Request { id, change: subscribe(Delivery::Every), names })
    }

    fn connected(&mut self, epoch: &str) {
        self.control(&Control::Connected { epoch: Some(epoch.to_owned()) });
    }
}

fn opened(encoding: Encoding) -> Heard {
    let mut session = Session::new(None, None);
    assert!(session.opened().is_empty());
    let mut heard = Heard { session, encoding };
    heard.connected("one");
    heard
}

/// Short spelling of events, to compare.
fn spell(events: &[Event]) -> Vec<String> {
    let spelled = events.iter().map(|event| match event {
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
    spelled.collect()
}

#[test]
fn gap_is_reported_once_and_before_the_tick_behind_it() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut heard = opened(encoding);
        let events = heard.ticks(&[("A", 1), ("A", 4), ("A", 5), ("B", 9)]);
        assert_eq!(spell(&events), ["A1", "gap A trades 2-3", "A4", "A5", "B9"]);
    }
}

#[test]
fn repeated_tick_is_told_and_not_delivered() {
    let mut heard = opened(Encoding::MsgpackArray);
    let events = heard.ticks(&[("A", 1), ("A", 2), ("A", 2), ("A", 3)]);
    assert_eq!(spell(&events), ["A1", "A2", "A trades 2 instead of 3", "A3"]);
}

#[test]
fn ticks_between_snapshot_and_live_are_marked_and_set_the_base() {
    let mut heard = opened(Encoding::Json);
    heard.control(&Control::Snapshot { ticks: 1 });
    assert_eq!(spell(&heard.ticks(&[("A", 7)])), ["snapshot A7"]);
    heard.control(&Control::Live);
    assert_eq!(spell(&heard.ticks(&[("A", 9)])), ["gap A trades 8-8", "A9"]);
}

#[test]
fn everything_is_asked_for_again_after_a_reconnect() {
    let mut heard = opened(Encoding::Json);
    let asked = heard.subscribe(1, &["A"]);
    assert_eq!(asked, [r#"{"action":"subscribe","id":1,"trades":["A"],"pos":true}"#]);
    heard.subscribe(2, &["B", "*"]);
    heard.session.closed();
    assert!(heard.subscribe(3, &["C"]).is_empty(), "nothing can be sent without a connection");
    let again = heard.session.opened();
    assert_eq!(again, [r#"{"action":"subscribe","id":3,"trades":["*","A","B","C"],"pos":true}"#]);
}

#[test]
fn gap_shows_across_reconnects_of_one_epoch_only() {
    let mut heard = opened(Encoding::MsgpackArray);
    heard.subscribe(1, &["A"]);
    heard.ticks(&[("A", 5)]);
    heard.session.closed();
    heard.session.opened();
    heard.connected("one");
    heard.control(&Control::Snapshot { ticks: 1 });
    assert_eq!(spell(&heard.ticks(&[("A", 8)])), ["gap A trades 6-8", "snapshot A8"]);
    heard.control(&Control::Live);
    heard.session.closed();
    heard.session.opened();
    heard.connected("two");
    assert_eq!(spell(&heard.ticks(&[("A", 1), ("A", 2)])), ["A1", "A2"]);
}

#[test]
fn connection_lost_inside_a_snapshot_does_not_mark_what_follows() {
    let mut heard = opened(Encoding::Json);
    heard.control(&Control::Snapshot { ticks: 2 });
    heard.session.closed();
    heard.session.opened();
    assert_eq!(spell(&heard.ticks(&[("A", 1)])), ["A1"]);
}

#[test]
fn names_the_hub_refused_are_not_asked_for_again() {
    let mut heard = opened(Encoding::Json);
    heard.subscribe(1, &["A"]);
    heard.subscribe(2, &["A", "B"]);
    let refused = Control::Error { code: ErrorCode::SymbolLimit, detail: None, id: Some(2) };
    let events = heard.control(&refused);
    assert!(matches!(events[..], [Event::Error { id: Some(2), .. }]), "{events:?}");
    heard.session.closed();
    assert_eq!(
        heard.session.opened(),
        [r#"{"action":"subscribe","id":3,"trades":["A"],"pos":true}"#]
    );
}

#[test]
fn topic_that_was_left_has_no_gap_when_it_comes_back() {
    let mut heard = opened(Encoding::Json);
    heard.subscribe(1, &["A"]);
    heard.ticks(&[("A", 1)]);
    let names = names(TRADES, ["A"]).unwrap();
    heard.session.request(&Request { id: 2, change: Change::Unsubscribe, names: names.clone() });
    heard.ticks(&[("A", 2)]);
    let events = heard.ack(Delivery::Every, names);
    assert!(matches!(events[..], [Event::Subscribed { id: Some(2), .. }]), "{events:?}");
    heard.subscribe(3, &["A"]);
    assert_eq!(spell(&heard.ticks(&[("A", 9)])), ["A9"]);
}

#[test]
fn unanswered_commands_are_bounded() {
    let mut heard = opened(Encoding::Json);
    for id in 0..UNANSWERED_MAX as u64 {
        assert!(heard.session.has_room());
        heard.subscribe(id, &["A"]);
    }
    assert!(!heard.session.has_room());
    heard.session.closed();
    assert!(heard.session.has_room());
}

#[test]
fn rubbish_is_an_error_and_takes_nothing() {
    let mut heard = opened(Encoding::MsgpackArray);
    let mut events = Vec::new();
    let result = heard.session.message(b"[{]", Encoding::Json, &mut events);
    assert!(result.is_err());
    assert!(events.is_empty());
}

#[test]
fn jump_of_a_latest_topic_is_no_gap_and_a_repetition_is_a_fault() {
    let mut heard = opened(Encoding::MsgpackArray);
    let events = heard.granted(1, &["A"], LATEST);
    assert!(matches!(events[..], [Event::Subscribed { id: Some(1), delivery: LATEST, .. }]));
    heard.granted(2, &["B"], Delivery::Every);
    let events = heard.ticks(&[("A", 1), ("A", 9), ("A", 9), ("B", 1), ("B", 3)]);
    let expected = ["A1", "A9", "A trades 9 instead of 10", "B1", "gap B trades 2-2", "B3"];
    assert_eq!(spell(&events), expected);
}

#[test]
fn name_of_every_beside_every_symbol_of_latest_still_shows_gaps() {
    let mut heard = opened(Encoding::Json);
    heard.granted(1, &["*"], LATEST);
    heard.granted(2, &["A"], Delivery::Every);
    let events = heard.ticks(&[("A", 1), ("B", 1), ("A", 3), ("B", 3)]);
    assert_eq!(spell(&events), ["A1", "B1", "gap A trades 2-2", "A3", "B3"]);
}

#[test]
fn what_latest_left_out_is_no_gap_when_every_tick_is_asked_for_again() {
    let mut heard = opened(Encoding::Json);
    heard.granted(1, &["A", "*"], LATEST);
    assert_eq!(spell(&heard.ticks(&[("A", 1), ("B", 1)])), ["A1", "B1"]);
    heard.granted(2, &["A"], Delivery::Every);
    heard.control(&Control::Snapshot { ticks: 1 });
    assert_eq!(spell(&heard.ticks(&[("A", 7)])), ["snapshot A7"]);
    heard.control(&Control::Live);
    assert_eq!(spell(&heard.ticks(&[("A", 9), ("B", 5)])), ["gap A trades 8-8", "A9", "B5"]);
    heard.granted(3, &["*"], Delivery::Every);
    let events = heard.ticks(&[("B", 9), ("B", 11), ("A", 11)]);
    assert_eq!(spell(&events), ["B9", "gap B trades 10-10", "B11", "gap A trades 10-10", "A11"]);
}

#[test]
fn mode_counts_from_its_answer_and_not_from_the_command() {
    let mut heard = opened(Encoding::Json);
    heard.granted(1, &["A"], LATEST);
    heard.subscribe(2, &["A"]);
    assert_eq!(spell(&heard.ticks(&[("A", 1), ("A", 5)])), ["A1", "A5"], "still on their way");
    heard.ack(Delivery::Every, names(TRADES, ["A"]).unwrap());
    assert_eq!(spell(&heard.ticks(&[("A", 8), ("A", 10)])), ["A8", "gap A trades 9-9", "A10"]);
}

#[test]
fn named_gap_is_told_once_and_all_names_are_latest_behind_it() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut heard = opened(encoding);
        heard.granted(1, &["A", "B", "C"], Delivery::Every);
        heard.ticks(&[("A", 4), ("B", 1)]);
        assert_eq!(spell(&heard.lag("A", None, Some(9))), ["lagged A trades Some(5)-Some(9)"]);
        assert_eq!(spell(&heard.lag("C", None, None)), ["lagged C trades None-None"]);
        let events = heard.ticks(&[("A", 12), ("B", 6), ("C", 3), ("C", 8), ("A", 12)]);
        assert_eq!(spell(&events), ["A12", "B6", "C3", "C8", "A trades 12 instead of 13"]);
        heard.granted(2, &["A"], Delivery::Every);
        let events = heard.ticks(&[("A", 20), ("A", 22), ("B", 9)]);
        assert_eq!(spell(&events), ["A20", "gap A trades 21-21", "A22", "B9"]);
        assert_eq!(
            spell(&heard.lag("A", Some(23), Some(30))),
            ["lagged A trades Some(23)-Some(30)"]
        );
        assert_eq!(spell(&heard.ticks(&[("A", 40)])), ["A40"], "it has lagged again");
    }
}

#[test]
fn ticks_a_named_gap_covers_do_not_come_again() {
    let mut heard = opened(Encoding::Json);
    heard.granted(1, &["A"], Delivery::Every);
    heard.ticks(&[("A", 1)]);
    heard.lag("A", Some(2), Some(u64::MAX));
    assert_eq!(
        spell(&heard.ticks(&[("A", 5)])),
        [format!("A trades 5 instead of {}", u64::MAX)],
        "the largest number is no reason to panic"
    );
}

#[test]
fn reconnect_asks_for_the_modes_the_application_asked_for() {
    let max_rate = Some(tickwire_protocol::MaxRate::per_second(4.0).unwrap());
    let session = Session::new(None, Some(OnLag::Latest));
    let mut heard = Heard { session, encoding: Encoding::Json };
    heard.session.opened();
    heard.granted(1, &["A"], Delivery::Every);
    heard.granted(2, &["*"], Delivery::Latest { max_rate });
    heard.granted(3, &["B"], LATEST);
    heard.ticks(&[("A", 1)]);
    heard.lag("A", Some(2), Some(3));
    heard.session.closed();
    assert_eq!(
        heard.session.opened(),
        [
            r#"{"action":"subscribe","id":4,"trades":["*"],"delivery":"latest","max_rate":4,"on_lag":"latest"}"#,
            r#"{"action":"subscribe","id":5,"trades":["A"],"on_lag":"latest","pos":true}"#,
            r#"{"action":"subscribe","id":6,"trades":["B"],"delivery":"latest","on_lag":"latest"}"#,
        ]
    );
    heard.connected("one");
    heard.session.sent = 5;
    heard.ack(Delivery::Every, names(TRADES, ["A"]).unwrap());
    assert_eq!(spell(&heard.ticks(&[("A", 4), ("A", 6)])), ["A4", "gap A trades 5-5", "A6"]);
}

#[test]
fn refused_change_of_mode_leaves_the_one_before() {
    let mut heard = opened(Encoding::Json);
    heard.granted(1, &["A"], Delivery::Every);
    let change = subscribe(LATEST);
    let names = names(TRADES, ["A", "B"]).unwrap();
    heard.session.request(&Request { id: 2, change, names });
    heard.control(&Control::Error { code: ErrorCode::SymbolLimit, detail: None, id: Some(2) });
    heard.session.closed();
    assert_eq!(
        heard.session.opened(),
        [r#"{"action":"subscribe","id":3,"trades":["A"],"pos":true}"#]
    );
}
