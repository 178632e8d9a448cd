use super::*;
use crate::names;
use tickwire_protocol::{
    Channel, Delivery, ErrorCode, MessageBuf, OnLag, PerChannel, Symbol, TickData, Trade, UnixNanos,
};

const TRADES: &[Channel] = &[Channel::Trades];

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

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        self.session.message(bytes, self.encoding, &mut events).unwrap();
        events
    }

    fn subscribe(&mut self, id: u64, symbols: &[&str]) -> Vec<String> {
        let names = names(TRADES, symbols.iter().copied()).unwrap();
        self.session.request(&Request { id, change: Change::Subscribe, names })
    }

    fn connected(&mut self, epoch: &str) {
        self.control(&Control::Connected { epoch: epoch.to_owned() });
    }
}

fn opened(encoding: Encoding) -> Heard {
    let mut session = Session::new(None);
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
        Event::Gap { topic, from, to } => format!("gap {topic} {}-{}", from.0, to.0),
        Event::OutOfOrder { topic, seq, expected } => {
            format!("{topic} {} instead of {}", seq.0, expected.0)
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
    assert_eq!(heard.subscribe(1, &["A"]), [r#"{"action":"subscribe","id":1,"trades":["A"]}"#]);
    heard.subscribe(2, &["B", "*"]);
    heard.session.closed();
    assert!(heard.subscribe(3, &["C"]).is_empty(), "nothing can be sent without a connection");
    let again = heard.session.opened();
    assert_eq!(again, [r#"{"action":"subscribe","id":3,"trades":["*","A","B","C"]}"#]);
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
    assert_eq!(heard.session.opened(), [r#"{"action":"subscribe","id":3,"trades":["A"]}"#]);
}

#[test]
fn topic_that_was_left_has_no_gap_when_it_comes_back() {
    let mut heard = opened(Encoding::Json);
    heard.subscribe(1, &["A"]);
    heard.ticks(&[("A", 1)]);
    let names = names(TRADES, ["A"]).unwrap();
    heard.session.request(&Request { id: 2, change: Change::Unsubscribe, names: names.clone() });
    heard.ticks(&[("A", 2)]);
    let events = heard.control(&Control::Subscription {
        id: Some(2),
        names: Box::new(names),
        total: PerChannel::default(),
        delivery: Delivery::Every,
        on_lag: OnLag::Close,
        modes: Vec::new(),
    });
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
