use tickwire_feeder::{SimConfig, Simulator};
use tickwire_protocol::Seq;

use super::*;

/// A hub that has numbered a market, and what it tells one client.
struct Hub {
    epoch: &'static str,
    ticks: Vec<Tick>,
}

fn config() -> SimConfig {
    SimConfig { symbols: 5, ticks_max: Some(2_000), ..SimConfig::default() }
}

impl Hub {
    /// A hub that met the market at its tick number `begin`.
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

    fn connected(&self) -> Vec<Heard> {
        vec![Heard::Connected { epoch: self.epoch.to_owned() }]
    }

    /// The ticks from one to another as a data message with its position.
    fn data(&self, range: std::ops::Range<usize>) -> Vec<Heard> {
        let position = Heard::Position(range.end as u64);
        self.ticks[range].iter().cloned().map(Heard::Tick).chain([position]).collect()
    }

    /// The number of the newest tick of a topic before tick number `end`.
    fn newest(&self, end: usize) -> HashMap<Topic, u64> {
        self.ticks[..end].iter().map(|tick| (topic_of(tick), tick.seq.0)).collect()
    }
}

fn ack(resumed: Option<ResumeOutcome>, position: u64) -> Vec<Heard> {
    vec![Heard::Ack { resumed, position: Some(position) }]
}

fn follower(returns: Return) -> Follower {
    let wants = Wants {
        channels: vec![Channel::Trades, Channel::Quotes],
        symbols: None,
        delivery: Delivery::Every(returns),
    };
    Follower::new("client".to_owned(), wants)
}

/// Tells a new client, which resumes by position, the first 100 ticks.
fn begun(hub: &Hub) -> (World, Follower) {
    let (mut world, mut client) = (World::new(config()), follower(Return::ByPosition));
    assert_eq!(client.command(), None, "nothing is asked before the greeting");
    client.hear(&mut world, hub.connected());
    let command = client.command().unwrap();
    assert!(command.contains(r#""trades":["*"]"#) && !command.contains("resume"), "{command}");
    client.hear(&mut world, ack(None, 0));
    client.hear(&mut world, hub.data(0..100));
    assert_eq!(world.violations, []);
    (world, client)
}

/// Reconnects the client.
fn again(hub: &Hub, world: &mut World, client: &mut Follower) -> String {
    client.begin();
    client.hear(world, hub.connected());
    client.command().unwrap()
}

fn only(world: &World) -> &Violation {
    match world.violations.as_slice() {
        [(_, violation)] => violation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_right_is_no_violation() {
    let hub = Hub::new("one", 0);
    let (mut world, mut client) = begun(&hub);
    let command = again(&hub, &mut world, &mut client);
    assert!(command.contains(r#""resume":{"epoch":"one","pos":100}"#), "{command}");
    client.hear(&mut world, ack(Some(ResumeOutcome::Complete), 100));
    client.hear(&mut world, hub.data(100..250));
    assert_eq!(world.violations, []);
    assert_eq!(client.behind("one", &hub.newest(250)), []);
    assert_eq!((world.counts.ticks, world.counts.positions), (250, 2));
}

#[test]
fn a_lost_a_repeated_and_a_changed_tick_are_found() {
    let hub = Hub::new("one", 0);
    let (mut world, mut client) = begun(&hub);
    client.hear(&mut world, hub.data(101..200));
    assert!(matches!(only(&world), Violation::Lost { .. }));
    assert_eq!(world.counts.lost, 1);

    let (mut world, mut client) = begun(&hub);
    client.hear(&mut world, hub.data(99..100));
    assert!(matches!(only(&world), Violation::Repeated { .. }));

    let (mut world, mut client) = begun(&hub);
    let tick = Tick { time: hub.ticks[101].time, ..hub.ticks[100].clone() };
    client.hear(&mut world, vec![Heard::Tick(tick), Heard::Position(101)]);
    assert!(matches!(only(&world), Violation::Wrong { .. }));
}

#[test]
fn order_among_topics_and_positions_are_checked() {
    let hub = Hub::new("one", 0);
    let swap =
        (100..).find(|at| topic_of(&hub.ticks[*at]) != topic_of(&hub.ticks[at + 1])).unwrap();
    let (mut world, mut client) = begun(&hub);
    client.hear(&mut world, hub.data(100..swap));
    let (first, second) = (hub.ticks[swap + 1].clone(), hub.ticks[swap].clone());
    let swapped = vec![Heard::Tick(first), Heard::Tick(second), Heard::Position(102)];
    client.hear(&mut world, swapped);
    assert!(matches!(world.violations[0].1, Violation::Overtaken { .. }));

    let (mut world, mut client) = begun(&hub);
    let mut late = hub.data(100..110);
    late.pop();
    client.hear(&mut world, late.clone());
    assert!(matches!(only(&world), Violation::Protocol(_)));
    late.push(Heard::Position(109));
    let (mut world, mut client) = begun(&hub);
    client.hear(&mut world, late);
    assert_eq!(*only(&world), Violation::Position { given: 109, expected: 110 });
}

#[test]
fn gaps_must_name_what_is_missing_and_nothing_else() {
    let hub = Hub::new("one", 0);
    let topic = topic_of(&hub.ticks[100]);
    let from = hub.ticks[100].seq.0;
    let told = |gap_from: Option<u64>, gap_to: Option<u64>| {
        let (mut world, mut client) = begun(&hub);
        again(&hub, &mut world, &mut client);
        client.hear(&mut world, ack(Some(ResumeOutcome::Gap), 100));
        client.hear(&mut world, vec![Heard::Gap { topic, from: gap_from, to: gap_to }]);
        client.hear(&mut world, hub.data(101..102));
        world
    };
    let world = told(None, Some(from));
    assert!(world.violations.is_empty() || topic_of(&hub.ticks[101]) != topic, "{world:?}");
    assert_eq!((world.counts.gaps, world.counts.gap_ticks), (1, 1));
    for (gap_from, gap_to) in
        [(None, None), (Some(from + 1), Some(from + 1)), (None, Some(from - 1))]
    {
        let world = told(gap_from, gap_to);
        let found = matches!(world.violations[0].1, Violation::Gap { .. });
        assert!(found, "{gap_from:?} {gap_to:?}: {:?}", world.violations);
    }
    // One that covers more than is missing: what it covers then comes as a repetition.
    let (mut world, mut client) = begun(&hub);
    again(&hub, &mut world, &mut client);
    client.hear(&mut world, ack(Some(ResumeOutcome::Gap), 100));
    client.hear(&mut world, vec![Heard::Gap { topic, from: None, to: Some(from) }]);
    client.hear(&mut world, hub.data(100..101));
    assert!(matches!(only(&world), Violation::Repeated { .. }));
}

#[test]
fn a_new_epoch_is_told_with_gaps_and_a_snapshot() {
    let hub = Hub::new("one", 0);
    let next = Hub::new("two", 60);
    let told = |skip_gap: usize, skip_value: usize| {
        let (mut world, mut client) = begun(&hub);
        again(&next, &mut world, &mut client);
        client.hear(&mut world, ack(Some(ResumeOutcome::NewEpoch), 50));
        let newest = next.newest(50);
        for topic in newest.keys().skip(skip_gap) {
            client.hear(&mut world, vec![Heard::Gap { topic: *topic, from: None, to: None }]);
        }
        let newest = newest.iter().skip(skip_value);
        client.hear(&mut world, vec![Heard::Snapshot { ticks: newest.len() as u64 }]);
        for (topic, seq) in newest {
            let last =
                next.ticks.iter().find(|tick| topic_of(tick) == *topic && tick.seq.0 == *seq);
            client.hear(&mut world, vec![Heard::Tick(last.unwrap().clone())]);
        }
        client.hear(&mut world, vec![Heard::Live]);
        client.hear(&mut world, next.data(50..60));
        (world, client)
    };
    let (world, client) = told(0, 0);
    assert_eq!(world.violations, []);
    assert_eq!(world.counts.resumed_epoch, 1);
    assert_eq!(client.behind("two", &next.newest(60)), []);
    assert!(!client.behind("two", &next.newest(61)).is_empty());
    assert!(matches!(told(1, 0).0.violations[0].1, Violation::Protocol(_)));
    assert!(matches!(told(0, 1).0.violations[0].1, Violation::Protocol(_)));
}

#[test]
fn gaps_and_snapshots_that_were_cut_are_asked_for_again() {
    let hub = Hub::new("one", 0);
    let (mut world, mut client) = begun(&hub);
    again(&hub, &mut world, &mut client);
    client.hear(&mut world, ack(Some(ResumeOutcome::Gap), 110));
    let topic = topic_of(&hub.ticks[100]);
    let to = Some(hub.ticks[100].seq.0);
    client.hear(&mut world, vec![Heard::Gap { topic, from: None, to }]);
    let command = again(&hub, &mut world, &mut client);
    assert!(command.contains(r#""resume":{"epoch":"one","pos":100}"#), "{command}");

    let (mut world, mut client) = (World::new(config()), follower(Return::ByPosition));
    client.hear(&mut world, hub.connected());
    client.command().unwrap();
    client.hear(&mut world, ack(None, 50));
    client.hear(&mut world, vec![Heard::Snapshot { ticks: 3 }]);
    let command = again(&hub, &mut world, &mut client);
    assert!(!command.contains("resume"), "{command}");
    assert_eq!(world.violations, []);
}

#[test]
fn numbers_of_all_names_are_resumed_from_also_of_quiet_ones() {
    let hub = Hub::new("one", 0);
    let symbols: Vec<Symbol> = Simulator::new(config()).symbols().collect();
    let wants = Wants {
        channels: vec![Channel::Trades],
        symbols: Some(symbols[..2].to_vec()),
        delivery: Delivery::Every(Return::ByNumbers),
    };
    let (mut world, mut client) = (World::new(config()), Follower::new("client".into(), wants));
    client.hear(&mut world, hub.connected());
    client.command().unwrap();
    client.hear(&mut world, vec![Heard::Ack { resumed: None, position: None }]);
    let trade = (Channel::Trades, symbols[0]);
    let first = hub.ticks.iter().find(|tick| topic_of(tick) == trade).unwrap();
    client.hear(&mut world, vec![Heard::Tick(first.clone())]);
    let command = again(&hub, &mut world, &mut client);
    let after = format!(r#""after":{{"trades":{{"{}":1,"{}":0}}}}"#, symbols[0], symbols[1]);
    assert!(command.contains(&after), "{command}");
    assert_eq!(world.violations, []);
}

#[test]
fn what_was_not_asked_for_and_what_goes_back_is_found() {
    let hub = Hub::new("one", 0);
    let (mut world, mut client) = begun(&hub);
    client.wants.channels = vec![Channel::Bars];
    client.hear(&mut world, hub.data(100..101));
    assert!(matches!(world.violations[0].1, Violation::Protocol(_)));

    let (mut world, mut client) = begun(&hub);
    client.wants.delivery = Delivery::Every(Return::Afresh);
    again(&hub, &mut world, &mut client);
    client.hear(&mut world, vec![Heard::Ack { resumed: None, position: None }]);
    client.hear(&mut world, vec![Heard::Snapshot { ticks: 1 }]);
    client.hear(&mut world, vec![Heard::Tick(hub.ticks[0].clone())]);
    assert!(matches!(only(&world), Violation::Repeated { .. }));
}
