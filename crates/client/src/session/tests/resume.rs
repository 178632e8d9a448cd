//! Sessions that are interrupted and go on where they were.

use tickwire_protocol::{Replay, ReplayFrom, ReplaySpeed};

use super::*;

impl Heard {
    /// Asks for trades of symbols that begin in this way.
    fn request(&mut self, id: u64, symbols: &[&str], start: Start) -> Vec<String> {
        let change = Change::Subscribe(How { delivery: Delivery::Every, start });
        self.session.request(&Request { id, change, names: trades(symbols) })
    }

    /// The hub answers the last command.
    fn answer(&mut self, symbols: &[&str], pos: u64, resumed: Option<Resumed>) -> Vec<String> {
        let number = self.session.sent;
        let names = trades(symbols);
        let events = self.begun(number, Delivery::Every, names, Some(pos), resumed);
        spell(&events[1..])
    }

    /// The connection is cut and comes back; what the client asks for then.
    fn cut(&mut self, epoch: &str) -> Vec<String> {
        self.session.closed();
        let commands = self.session.opened();
        self.connected(epoch);
        commands
    }

    fn subscribed(&mut self, symbols: &[&str], pos: u64) {
        self.subscribe(1, symbols);
        self.answer(symbols, pos, None);
    }
}

fn trades(symbols: &[&str]) -> Names {
    names(TRADES, symbols.iter().copied()).unwrap()
}

fn resume_at(id: u64, symbols: &str, epoch: &str, pos: u64) -> String {
    format!(
        r#"{{"action":"subscribe","id":{id},"trades":[{symbols}],"pos":true,"resume":{{"epoch":"{epoch}","pos":{pos}}}}}"#
    )
}

fn behind(text: &str) -> Start {
    Start::Behind(text.parse().unwrap())
}

fn replay() -> Start {
    let from = ReplayFrom::Ago(std::time::Duration::from_secs(300));
    Start::Replay(Replay { from, speed: ReplaySpeed::Max })
}

#[test]
fn session_goes_on_behind_its_last_position() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut heard = opened(encoding);
        heard.subscribed(&["A", "B"], 10);
        assert_eq!(spell(&heard.positioned(&[("A", 1), ("B", 1)], 12)), ["A1", "B1", "one:12"]);
        assert_eq!(heard.cut("one"), [resume_at(2, r#""A","B""#, "one", 12)]);
        assert!(heard.answer(&["A", "B"], 12, Some(Resumed::All)).is_empty());
        assert_eq!(spell(&heard.positioned(&[("A", 2), ("A", 3)], 20)), ["A2", "A3", "one:20"]);
    }
}

#[test]
fn session_that_never_had_a_tick_resumes_too() {
    let mut heard = opened(Encoding::Json);
    heard.subscribe(1, &["A"]);
    assert_eq!(heard.answer(&["A"], 10, None), ["one:10"]);
    assert_eq!(heard.cut("one"), [resume_at(2, r#""A""#, "one", 10)]);
    heard.answer(&["A"], 10, Some(Resumed::All));
    let heartbeat = Control::Heartbeat { time: UnixNanos(1), pos: Some(15) };
    assert_eq!(spell(&heard.control(&heartbeat)), ["one:15"]);
    assert!(heard.control(&heartbeat).is_empty(), "it has been told");
    assert_eq!(heard.cut("one"), [resume_at(3, r#""A""#, "one", 15)]);
}

#[test]
fn gap_of_a_resume_begins_behind_the_last_tick_that_came() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A", "B", "C"], 10);
    heard.positioned(&[("A", 5), ("B", 9)], 12);
    heard.cut("one");
    heard.answer(&["A", "B", "C"], 12, Some(Resumed::Gap));
    assert_eq!(spell(&heard.gap("A", None, Some(8))), ["gap A trades 6-8"]);
    assert!(heard.gap("B", None, Some(9)).is_empty(), "nothing of it is missing");
    assert_eq!(spell(&heard.gap("C", None, Some(3))), ["gap C trades ?-3"]);
    let events = heard.positioned(&[("A", 9), ("C", 4), ("A", 11)], 30);
    assert_eq!(spell(&events), ["A9", "C4", "gap A trades 10-10", "A11", "one:30"]);
}

#[test]
fn gap_of_a_resume_does_not_end_delivery_every() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A", "B"], 10);
    heard.positioned(&[("A", 1)], 11);
    heard.cut("one");
    heard.answer(&["A", "B"], 11, Some(Resumed::Gap));
    assert_eq!(spell(&heard.gap("A", None, Some(4))), ["gap A trades 2-4"]);
    let events = heard.positioned(&[("A", 5), ("A", 7)], 20);
    assert_eq!(spell(&events), ["A5", "gap A trades 6-6", "A7", "one:20"]);
    let lagged = heard.lag("A", Some(8), Some(9));
    assert_eq!(spell(&lagged), ["lagged A trades Some(8)-Some(9)"], "this one is of its own");
}

#[test]
fn new_epoch_is_told_and_counts_anew() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A"], 10);
    heard.positioned(&[("A", 70)], 90);
    heard.session.closed();
    assert_eq!(heard.session.opened(), [resume_at(2, r#""A""#, "one", 90)]);
    let events = heard.control(&Control::Connected { epoch: "two".to_owned() });
    assert!(matches!(events[..], [Event::Connected { anew: true, .. }]), "{events:?}");
    assert_eq!(heard.answer(&["A"], 3, Some(Resumed::Epoch)), ["two:3"]);
    assert_eq!(spell(&heard.gap("A", None, None)), ["gap A trades ?-?"]);
    heard.control(&Control::Snapshot { ticks: 1 });
    heard.ticks(&[("A", 2)]);
    heard.control(&Control::Live);
    assert_eq!(spell(&heard.positioned(&[("A", 3)], 4)), ["A3", "two:4"]);
    assert_eq!(heard.cut("two"), [resume_at(3, r#""A""#, "two", 4)]);
}

#[test]
fn names_without_an_answer_are_asked_for_anew() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A"], 10);
    heard.subscribe(2, &["B"]);
    let plain = r#"{"action":"subscribe","id":4,"trades":["B"],"pos":true}"#;
    assert_eq!(heard.cut("one"), [resume_at(3, r#""A""#, "one", 10), plain.to_owned()]);
}

#[test]
fn names_of_latest_are_not_resumed() {
    let mut heard = opened(Encoding::Json);
    heard.granted(1, &["A"], LATEST);
    heard.subscribed(&["B"], 10);
    let latest = r#"{"action":"subscribe","id":3,"trades":["A"],"delivery":"latest"}"#;
    assert_eq!(heard.cut("one"), [latest.to_owned(), resume_at(4, r#""B""#, "one", 10)]);
}

#[test]
fn position_of_other_names_says_nothing_before_the_answer() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A"], 100);
    heard.request(2, &["B"], behind("one:50"));
    assert_eq!(spell(&heard.positioned(&[("A", 9)], 110)), ["A9"]);
    let again = heard.cut("one");
    assert_eq!(
        again,
        [resume_at(3, r#""A""#, "one", 100), resume_at(4, r#""B""#, "one", 50)],
        "a cut before the answer loses nothing of either"
    );
    heard.begun(3, Delivery::Every, trades(&["A"]), Some(100), Some(Resumed::All));
    assert!(spell(&heard.positioned(&[("A", 9)], 110)).is_empty(), "it came before the cut");
    heard.begun(4, Delivery::Every, trades(&["B"]), Some(50), Some(Resumed::All));
    assert_eq!(spell(&heard.positioned(&[("B", 1)], 60)), ["B1"], "A has come further than that");
    assert_eq!(heard.cut("one"), [resume_at(5, r#""A","B""#, "one", 60)]);
    heard.answer(&["A", "B"], 60, Some(Resumed::All));
    let events = heard.positioned(&[("A", 9), ("B", 2), ("A", 10)], 130);
    assert_eq!(spell(&events), ["B2", "A10", "one:130"]);
}

#[test]
fn repetition_on_one_connection_is_a_fault_and_an_overlap_of_two_is_none() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A"], 10);
    heard.positioned(&[("A", 1), ("A", 2)], 12);
    heard.cut("one");
    heard.answer(&["A"], 12, Some(Resumed::All));
    assert_eq!(spell(&heard.ticks(&[("A", 1), ("A", 2), ("A", 3)])), ["A3"]);
    assert_eq!(spell(&heard.ticks(&[("A", 3)])), ["A trades 3 instead of 4"]);
}

#[test]
fn restarted_application_continues_behind_its_position() {
    let mut heard = opened(Encoding::Json);
    let asked = heard.request(1, &["A"], behind("one:77"));
    assert_eq!(asked, [resume_at(1, r#""A""#, "one", 77)]);
    assert_eq!(heard.cut("one"), [resume_at(2, r#""A""#, "one", 77)], "not answered yet");
    assert_eq!(heard.answer(&["A"], 77, Some(Resumed::Gap)), ["one:77"]);
    assert_eq!(spell(&heard.gap("A", None, Some(30))), ["gap A trades ?-30"]);
    assert_eq!(spell(&heard.positioned(&[("A", 31)], 80)), ["A31", "one:80"]);
    assert_eq!(heard.cut("one"), [resume_at(3, r#""A""#, "one", 80)]);
}

#[test]
fn position_of_another_epoch_is_answered_with_last_values() {
    let mut heard = opened(Encoding::Json);
    let asked = heard.request(1, &["A"], behind("zero:77"));
    assert_eq!(asked, [resume_at(1, r#""A""#, "zero", 77)]);
    assert_eq!(heard.answer(&["A"], 5, Some(Resumed::Epoch)), ["one:5"]);
    assert_eq!(heard.cut("one"), [resume_at(2, r#""A""#, "one", 5)]);
}

#[test]
fn replay_is_asked_for_until_it_begins_and_resumed_from_then_on() {
    let mut heard = opened(Encoding::Json);
    let command = |id: u64| {
        format!(r#"{{"action":"subscribe","from":"-5m","id":{id},"trades":["A"],"pos":true}}"#)
    };
    assert_eq!(heard.request(1, &["A"], replay()), [command(1)]);
    assert_eq!(heard.cut("one"), [command(2)]);
    heard.answer(&["A"], 40, None);
    assert_eq!(spell(&heard.positioned(&[("A", 7), ("A", 8)], 60)), ["A7", "A8", "one:60"]);
    assert_eq!(heard.cut("one"), [resume_at(3, r#""A""#, "one", 60)]);
}

#[test]
fn replay_of_a_topic_begins_before_what_was_seen_of_it() {
    let mut heard = opened(Encoding::Json);
    heard.granted(1, &["A"], LATEST);
    heard.ticks(&[("A", 100)]);
    heard.request(2, &["A"], replay());
    assert_eq!(spell(&heard.ticks(&[("A", 104)])), ["A104"], "until the answer it is latest");
    heard.answer(&["A"], 40, None);
    assert_eq!(spell(&heard.ticks(&[("A", 7), ("A", 8)])), ["A7", "A8"]);
}

#[test]
fn session_that_lagged_resumes_without_telling_its_gap_again() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A"], 10);
    heard.positioned(&[("A", 1)], 11);
    assert_eq!(spell(&heard.lag("A", Some(2), Some(5))), ["lagged A trades Some(2)-Some(5)"]);
    assert_eq!(spell(&heard.ticks(&[("A", 6), ("A", 9)])), ["A6", "A9"]);
    let again = heard.cut("one");
    assert!(again[0].contains(r#""resume":{"epoch":"one","pos":11}"#), "{again:?}");
    heard.answer(&["A"], 11, Some(Resumed::Gap));
    assert!(heard.gap("A", None, Some(3)).is_empty());
    let events = heard.positioned(&[("A", 4), ("A", 9), ("A", 10)], 30);
    assert_eq!(spell(&events), ["A10", "one:30"]);
}

#[test]
fn names_subscribed_to_after_all_others_have_left_have_no_past() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A"], 10);
    heard.session.request(&Request { id: 2, change: Change::Unsubscribe, names: trades(&["A"]) });
    heard.ack(Delivery::Every, trades(&["A"]));
    heard.subscribe(3, &["B"]);
    assert_eq!(heard.answer(&["B"], 500, None), ["one:500"]);
}
