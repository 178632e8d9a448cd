use tickwire_feeder::{SimConfig, Simulator};
use tickwire_protocol::{Seq, Symbol};

use super::*;

/// Builds the messages of a hub that has numbered the market.
struct Hub {
    epoch: &'static str,
    ticks: Vec<Tick>,
}

fn config() -> SimConfig {
    SimConfig { symbols: 5, ticks_max: Some(2_000), ..SimConfig::default() }
}

impl Hub {
    /// Creates a hub whose epoch starts at index `begin` of the market.
    fn new(epoch: &'static str, begin: usize) -> Self {
        let mut seqs: HashMap<Topic, u64> = HashMap::new();
        let number = |mut tick: Tick| {
            let seq = seqs.entry(topic_of(&tick)).or_default();
            *seq += 1;
            tick.seq = Seq(*seq);
            tick
        };
        Self { epoch, ticks: Simulator::new(config()).skip(begin).map(number).collect() }
    }

    fn connected(&self) -> Vec<Received> {
        vec![Received::Connected { epoch: self.epoch.to_owned() }]
    }

    /// Returns a range of ticks as a data message, with the position at its end.
    fn data(&self, range: std::ops::Range<usize>) -> Vec<Received> {
        let position = Received::Position(range.end as u64);
        self.ticks[range].iter().cloned().map(Received::Tick).chain([position]).collect()
    }

    /// Returns the sequence number of the last tick of each topic before index `end`.
    fn newest(&self, end: usize) -> HashMap<Topic, u64> {
        self.ticks[..end].iter().map(|tick| (topic_of(tick), tick.seq.0)).collect()
    }
}

fn ack(resumed: Option<ResumeOutcome>, position: u64) -> Vec<Received> {
    vec![Received::Ack { resumed, position: Some(position) }]
}

fn subscriber(returns: ResumeMode) -> Subscriber {
    let subscription = Subscription {
        channels: vec![Channel::Trades, Channel::Quotes],
        symbols: None,
        delivery: Delivery::Every(returns),
    };
    Subscriber::new("client".to_owned(), subscription)
}

/// Returns a client that resumes by position and has received the first 100 ticks.
fn started(hub: &Hub) -> (Checker, Subscriber) {
    let mut checker = Checker::new(config());
    let mut client = subscriber(ResumeMode::FromPosition);
    assert_eq!(client.command(), None, "no command before the epoch is known");
    client.on_message(&mut checker, hub.connected());
    let command = client.command().unwrap();
    assert!(command.contains(r#""trades":["*"]"#) && !command.contains("resume"), "{command}");
    client.on_message(&mut checker, ack(None, 0));
    client.on_message(&mut checker, hub.data(0..100));
    assert_eq!(checker.violations, []);
    (checker, client)
}

/// Reconnects the client and returns its command.
fn reconnect(hub: &Hub, checker: &mut Checker, client: &mut Subscriber) -> String {
    client.begin();
    client.on_message(checker, hub.connected());
    client.command().unwrap()
}

fn only(checker: &Checker) -> &Violation {
    match checker.violations.as_slice() {
        [(_, violation)] => violation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn correct_stream_has_no_violations() {
    let hub = Hub::new("one", 0);
    let (mut checker, mut client) = started(&hub);
    let command = reconnect(&hub, &mut checker, &mut client);
    assert!(command.contains(r#""resume":{"epoch":"one","pos":100}"#), "{command}");
    client.on_message(&mut checker, ack(Some(ResumeOutcome::Complete), 100));
    client.on_message(&mut checker, hub.data(100..250));
    assert_eq!(checker.violations, []);
    assert_eq!(client.stale_topics("one", &hub.newest(250)), []);
    assert_eq!((checker.counts.ticks, checker.counts.positions), (250, 2));
}

#[test]
fn lost_repeated_and_changed_ticks_are_found() {
    let hub = Hub::new("one", 0);
    let (mut checker, mut client) = started(&hub);
    client.on_message(&mut checker, hub.data(101..200));
    assert!(matches!(only(&checker), Violation::Lost { .. }));
    assert_eq!(checker.counts.lost, 1);

    let (mut checker, mut client) = started(&hub);
    client.on_message(&mut checker, hub.data(99..100));
    assert!(matches!(only(&checker), Violation::Repeated { .. }));

    let (mut checker, mut client) = started(&hub);
    let tick = Tick { time: hub.ticks[101].time, ..hub.ticks[100].clone() };
    client.on_message(&mut checker, vec![Received::Tick(tick), Received::Position(101)]);
    assert!(matches!(only(&checker), Violation::Mismatch { .. }));
}

#[test]
fn order_among_topics_and_positions_are_checked() {
    let hub = Hub::new("one", 0);
    let swap =
        (100..).find(|at| topic_of(&hub.ticks[*at]) != topic_of(&hub.ticks[at + 1])).unwrap();
    let (mut checker, mut client) = started(&hub);
    client.on_message(&mut checker, hub.data(100..swap));
    let first = hub.ticks[swap + 1].clone();
    let second = hub.ticks[swap].clone();
    let swapped = vec![Received::Tick(first), Received::Tick(second), Received::Position(102)];
    client.on_message(&mut checker, swapped);
    assert!(matches!(checker.violations[0].1, Violation::OutOfOrder { .. }));

    let (mut checker, mut client) = started(&hub);
    let mut late = hub.data(100..110);
    late.pop();
    client.on_message(&mut checker, late.clone());
    assert!(matches!(only(&checker), Violation::Protocol(_)));
    late.push(Received::Position(109));
    let (mut checker, mut client) = started(&hub);
    client.on_message(&mut checker, late);
    assert_eq!(*only(&checker), Violation::WrongPosition { received: 109, expected: 110 });
}

#[test]
fn gaps_must_report_exactly_the_missing_ticks() {
    let hub = Hub::new("one", 0);
    let topic = topic_of(&hub.ticks[100]);
    let from = hub.ticks[100].seq.0;
    let check = |gap_from: Option<u64>, gap_to: Option<u64>| {
        let (mut checker, mut client) = started(&hub);
        reconnect(&hub, &mut checker, &mut client);
        client.on_message(&mut checker, ack(Some(ResumeOutcome::Gap), 100));
        client.on_message(&mut checker, vec![Received::Gap { topic, from: gap_from, to: gap_to }]);
        client.on_message(&mut checker, hub.data(101..102));
        checker
    };
    let checker = check(None, Some(from));
    assert!(checker.violations.is_empty() || topic_of(&hub.ticks[101]) != topic, "{checker:?}");
    assert_eq!((checker.counts.gaps, checker.counts.gap_ticks), (1, 1));
    for (gap_from, gap_to) in
        [(Some(from + 1), None), (Some(from + 1), Some(from + 1)), (None, Some(from - 1))]
    {
        let checker = check(gap_from, gap_to);
        let found = matches!(checker.violations[0].1, Violation::WrongGap { .. });
        assert!(found, "{gap_from:?} {gap_to:?}: {:?}", checker.violations);
    }
    // A gap that covers a tick which then arrives makes that tick a repetition.
    let (mut checker, mut client) = started(&hub);
    reconnect(&hub, &mut checker, &mut client);
    client.on_message(&mut checker, ack(Some(ResumeOutcome::Gap), 100));
    client.on_message(&mut checker, vec![Received::Gap { topic, from: None, to: Some(from) }]);
    client.on_message(&mut checker, hub.data(100..101));
    assert!(matches!(only(&checker), Violation::Repeated { .. }));
}

#[test]
fn gap_without_an_end_excuses_missing_ticks_until_the_next_tick() {
    let hub = Hub::new("one", 0);
    let topic = topic_of(&hub.ticks[100]);
    let again = (101..).filter(|at| topic_of(&hub.ticks[*at]) == topic);
    let [second, third] = again.take(2).collect::<Vec<_>>()[..] else { panic!("a short market") };
    let check = |received: &[usize]| {
        let (mut checker, mut client) = started(&hub);
        reconnect(&hub, &mut checker, &mut client);
        client.on_message(&mut checker, ack(Some(ResumeOutcome::Gap), 100));
        client.on_message(&mut checker, vec![Received::Gap { topic, from: None, to: None }]);
        assert_eq!(client.stale_topics("one", &hub.newest(101)), [], "nothing is known");
        for at in received {
            let tick = Received::Tick(hub.ticks[*at].clone());
            let position = Received::Position(*at as u64 + 1);
            client.on_message(&mut checker, vec![tick, position]);
        }
        checker
    };
    let checker = check(&[second, third]);
    assert_eq!((checker.violations.as_slice(), checker.counts.unbounded_gaps), (&[][..], 1));
    let forth = (third + 1..).find(|at| topic_of(&hub.ticks[*at]) == topic).unwrap();
    assert!(matches!(only(&check(&[second, forth])), Violation::Lost { .. }));
}

#[test]
fn new_epoch_needs_gaps_and_a_snapshot() {
    let hub = Hub::new("one", 0);
    let next = Hub::new("two", 60);
    let check = |skip_gap: usize, skip_value: usize| {
        let (mut checker, mut client) = started(&hub);
        reconnect(&next, &mut checker, &mut client);
        client.on_message(&mut checker, ack(Some(ResumeOutcome::NewEpoch), 50));
        let newest = next.newest(50);
        for topic in newest.keys().skip(skip_gap) {
            client.on_message(
                &mut checker,
                vec![Received::Gap { topic: *topic, from: None, to: None }],
            );
        }
        let newest = newest.iter().skip(skip_value);
        client.on_message(&mut checker, vec![Received::Snapshot { ticks: newest.len() as u64 }]);
        for (topic, seq) in newest {
            let last =
                next.ticks.iter().find(|tick| topic_of(tick) == *topic && tick.seq.0 == *seq);
            client.on_message(&mut checker, vec![Received::Tick(last.unwrap().clone())]);
        }
        client.on_message(&mut checker, vec![Received::Live]);
        client.on_message(&mut checker, next.data(50..60));
        (checker, client)
    };
    let (checker, client) = check(0, 0);
    assert_eq!(checker.violations, []);
    assert_eq!(checker.counts.resumed_epoch, 1);
    assert_eq!(client.stale_topics("two", &next.newest(60)), []);
    assert!(!client.stale_topics("two", &next.newest(61)).is_empty());
    assert!(matches!(check(1, 0).0.violations[0].1, Violation::Protocol(_)));
    let (checker, _) = check(0, 1);
    assert_eq!((checker.violations.as_slice(), checker.counts.unbounded_gaps), (&[][..], 1));
}

#[test]
fn interrupted_gaps_and_snapshots_are_requested_again() {
    let hub = Hub::new("one", 0);
    let (mut checker, mut client) = started(&hub);
    reconnect(&hub, &mut checker, &mut client);
    client.on_message(&mut checker, ack(Some(ResumeOutcome::Gap), 110));
    let topic = topic_of(&hub.ticks[100]);
    let to = Some(hub.ticks[100].seq.0);
    client.on_message(&mut checker, vec![Received::Gap { topic, from: None, to }]);
    let command = reconnect(&hub, &mut checker, &mut client);
    assert!(command.contains(r#""resume":{"epoch":"one","pos":100}"#), "{command}");

    let mut checker = Checker::new(config());
    let mut client = subscriber(ResumeMode::FromPosition);
    client.on_message(&mut checker, hub.connected());
    client.command().unwrap();
    client.on_message(&mut checker, ack(None, 50));
    client.on_message(&mut checker, vec![Received::Snapshot { ticks: 3 }]);
    let command = reconnect(&hub, &mut checker, &mut client);
    assert!(!command.contains("resume"), "{command}");
    assert_eq!(checker.violations, []);
}

#[test]
fn slow_session_ends_with_its_error_and_resumes() {
    let hub = Hub::new("one", 0);
    let (mut checker, mut client) = started(&hub);
    client.on_message(&mut checker, vec![Received::SlowClient]);
    assert!(client.is_slow());
    let command = reconnect(&hub, &mut checker, &mut client);
    assert!(!client.is_slow());
    assert!(command.contains(r#""resume":{"epoch":"one","pos":100}"#), "{command}");
    assert_eq!((checker.counts.slow, checker.violations.as_slice()), (1, &[][..]));

    let (mut checker, mut client) = started(&hub);
    client.on_message(&mut checker, vec![Received::SlowClient]);
    client.on_message(&mut checker, hub.data(100..101));
    assert!(matches!(checker.violations[0].1, Violation::Protocol(_)), "a tick after the error");

    let (mut checker, mut client) = started(&hub);
    client.subscription.delivery = Delivery::Latest { max_rate: None };
    client.on_message(&mut checker, vec![Received::SlowClient]);
    assert!(matches!(only(&checker), Violation::Protocol(_)), "`latest` never lags");
}

#[test]
fn interrupted_gaps_are_requested_again_after_a_lag() {
    let hub = Hub::new("one", 0);
    let (mut checker, mut client) = started(&hub);
    reconnect(&hub, &mut checker, &mut client);
    client.on_message(&mut checker, ack(Some(ResumeOutcome::Gap), 110));
    let gap = Received::Gap {
        topic: topic_of(&hub.ticks[100]),
        from: None,
        to: Some(hub.ticks[100].seq.0),
    };
    client.on_message(&mut checker, vec![gap, Received::SlowClient]);
    let command = reconnect(&hub, &mut checker, &mut client);
    assert!(command.contains(r#""resume":{"epoch":"one","pos":100}"#), "{command}");
}

#[test]
fn gaps_among_live_ticks_may_come_again_after_a_cut() {
    let hub = Hub::new("one", 0);
    let (mut checker, mut client) = started(&hub);
    let gap = || Received::Gap {
        topic: topic_of(&hub.ticks[100]),
        from: None,
        to: Some(hub.ticks[100].seq.0),
    };
    reconnect(&hub, &mut checker, &mut client);
    client.on_message(&mut checker, ack(Some(ResumeOutcome::Complete), 100));
    client.on_message(&mut checker, vec![gap()]);
    let command = reconnect(&hub, &mut checker, &mut client);
    assert!(command.contains(r#""resume":{"epoch":"one","pos":100}"#), "{command}");
    client.on_message(&mut checker, ack(Some(ResumeOutcome::Complete), 100));
    client.on_message(&mut checker, vec![gap()]);
    assert_eq!(checker.violations, []);
    client.on_message(&mut checker, vec![gap()]);
    assert!(matches!(only(&checker), Violation::WrongGap { .. }), "twice on one connection");
}

#[test]
fn resume_by_seq_names_quiet_symbols_too() {
    let hub = Hub::new("one", 0);
    let symbols: Vec<Symbol> = Simulator::new(config()).symbols().collect();
    let subscription = Subscription {
        channels: vec![Channel::Trades],
        symbols: Some(symbols[..2].to_vec()),
        delivery: Delivery::Every(ResumeMode::FromSeqs),
    };
    let mut checker = Checker::new(config());
    let mut client = Subscriber::new("client".into(), subscription);
    client.on_message(&mut checker, hub.connected());
    client.command().unwrap();
    client.on_message(&mut checker, vec![Received::Ack { resumed: None, position: None }]);
    let trade = (Channel::Trades, symbols[0]);
    let first = hub.ticks.iter().find(|tick| topic_of(tick) == trade).unwrap();
    client.on_message(&mut checker, vec![Received::Tick(first.clone())]);
    let command = reconnect(&hub, &mut checker, &mut client);
    let after = format!(r#""after":{{"trades":{{"{}":1,"{}":0}}}}"#, symbols[0], symbols[1]);
    assert!(command.contains(&after), "{command}");
    assert_eq!(checker.violations, []);
}

#[test]
fn unsubscribed_topics_and_older_snapshots_are_found() {
    let hub = Hub::new("one", 0);
    let (mut checker, mut client) = started(&hub);
    client.subscription.channels = vec![Channel::Bars];
    client.on_message(&mut checker, hub.data(100..101));
    assert!(matches!(checker.violations[0].1, Violation::Protocol(_)));

    let (mut checker, mut client) = started(&hub);
    client.subscription.delivery = Delivery::Every(ResumeMode::Never);
    reconnect(&hub, &mut checker, &mut client);
    client.on_message(&mut checker, vec![Received::Ack { resumed: None, position: None }]);
    client.on_message(&mut checker, vec![Received::Snapshot { ticks: 1 }]);
    client.on_message(&mut checker, vec![Received::Tick(hub.ticks[0].clone())]);
    assert!(matches!(only(&checker), Violation::Repeated { .. }));
}
