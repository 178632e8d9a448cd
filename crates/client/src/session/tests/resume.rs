//! Sessions that resume after a lost connection or a restart of the application.

use tickwire_protocol::{Replay, ReplaySpeed, ReplayStart};

use super::*;

impl Harness {
    /// Subscribes to trades of symbols with this start.
    fn subscribe_with(&mut self, id: u64, symbols: &[&str], start: Start) -> Vec<String> {
        let options = SubscribeOptions { delivery: Delivery::Every, start };
        let change = Change::Subscribe(options);
        self.session.on_request(&Request { id, change, names: trades(symbols) })
    }

    /// Answers the last command with a position. Returns the events after `Subscribed`.
    fn answer(
        &mut self,
        symbols: &[&str],
        pos: u64,
        resumed: Option<ResumeOutcome>,
    ) -> Vec<String> {
        let number = self.session.sent;
        let names = trades(symbols);
        let events = self.answer_command(number, Delivery::Every, names, Some(pos), resumed);
        format_events(&events[1..])
    }

    /// Loses the connection and reconnects. Returns the commands that the client sends.
    fn reconnect(&mut self, epoch: &str) -> Vec<String> {
        let commands = self.reopen();
        self.set_epoch(epoch);
        commands
    }

    /// Lets the session subscribe to `symbols`, and acknowledges the command as the hub would, with
    /// the log position `pos`.
    fn subscribe_at(&mut self, symbols: &[&str], pos: u64) {
        self.subscribe(1, symbols);
        self.answer(symbols, pos, None);
    }
}

fn trades(symbols: &[&str]) -> SubscriptionSet {
    names(TRADES, symbols.iter().copied()).unwrap()
}

/// Returns the command that resumes symbols after a position.
fn resume_command(id: u64, symbols: &str, epoch: &str, pos: u64) -> String {
    format!(
        r#"{{"action":"subscribe","id":{id},"trades":[{symbols}],"pos":true,"resume":{{"epoch":"{epoch}","pos":{pos}}}}}"#
    )
}

fn after(text: &str) -> Start {
    Start::After(text.parse().unwrap())
}

fn replay() -> Start {
    let from = ReplayStart::Ago(Duration::from_secs(300));
    Start::Replay(Replay { from, speed: ReplaySpeed::Max })
}

#[test]
fn session_resumes_after_its_last_position() {
    for encoding in [Encoding::Json, Encoding::MsgpackArray] {
        let mut harness = harness(encoding);
        harness.subscribe_at(&["A", "B"], 10);
        assert_eq!(
            format_events(&harness.ticks_to_position(&[("A", 1), ("B", 1)], 12)),
            ["A1", "B1", "one:12"]
        );
        assert_eq!(harness.reconnect("one"), [resume_command(2, r#""A","B""#, "one", 12)]);
        assert!(harness.answer(&["A", "B"], 12, Some(ResumeOutcome::Complete)).is_empty());
        assert_eq!(
            format_events(&harness.ticks_to_position(&[("A", 2), ("A", 3)], 20)),
            ["A2", "A3", "one:20"]
        );
    }
}

#[test]
fn session_without_ticks_resumes() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe(1, &["A"]);
    assert_eq!(harness.answer(&["A"], 10, None), ["one:10"]);
    assert_eq!(harness.reconnect("one"), [resume_command(2, r#""A""#, "one", 10)]);
    harness.answer(&["A"], 10, Some(ResumeOutcome::Complete));
    let heartbeat = Control::Heartbeat { time: UnixNanos(1), pos: Some(15) };
    assert_eq!(format_events(&harness.control(&heartbeat)), ["one:15"]);
    assert!(harness.control(&heartbeat).is_empty(), "15 has been reported");
    assert_eq!(harness.reconnect("one"), [resume_command(3, r#""A""#, "one", 15)]);
}

#[test]
fn gap_of_a_resume_begins_after_the_last_received_tick() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A", "B", "C"], 10);
    harness.ticks_to_position(&[("A", 5), ("B", 9)], 12);
    harness.reconnect("one");
    harness.answer(&["A", "B", "C"], 12, Some(ResumeOutcome::Gap));
    assert_eq!(format_events(&harness.gap("A", None, Some(8))), ["gap A trades 6-8"]);
    assert!(harness.gap("B", None, Some(9)).is_empty(), "B9 was received");
    assert_eq!(format_events(&harness.gap("C", None, Some(3))), ["gap C trades ?-3"]);
    let events = harness.ticks_to_position(&[("A", 9), ("C", 4), ("A", 11)], 30);
    assert_eq!(format_events(&events), ["A9", "C4", "gap A trades 10-10", "A11", "one:30"]);
}

#[test]
fn gap_of_a_resume_keeps_delivery_every() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A", "B"], 10);
    harness.ticks_to_position(&[("A", 1)], 11);
    harness.reconnect("one");
    harness.answer(&["A", "B"], 11, Some(ResumeOutcome::Gap));
    assert_eq!(format_events(&harness.gap("A", None, Some(4))), ["gap A trades 2-4"]);
    let events = harness.ticks_to_position(&[("A", 5), ("A", 7)], 20);
    assert_eq!(format_events(&events), ["A5", "gap A trades 6-6", "A7", "one:20"]);
    let lagged = harness.lag("A", Some(8), Some(9));
    assert_eq!(
        format_events(&lagged),
        ["lagged A trades Some(8)-Some(9)"],
        "a lag is reported by itself"
    );
}

#[test]
fn new_epoch_resets_positions_and_numbers() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A"], 10);
    harness.ticks_to_position(&[("A", 70)], 90);
    assert_eq!(harness.reopen(), [resume_command(2, r#""A""#, "one", 90)]);
    let events = harness.control(&Control::Connected { epoch: Some("two".to_owned()) });
    assert!(matches!(events[..], [Event::Connected { new_epoch: true, .. }]), "{events:?}");
    assert!(harness.answer(&["A"], 0, Some(ResumeOutcome::NewEpoch)).is_empty());
    assert_eq!(format_events(&harness.gap("A", None, None)), ["gap A trades ?-?"]);
    harness.control(&Control::Snapshot { ticks: 1 });
    harness.ticks(&[("A", 2)]);
    harness.control(&Control::Live);
    assert_eq!(format_events(&harness.control(&Control::Position { pos: 3 })), ["two:3"]);
    assert_eq!(format_events(&harness.ticks_to_position(&[("A", 3)], 4)), ["A3", "two:4"]);
    assert_eq!(harness.reconnect("two"), [resume_command(3, r#""A""#, "two", 4)]);
}

#[test]
fn names_without_an_answer_are_subscribed_to_again() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A"], 10);
    harness.subscribe(2, &["B"]);
    let plain = r#"{"action":"subscribe","id":4,"trades":["B"],"pos":true}"#;
    assert_eq!(
        harness.reconnect("one"),
        [resume_command(3, r#""A""#, "one", 10), plain.to_owned()]
    );
}

#[test]
fn names_of_latest_are_not_resumed() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_and_answer(1, &["A"], LATEST);
    harness.subscribe_at(&["B"], 10);
    let latest = r#"{"action":"subscribe","id":3,"trades":["A"],"delivery":"latest"}"#;
    assert_eq!(
        harness.reconnect("one"),
        [latest.to_owned(), resume_command(4, r#""B""#, "one", 10)]
    );
}

#[test]
fn position_does_not_cover_names_without_an_answer() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A"], 100);
    harness.subscribe_with(2, &["B"], after("one:50"));
    assert_eq!(format_events(&harness.ticks_to_position(&[("A", 9)], 110)), ["A9"]);
    let again = harness.reconnect("one");
    assert_eq!(
        again,
        [resume_command(3, r#""A""#, "one", 100), resume_command(4, r#""B""#, "one", 50)],
        "a loss of the connection before the answer loses no ticks"
    );
    harness.answer_command(
        3,
        Delivery::Every,
        trades(&["A"]),
        Some(100),
        Some(ResumeOutcome::Complete),
    );
    assert!(
        format_events(&harness.ticks_to_position(&[("A", 9)], 110)).is_empty(),
        "A9 was received before"
    );
    harness.answer_command(
        4,
        Delivery::Every,
        trades(&["B"]),
        Some(50),
        Some(ResumeOutcome::Complete),
    );
    assert_eq!(
        format_events(&harness.ticks_to_position(&[("B", 1)], 60)),
        ["B1"],
        "ticks of A after 60 were delivered"
    );
    assert_eq!(harness.reconnect("one"), [resume_command(5, r#""A","B""#, "one", 60)]);
    harness.answer(&["A", "B"], 60, Some(ResumeOutcome::Complete));
    let events = harness.ticks_to_position(&[("A", 9), ("B", 2), ("A", 10)], 130);
    assert_eq!(format_events(&events), ["B2", "A10", "one:130"]);
}

#[test]
fn repetition_is_a_fault_on_one_connection_but_not_across_two() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A"], 10);
    harness.ticks_to_position(&[("A", 1), ("A", 2)], 12);
    harness.reconnect("one");
    harness.answer(&["A"], 12, Some(ResumeOutcome::Complete));
    assert_eq!(format_events(&harness.ticks(&[("A", 1), ("A", 2), ("A", 3)])), ["A3"]);
    assert_eq!(format_events(&harness.ticks(&[("A", 3)])), ["A trades 3 instead of 4"]);
}

#[test]
fn restarted_application_continues_after_its_position() {
    let mut harness = harness(Encoding::Json);
    let commands = harness.subscribe_with(1, &["A"], after("one:77"));
    assert_eq!(commands, [resume_command(1, r#""A""#, "one", 77)]);
    assert_eq!(
        harness.reconnect("one"),
        [resume_command(2, r#""A""#, "one", 77)],
        "there was no answer"
    );
    assert_eq!(harness.answer(&["A"], 77, Some(ResumeOutcome::Gap)), ["one:77"]);
    assert_eq!(format_events(&harness.gap("A", None, Some(30))), ["gap A trades ?-30"]);
    assert_eq!(format_events(&harness.ticks_to_position(&[("A", 31)], 80)), ["A31", "one:80"]);
    assert_eq!(harness.reconnect("one"), [resume_command(3, r#""A""#, "one", 80)]);
}

#[test]
fn resume_from_another_epoch_starts_with_a_snapshot() {
    let mut harness = harness(Encoding::Json);
    let commands = harness.subscribe_with(1, &["A"], after("zero:77"));
    assert_eq!(commands, [resume_command(1, r#""A""#, "zero", 77)]);
    assert!(harness.answer(&["A"], 5, Some(ResumeOutcome::NewEpoch)).is_empty());
    assert_eq!(format_events(&harness.ticks_to_position(&[("A", 1)], 6)), ["A1", "one:6"]);
    assert_eq!(harness.reconnect("one"), [resume_command(2, r#""A""#, "one", 6)]);
}

#[test]
fn no_position_is_reported_before_the_gaps_of_an_answer() {
    for (resumed, epoch) in [(ResumeOutcome::Gap, "one"), (ResumeOutcome::NewEpoch, "zero")] {
        let mut harness = harness(Encoding::Json);
        harness.subscribe_with(1, &["A", "B"], after(&format!("{epoch}:50")));
        for position in harness.answer(&["A", "B"], 90, Some(resumed)) {
            assert_eq!(position, "one:50", "the gaps are after it");
        }
        harness.gap("A", None, None);
        let again = resume_command(2, r#""A","B""#, epoch, 50);
        assert_eq!(harness.reconnect("one"), [again], "the gap of B has not been announced");
        harness.answer(&["A", "B"], 90, Some(resumed));
        harness.gap("A", None, None);
        harness.gap("B", None, None);
        assert_eq!(format_events(&harness.control(&Control::Position { pos: 95 })), ["one:95"]);
        assert_eq!(harness.reconnect("one"), [resume_command(3, r#""A","B""#, "one", 95)]);
    }
}

#[test]
fn position_is_not_reported_while_other_names_are_at_a_lower_one() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_with(1, &["A"], after("one:50"));
    harness.subscribe_with(2, &["B"], after("one:20"));
    let number = harness.session.sent - 1;
    let all = Some(ResumeOutcome::Complete);
    let events = harness.answer_command(number, Delivery::Every, trades(&["A"]), Some(50), all);
    assert!(format_events(&events[1..]).is_empty(), "{events:?}");
    assert!(harness.answer(&["B"], 20, all).is_empty());
    assert_eq!(format_events(&harness.ticks_to_position(&[("B", 1)], 60)), ["B1", "one:60"]);
}

#[test]
fn resumed_symbol_that_a_wildcard_covers_is_delivered_without_repetition() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["*"], 100);
    harness.ticks_to_position(&[("B", 6), ("B", 7)], 102);
    harness.subscribe_with(2, &["B"], after("one:50"));
    assert_eq!(
        format_events(&harness.ticks_to_position(&[("B", 8)], 103)),
        ["B8"],
        "before the answer"
    );
    harness.answer(&["B"], 50, Some(ResumeOutcome::Gap));
    assert_eq!(format_events(&harness.gap("B", None, Some(3))), ["gap B trades ?-3"]);
    let events =
        harness.ticks_to_position(&[("B", 4), ("B", 5), ("B", 6), ("B", 7), ("B", 8)], 103);
    assert_eq!(format_events(&events), ["B4", "B5", "one:103"]);
    let events = harness.ticks_to_position(&[("B", 9), ("B", 11), ("B", 11)], 110);
    let expected = ["B9", "gap B trades 10-10", "B11", "B trades 11 instead of 12", "one:110"];
    assert_eq!(format_events(&events), expected);
}

#[test]
fn symbol_resumed_by_a_second_command_after_a_wildcard_is_no_fault() {
    let mut harness = harness(Encoding::Json);
    let symbols: Vec<String> = (0..20_000).map(|n| format!("A{n:05}")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).chain(["B", "*"]).collect();
    harness.subscribe_with(1, &symbols, Start::Now);
    for number in 1..=2 {
        let names = trades(if number == 1 { &symbols[..20_000] } else { &["B"] });
        let names = if number == 1 { with_wildcard(names) } else { names };
        harness.answer_command(number, Delivery::Every, names, Some(10), None);
    }
    harness.ticks_to_position(&[("B", 1)], 11);
    assert_eq!(harness.reconnect("one").len(), 2);
    let names = with_wildcard(trades(&symbols[..20_000]));
    harness.answer_command(3, Delivery::Every, names, Some(11), Some(ResumeOutcome::Complete));
    assert_eq!(format_events(&harness.ticks_to_position(&[("B", 2), ("B", 3)], 13)), ["B2", "B3"]);
    harness.answer(&["B"], 11, Some(ResumeOutcome::Complete));
    let events = harness.ticks_to_position(&[("B", 2), ("B", 3), ("B", 4)], 14);
    assert_eq!(format_events(&events), ["B4", "one:14"]);
}

fn with_wildcard(mut names: SubscriptionSet) -> SubscriptionSet {
    names[Channel::Trades].all = true;
    names
}

#[test]
fn position_does_not_move_between_a_lag_and_the_end_of_recovery() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A", "B"], 10);
    harness.ticks_to_position(&[("A", 1)], 11);
    harness.lag("A", Some(2), Some(5));
    assert!(
        format_events(&harness.ticks_to_position(&[], 20)).is_empty(),
        "a position after a correction"
    );
    let heartbeat = |pos| Control::Heartbeat { time: UnixNanos(1), pos: Some(pos) };
    assert!(harness.control(&heartbeat(25)).is_empty());
    harness.subscribe(2, &["C"]);
    assert!(harness.answer(&["C"], 30, None).is_empty(), "A and B are latest");
    harness.subscribe(3, &["A"]);
    assert!(harness.answer(&["A"], 40, None).is_empty(), "B is latest");
    assert!(harness.control(&heartbeat(45)).is_empty());
    let again = harness.session.desired.groups().len();
    assert_eq!(
        (again, harness.session.progress.position().unwrap().to_string()),
        (1, "one:11".to_owned())
    );
    harness.subscribe(4, &["B"]);
    assert!(harness.answer(&["B"], 50, None).is_empty(), "ticks of A after 30 were delivered");
    assert_eq!(harness.session.progress.position().unwrap().to_string(), "one:30");
    assert_eq!(format_events(&harness.control(&heartbeat(55))), ["one:55"]);
    assert_eq!(harness.reconnect("one"), [resume_command(5, r#""A","B","C""#, "one", 55)]);
}

#[test]
fn lag_ends_when_the_downgraded_names_are_unsubscribed() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A", "B"], 10);
    harness.lag("A", Some(2), Some(5));
    harness.subscribe(2, &["A"]);
    harness.answer(&["A"], 30, None);
    harness.session.on_request(&Request {
        id: 3,
        change: Change::Unsubscribe,
        names: trades(&["B"]),
    });
    harness.answer_last(Delivery::Every, trades(&["B"]));
    assert_eq!(format_events(&harness.ticks_to_position(&[("A", 6)], 40)), ["A6", "one:40"]);
}

#[test]
fn replay_is_requested_until_it_starts_and_resumed_afterwards() {
    let mut harness = harness(Encoding::Json);
    let command = |id: u64| {
        format!(r#"{{"action":"subscribe","from":"-5m","id":{id},"trades":["A"],"pos":true}}"#)
    };
    assert_eq!(harness.subscribe_with(1, &["A"], replay()), [command(1)]);
    assert_eq!(harness.reconnect("one"), [command(2)]);
    harness.answer(&["A"], 40, None);
    assert_eq!(
        format_events(&harness.ticks_to_position(&[("A", 7), ("A", 8)], 60)),
        ["A7", "A8", "one:60"]
    );
    assert_eq!(harness.reconnect("one"), [resume_command(3, r#""A""#, "one", 60)]);
}

#[test]
fn replay_delivers_older_ticks_than_those_received_before() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_and_answer(1, &["A"], LATEST);
    harness.ticks(&[("A", 100)]);
    harness.subscribe_with(2, &["A"], replay());
    assert_eq!(
        format_events(&harness.ticks(&[("A", 104)])),
        ["A104"],
        "delivery is latest until the answer"
    );
    harness.answer(&["A"], 40, None);
    assert_eq!(format_events(&harness.ticks(&[("A", 7), ("A", 8)])), ["A7", "A8"]);
}

#[test]
fn session_that_lagged_resumes_without_reporting_its_gap_again() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A"], 10);
    harness.ticks_to_position(&[("A", 1)], 11);
    assert_eq!(
        format_events(&harness.lag("A", Some(2), Some(5))),
        ["lagged A trades Some(2)-Some(5)"]
    );
    assert_eq!(format_events(&harness.ticks(&[("A", 6), ("A", 9)])), ["A6", "A9"]);
    let again = harness.reconnect("one");
    assert!(again[0].contains(r#""resume":{"epoch":"one","pos":11}"#), "{again:?}");
    harness.answer(&["A"], 11, Some(ResumeOutcome::Gap));
    assert!(harness.gap("A", None, Some(3)).is_empty());
    let events = harness.ticks_to_position(&[("A", 4), ("A", 9), ("A", 10)], 30);
    assert_eq!(format_events(&events), ["A10", "one:30"]);
}

#[test]
fn subscribe_after_unsubscribing_everything_starts_fresh() {
    let mut harness = harness(Encoding::Json);
    harness.subscribe_at(&["A"], 10);
    harness.session.on_request(&Request {
        id: 2,
        change: Change::Unsubscribe,
        names: trades(&["A"]),
    });
    harness.answer_last(Delivery::Every, trades(&["A"]));
    harness.subscribe(3, &["B"]);
    assert_eq!(harness.answer(&["B"], 500, None), ["one:500"]);
}

#[test]
fn replay_at_a_finite_speed_is_one_command() {
    let symbols: Vec<String> = (0..50_000).map(|n| format!("S{n}")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let from = ReplayStart::Ago(Duration::from_secs(300));
    for (speed, count) in [(ReplaySpeed::Max, 3), (ReplaySpeed::factor(20.0).unwrap(), 1)] {
        let mut harness = harness(Encoding::Json);
        let start = Start::Replay(Replay { from, speed });
        let commands = harness.subscribe_with(1, &symbols, start);
        assert_eq!(commands.len(), count, "{speed}");
        assert!(commands.iter().all(|command| command.len() <= COMMAND_BYTES_MAX));
        assert_eq!(harness.reconnect("one").len(), count, "{speed}");
    }
}
