//! Sessions that are interrupted and go on where they were.

use tickwire_protocol::{Replay, ReplaySpeed, ReplayStart};

use super::*;

impl Heard {
    /// Asks for trades of symbols that begin in this way.
    fn request(&mut self, id: u64, symbols: &[&str], start: Start) -> Vec<String> {
        let change = Change::Subscribe(How { delivery: Delivery::Every, start });
        self.session.request(&Request { id, change, names: trades(symbols) })
    }

    /// The hub answers the last command.
    fn answer(
        &mut self,
        symbols: &[&str],
        pos: u64,
        resumed: Option<ResumeOutcome>,
    ) -> Vec<String> {
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

fn trades(symbols: &[&str]) -> SubscriptionSet {
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
    let from = ReplayStart::Ago(std::time::Duration::from_secs(300));
    Start::Replay(Replay { from, speed: ReplaySpeed::Max })
}

#[test]
fn session_goes_on_behind_its_last_position() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut heard = opened(encoding);
        heard.subscribed(&["A", "B"], 10);
        assert_eq!(spell(&heard.positioned(&[("A", 1), ("B", 1)], 12)), ["A1", "B1", "one:12"]);
        assert_eq!(heard.cut("one"), [resume_at(2, r#""A","B""#, "one", 12)]);
        assert!(heard.answer(&["A", "B"], 12, Some(ResumeOutcome::Complete)).is_empty());
        assert_eq!(spell(&heard.positioned(&[("A", 2), ("A", 3)], 20)), ["A2", "A3", "one:20"]);
    }
}

#[test]
fn session_that_never_had_a_tick_resumes_too() {
    let mut heard = opened(Encoding::Json);
    heard.subscribe(1, &["A"]);
    assert_eq!(heard.answer(&["A"], 10, None), ["one:10"]);
    assert_eq!(heard.cut("one"), [resume_at(2, r#""A""#, "one", 10)]);
    heard.answer(&["A"], 10, Some(ResumeOutcome::Complete));
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
    heard.answer(&["A", "B", "C"], 12, Some(ResumeOutcome::Gap));
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
    heard.answer(&["A", "B"], 11, Some(ResumeOutcome::Gap));
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
    let events = heard.control(&Control::Connected { epoch: Some("two".to_owned()) });
    assert!(matches!(events[..], [Event::Connected { anew: true, .. }]), "{events:?}");
    assert!(heard.answer(&["A"], 0, Some(ResumeOutcome::NewEpoch)).is_empty());
    assert_eq!(spell(&heard.gap("A", None, None)), ["gap A trades ?-?"]);
    heard.control(&Control::Snapshot { ticks: 1 });
    heard.ticks(&[("A", 2)]);
    heard.control(&Control::Live);
    assert_eq!(spell(&heard.control(&Control::Position { pos: 3 })), ["two:3"]);
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
    heard.begun(3, Delivery::Every, trades(&["A"]), Some(100), Some(ResumeOutcome::Complete));
    assert!(spell(&heard.positioned(&[("A", 9)], 110)).is_empty(), "it came before the cut");
    heard.begun(4, Delivery::Every, trades(&["B"]), Some(50), Some(ResumeOutcome::Complete));
    assert_eq!(spell(&heard.positioned(&[("B", 1)], 60)), ["B1"], "A has come further than that");
    assert_eq!(heard.cut("one"), [resume_at(5, r#""A","B""#, "one", 60)]);
    heard.answer(&["A", "B"], 60, Some(ResumeOutcome::Complete));
    let events = heard.positioned(&[("A", 9), ("B", 2), ("A", 10)], 130);
    assert_eq!(spell(&events), ["B2", "A10", "one:130"]);
}

#[test]
fn repetition_on_one_connection_is_a_fault_and_an_overlap_of_two_is_none() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A"], 10);
    heard.positioned(&[("A", 1), ("A", 2)], 12);
    heard.cut("one");
    heard.answer(&["A"], 12, Some(ResumeOutcome::Complete));
    assert_eq!(spell(&heard.ticks(&[("A", 1), ("A", 2), ("A", 3)])), ["A3"]);
    assert_eq!(spell(&heard.ticks(&[("A", 3)])), ["A trades 3 instead of 4"]);
}

#[test]
fn restarted_application_continues_behind_its_position() {
    let mut heard = opened(Encoding::Json);
    let asked = heard.request(1, &["A"], behind("one:77"));
    assert_eq!(asked, [resume_at(1, r#""A""#, "one", 77)]);
    assert_eq!(heard.cut("one"), [resume_at(2, r#""A""#, "one", 77)], "not answered yet");
    assert_eq!(heard.answer(&["A"], 77, Some(ResumeOutcome::Gap)), ["one:77"]);
    assert_eq!(spell(&heard.gap("A", None, Some(30))), ["gap A trades ?-30"]);
    assert_eq!(spell(&heard.positioned(&[("A", 31)], 80)), ["A31", "one:80"]);
    assert_eq!(heard.cut("one"), [resume_at(3, r#""A""#, "one", 80)]);
}

#[test]
fn position_of_another_epoch_is_answered_with_last_values() {
    let mut heard = opened(Encoding::Json);
    let asked = heard.request(1, &["A"], behind("zero:77"));
    assert_eq!(asked, [resume_at(1, r#""A""#, "zero", 77)]);
    assert!(heard.answer(&["A"], 5, Some(ResumeOutcome::NewEpoch)).is_empty());
    assert_eq!(spell(&heard.positioned(&[("A", 1)], 6)), ["A1", "one:6"]);
    assert_eq!(heard.cut("one"), [resume_at(2, r#""A""#, "one", 6)]);
}

#[test]
fn no_position_is_told_before_the_gaps_behind_an_answer() {
    for (resumed, epoch) in [(ResumeOutcome::Gap, "one"), (ResumeOutcome::NewEpoch, "zero")] {
        let mut heard = opened(Encoding::Json);
        heard.request(1, &["A", "B"], behind(&format!("{epoch}:50")));
        for position in heard.answer(&["A", "B"], 90, Some(resumed)) {
            assert_eq!(position, "one:50", "what is missing is behind it");
        }
        heard.gap("A", None, None);
        let again = resume_at(2, r#""A","B""#, epoch, 50);
        assert_eq!(heard.cut("one"), [again], "the gap of B has not been told");
        heard.answer(&["A", "B"], 90, Some(resumed));
        heard.gap("A", None, None);
        heard.gap("B", None, None);
        assert_eq!(spell(&heard.control(&Control::Position { pos: 95 })), ["one:95"]);
        assert_eq!(heard.cut("one"), [resume_at(3, r#""A","B""#, "one", 95)]);
    }
}

#[test]
fn position_is_not_told_while_other_names_are_further_back() {
    let mut heard = opened(Encoding::Json);
    heard.request(1, &["A"], behind("one:50"));
    heard.request(2, &["B"], behind("one:20"));
    let number = heard.session.sent - 1;
    let all = Some(ResumeOutcome::Complete);
    let events = heard.begun(number, Delivery::Every, trades(&["A"]), Some(50), all);
    assert!(spell(&events[1..]).is_empty(), "{events:?}");
    assert!(heard.answer(&["B"], 20, all).is_empty());
    assert_eq!(spell(&heard.positioned(&[("B", 1)], 60)), ["B1", "one:60"]);
}

#[test]
fn resumed_name_that_came_by_every_symbol_is_given_what_did_not_come_and_nothing_twice() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["*"], 100);
    heard.positioned(&[("B", 6), ("B", 7)], 102);
    heard.request(2, &["B"], behind("one:50"));
    assert_eq!(spell(&heard.positioned(&[("B", 8)], 103)), ["B8"], "before the answer");
    heard.answer(&["B"], 50, Some(ResumeOutcome::Gap));
    assert_eq!(spell(&heard.gap("B", None, Some(3))), ["gap B trades ?-3"]);
    let events = heard.positioned(&[("B", 4), ("B", 5), ("B", 6), ("B", 7), ("B", 8)], 103);
    assert_eq!(spell(&events), ["B4", "B5", "one:103"]);
    let events = heard.positioned(&[("B", 9), ("B", 11), ("B", 11)], 110);
    let expected = ["B9", "gap B trades 10-10", "B11", "B trades 11 instead of 12", "one:110"];
    assert_eq!(spell(&events), expected);
}

#[test]
fn names_resumed_in_a_second_command_after_every_symbol_are_no_fault() {
    let mut heard = opened(Encoding::Json);
    let symbols: Vec<String> = (0..20_000).map(|n| format!("A{n:05}")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).chain(["B", "*"]).collect();
    heard.request(1, &symbols, Start::Now);
    for number in 1..=2 {
        let names = trades(if number == 1 { &symbols[..20_000] } else { &["B"] });
        let names = if number == 1 { with_every_symbol(names) } else { names };
        heard.begun(number, Delivery::Every, names, Some(10), None);
    }
    heard.positioned(&[("B", 1)], 11);
    assert_eq!(heard.cut("one").len(), 2);
    let names = with_every_symbol(trades(&symbols[..20_000]));
    heard.begun(3, Delivery::Every, names, Some(11), Some(ResumeOutcome::Complete));
    assert_eq!(spell(&heard.positioned(&[("B", 2), ("B", 3)], 13)), ["B2", "B3"]);
    heard.answer(&["B"], 11, Some(ResumeOutcome::Complete));
    let events = heard.positioned(&[("B", 2), ("B", 3), ("B", 4)], 14);
    assert_eq!(spell(&events), ["B4", "one:14"]);
}

fn with_every_symbol(mut names: SubscriptionSet) -> SubscriptionSet {
    names[Channel::Trades].all = true;
    names
}

#[test]
fn position_stands_still_from_a_lag_until_all_names_are_every_again() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A", "B"], 10);
    heard.positioned(&[("A", 1)], 11);
    heard.lag("A", Some(2), Some(5));
    assert!(spell(&heard.positioned(&[], 20)).is_empty(), "that of a correction");
    let heartbeat = |pos| Control::Heartbeat { time: UnixNanos(1), pos: Some(pos) };
    assert!(heard.control(&heartbeat(25)).is_empty());
    heard.subscribe(2, &["C"]);
    assert!(heard.answer(&["C"], 30, None).is_empty(), "A and B are latest");
    heard.subscribe(3, &["A"]);
    assert!(heard.answer(&["A"], 40, None).is_empty(), "B is latest");
    assert!(heard.control(&heartbeat(45)).is_empty());
    let again = heard.session.wanted.groups().len();
    assert_eq!(
        (again, heard.session.progress.position().unwrap().to_string()),
        (1, "one:11".to_owned())
    );
    heard.subscribe(4, &["B"]);
    assert!(heard.answer(&["B"], 50, None).is_empty(), "of A more has come than of C");
    assert_eq!(heard.session.progress.position().unwrap().to_string(), "one:30");
    assert_eq!(spell(&heard.control(&heartbeat(55))), ["one:55"]);
    assert_eq!(heard.cut("one"), [resume_at(5, r#""A","B","C""#, "one", 55)]);
}

#[test]
fn lag_is_over_when_the_names_that_lagged_have_left() {
    let mut heard = opened(Encoding::Json);
    heard.subscribed(&["A", "B"], 10);
    heard.lag("A", Some(2), Some(5));
    heard.subscribe(2, &["A"]);
    heard.answer(&["A"], 30, None);
    heard.session.request(&Request { id: 3, change: Change::Unsubscribe, names: trades(&["B"]) });
    heard.ack(Delivery::Every, trades(&["B"]));
    assert_eq!(spell(&heard.positioned(&[("A", 6)], 40)), ["A6", "one:40"]);
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
    heard.answer(&["A"], 11, Some(ResumeOutcome::Gap));
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

#[test]
fn replay_at_a_pace_is_one_command_however_many_its_names_are() {
    let symbols: Vec<String> = (0..50_000).map(|n| format!("S{n}")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let from = ReplayStart::Ago(std::time::Duration::from_secs(300));
    for (speed, commands) in [(ReplaySpeed::Max, 3), (ReplaySpeed::factor(20.0).unwrap(), 1)] {
        let mut heard = opened(Encoding::Json);
        let start = Start::Replay(Replay { from, speed });
        let asked = heard.request(1, &symbols, start);
        assert_eq!(asked.len(), commands, "{speed}");
        assert!(asked.iter().all(|command| command.len() <= COMMAND_BYTES_MAX));
        assert_eq!(heard.cut("one").len(), commands, "{speed}");
    }
}
