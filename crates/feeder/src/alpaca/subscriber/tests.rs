mod exchange;

use rand::RngExt;
use tickwire_testkit::seeds;

use super::super::names::each;
use super::*;

const LINGER: Duration = Duration::from_secs(60);

/// A simulated upstream with a symbol limit.
struct Upstream {
    subscriber: Subscriber,
    held: NameSet,
    room: usize,
    /// Whether `room` is that of each channel instead of all together.
    is_per_channel: bool,
    /// Returns whether a symbol is invalid.
    unknown: fn(&str) -> bool,
    /// A channel that the upstream does not have.
    without: Option<Channel>,
    /// The answer to `"*"`: accepted, or refused with this code.
    everything: Result<(), ErrorCode>,
    requests: u64,
    now: UnixNanos,
}

fn set(text: &str) -> NameSet {
    let mut names = SubscriptionSet::default();
    for name in text.split_ascii_whitespace() {
        let (channel, symbol) = name.split_once(':').unwrap();
        names[Channel::from_name(channel).unwrap()].add(symbol).unwrap();
    }
    each(&names).collect()
}

fn trades(count: usize) -> NameSet {
    set(&(0..count).map(|number| format!("trades:S{number:05} ")).collect::<String>())
}

impl Upstream {
    fn new() -> Self {
        let channels = super::super::AlpacaConfig::CHANNELS.into_iter().collect();
        let mut subscriber = Subscriber::new(NameSet::new(), channels, LINGER);
        subscriber.begin();
        Self {
            subscriber,
            held: NameSet::new(),
            room: usize::MAX,
            is_per_channel: false,
            unknown: |_| false,
            without: None,
            everything: Ok(()),
            requests: 0,
            now: UnixNanos(1),
        }
    }

    fn set_demand(&mut self, names: &NameSet) {
        self.subscriber.set_demand(names, self.now);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.settle();
    }

    fn reconnect(&mut self) {
        self.held.clear();
        self.subscriber.begin();
        self.settle();
    }

    /// Answers the requests of the subscriber until it has no more.
    fn settle(&mut self) {
        while let Some(command) = self.subscriber.ask(self.now) {
            self.requests += 1;
            assert!(self.requests < 10_000, "requests never end");
            assert_eq!(self.subscriber.ask(self.now), None, "one request at a time");
            match self.judge(command) {
                Ok(()) => self.confirm(),
                Err(code) => assert!(self.subscriber.denied(code)),
            }
        }
    }

    fn confirm(&mut self) {
        self.subscriber.confirmed(&collect(self.held.iter().copied()), self.now);
    }

    fn judge(&mut self, command: Command) -> Result<(), ErrorCode> {
        match command {
            Command::Subscribe(asked) => {
                let names: NameSet = each(&asked.names).collect();
                assert!((1..=REQUEST_NAMES_MAX).contains(&names.len()));
                let unknown =
                    |name: &Name| name.1.is_some_and(|symbol| (self.unknown)(symbol.as_str()));
                if names.iter().any(|name| Some(name.0) == self.without) {
                    return Err(ErrorCode::InvalidAction);
                }
                if names.iter().any(unknown) {
                    return Err(ErrorCode::InvalidSyntax);
                }
                if names.iter().any(|name| name.1.is_none()) {
                    self.everything?;
                }
                let channel = names.first().map(|name| name.0);
                let counts = |name: &&Name| !self.is_per_channel || Some(name.0) == channel;
                if self.held.union(&names).filter(counts).count() > self.room {
                    return Err(ErrorCode::SymbolLimit);
                }
                self.held.extend(names);
            }
            Command::Unsubscribe(asked) => {
                for name in each(&asked.names) {
                    assert!(self.held.remove(&name), "{name:?} was not subscribed");
                }
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

#[test]
fn wanted_names_are_subscribed_and_unsubscribed_after_the_linger() {
    let mut upstream = Upstream::new();
    upstream.set_demand(&set("trades:A trades:B quotes:A"));
    assert_eq!(upstream.held, set("trades:A trades:B quotes:A"));
    assert_eq!(upstream.requests, 2, "one for each channel");
    upstream.set_demand(&set("trades:A"));
    upstream.pass(LINGER - Duration::from_nanos(1));
    assert_eq!((upstream.held.len(), upstream.requests), (3, 2));
    upstream.pass(Duration::from_nanos(1));
    assert_eq!((upstream.held.clone(), upstream.requests), (set("trades:A"), 4));
    upstream.pass(LINGER * 2);
    assert_eq!(upstream.requests, 4);
}

#[test]
fn name_wanted_again_within_the_linger_stays_subscribed() {
    let mut upstream = Upstream::new();
    upstream.set_demand(&set("trades:A"));
    for _ in 0..5 {
        upstream.set_demand(&set(""));
        upstream.pass(LINGER / 2);
        upstream.set_demand(&set("trades:A"));
        upstream.pass(LINGER);
    }
    assert_eq!((upstream.held.clone(), upstream.requests), (set("trades:A"), 1));
}

#[test]
fn wildcard_covers_names_until_it_is_refused() {
    let mut upstream = Upstream::new();
    upstream.set_demand(&set("trades:* trades:A quotes:B"));
    assert_eq!(upstream.held, set("trades:* quotes:B"));
    upstream.set_demand(&set("trades:A quotes:B"));
    assert_eq!(upstream.held, set("trades:* trades:A quotes:B"), "the name before the rest goes");
    upstream.pass(LINGER);
    assert_eq!(upstream.held, set("trades:A quotes:B"));

    let mut without = Upstream::new();
    without.room = 1;
    without.set_demand(&set("trades:A"));
    without.set_demand(&set("trades:* trades:A"));
    assert_eq!(without.held, set("trades:A"));
}

#[test]
fn refused_wildcard_does_not_block_names() {
    for code in [ErrorCode::SymbolLimit, ErrorCode::InvalidSyntax] {
        let mut upstream = Upstream::new();
        upstream.room = 3;
        upstream.everything = Err(code);
        upstream.set_demand(&set("trades:* trades:A trades:B"));
        assert_eq!(upstream.held, set("trades:A trades:B"));
        upstream.set_demand(&set("trades:A trades:B trades:C trades:D"));
        assert_eq!(upstream.held, set("trades:A trades:B trades:C"));
        assert_eq!(upstream.subscriber.refused(), 1);
    }
}

#[test]
fn corrections_come_with_trades_and_other_channels_only_if_relayed() {
    let mut upstream = Upstream::new();
    upstream.subscriber.channels = BTreeSet::from([Channel::Trades]);
    upstream.set_demand(&set("corrections:A cancelErrors:B quotes:C"));
    assert_eq!(upstream.held, set("trades:A trades:B"));
}

#[test]
fn symbol_limit_is_filled_and_then_respected() {
    for (room, wanted) in [(0, 5), (1, 2), (30, 1_000), (30, 31), (999, 1_000)] {
        let mut upstream = Upstream::new();
        upstream.room = room;
        upstream.set_demand(&trades(wanted));
        assert_eq!(upstream.held.len(), room);
        assert_eq!(upstream.subscriber.refused(), wanted - room);
        assert!(upstream.requests <= 30, "{} requests for {room} of {wanted}", upstream.requests);
        let before = upstream.requests;
        upstream.pass(LINGER * 10);
        assert_eq!(upstream.requests, before, "it does not ask again");
    }
}

#[test]
fn freed_room_is_used() {
    let mut upstream = Upstream::new();
    upstream.room = 2;
    upstream.set_demand(&set("trades:A trades:B trades:C"));
    assert_eq!(
        upstream.subscriber.describe(),
        "2 names subscribed, 1 over the upstream's symbol limit (405)"
    );
    upstream.set_demand(&set("trades:B trades:C"));
    assert_eq!(upstream.held, set("trades:B trades:C"));
    assert_eq!(upstream.subscriber.describe(), "2 names subscribed");
}

#[test]
fn lingering_names_make_room_at_the_symbol_limit() {
    let mut upstream = Upstream::new();
    upstream.room = 2;
    upstream.set_demand(&set("trades:A trades:B"));
    upstream.set_demand(&set("trades:B"));
    assert_eq!(upstream.held, set("trades:A trades:B"), "it lingers");
    upstream.set_demand(&set("trades:B trades:C trades:D"));
    assert_eq!(upstream.held, set("trades:B trades:C"));
    upstream.set_demand(&set("trades:C trades:D"));
    assert_eq!(upstream.held, set("trades:C trades:D"));
}

#[test]
fn invalid_names_are_isolated_and_the_others_subscribed() {
    let mut upstream = Upstream::new();
    upstream.unknown = |symbol| ["S00003", "S00500", "S00999"].contains(&symbol);
    upstream.set_demand(&trades(1_000));
    assert_eq!((upstream.held.len(), upstream.subscriber.refused()), (997, 3));
    let said = "997 names subscribed, 3 that the upstream rejects (400)";
    assert_eq!(upstream.subscriber.describe(), said);
}

#[test]
fn searches_for_invalid_names_are_rate_limited() {
    let mut upstream = Upstream::new();
    upstream.unknown = |_| true;
    upstream.set_demand(&trades(9_000));
    let pace = SEARCH_AHEAD.as_secs() * 4;
    assert_eq!(upstream.requests, 1 + pace);
    assert!(upstream.subscriber.describe().ends_with(" still to be tried"));
    upstream.pass(Duration::from_secs(10));
    assert_eq!(upstream.requests, 1 + pace + 40);
    upstream.unknown = |_| false;
    upstream.pass(Duration::from_secs(10));
    let refused = upstream.subscriber.refused();
    assert_eq!(upstream.held.len() + refused, 9_000);
}

#[test]
fn invalid_names_do_not_delay_other_names() {
    let mut upstream = Upstream::new();
    upstream.unknown = |symbol| symbol.contains('/');
    for number in 0..2_000 {
        upstream.set_demand(&set(&format!("trades:X/{number} trades:G{number}")));
    }
    // The allowed requests are used up, but valid names without invalid ones are held at once.
    upstream.set_demand(&set("trades:A trades:B"));
    assert!(set("trades:A trades:B").is_subset(&upstream.held));
    // So they are next to a name that was found to be invalid, also on the next connection.
    let wanted = set("trades:A trades:B trades:C trades:X/0");
    upstream.set_demand(&wanted);
    assert!(set("trades:A trades:B trades:C").is_subset(&upstream.held));
    upstream.reconnect();
    assert_eq!(upstream.held, set("trades:A trades:B trades:C"));
    // Those that arrive together with a new invalid name are held a little later.
    upstream.set_demand(&set("trades:A trades:D trades:E trades:F trades:Y/1"));
    upstream.pass(Duration::from_secs(2));
    assert!(set("trades:A trades:D trades:E trades:F").is_subset(&upstream.held));
}

#[test]
fn name_refused_by_mistake_is_subscribed_in_the_next_connection() {
    let mut upstream = Upstream::new();
    upstream.unknown = |_| true;
    upstream.set_demand(&set("trades:A trades:B"));
    assert_eq!((upstream.held.len(), upstream.subscriber.refused()), (0, 2));
    upstream.unknown = |_| false;
    upstream.reconnect();
    assert_eq!(upstream.held, set("trades:A trades:B"));
    assert!(upstream.subscriber.suspects.is_empty());
}

#[test]
fn unknown_channel_is_requested_once() {
    let mut upstream = Upstream::new();
    upstream.without = Some(Channel::Imbalances);
    upstream.set_demand(&set("imbalances:A imbalances:B trades:A"));
    upstream.set_demand(&set("imbalances:A imbalances:B imbalances:C trades:A"));
    assert_eq!((upstream.held.clone(), upstream.requests), (set("trades:A"), 2));
    assert!(
        upstream
            .subscriber
            .describe()
            .ends_with("3 of channels this upstream feed does not have (410)")
    );
}

#[test]
fn name_missing_in_the_answer_counts_as_refused() {
    let mut upstream = Upstream::new();
    upstream.subscriber.set_demand(&set("trades:A trades:B"), upstream.now);
    upstream.subscriber.ask(upstream.now).unwrap();
    upstream.subscriber.confirmed(&collect(set("trades:A quotes:B")), upstream.now);
    assert_eq!(upstream.subscriber.ask(upstream.now), None);
    assert_eq!(
        (upstream.subscriber.held.clone(), upstream.subscriber.refused()),
        (set("trades:A"), 1)
    );
}

#[test]
fn large_sets_are_split_into_requests() {
    let mut upstream = Upstream::new();
    upstream.set_demand(&trades(25_000));
    assert_eq!((upstream.held.len(), upstream.requests), (25_000, 3));
    upstream.set_demand(&set(""));
    upstream.pass(LINGER);
    assert_eq!((upstream.held.len(), upstream.requests), (0, 6));
}

#[test]
fn changes_of_demand_during_requests_converge() {
    let mut chance = seeds!().rng();
    let names: Vec<_> =
        set("trades:A trades:B trades:C trades:* quotes:A quotes:B bars:*").into_iter().collect();
    let mut upstream = Upstream::new();
    let mut wanted = NameSet::new();
    for step in 0..3_000 {
        match chance.random_range(0..4) {
            0 => {
                wanted = names.iter().copied().filter(|_| chance.random_bool(0.4)).collect();
                upstream.subscriber.set_demand(&wanted, upstream.now);
            }
            1 => upstream.now = upstream.now + LINGER.mul_f64(chance.random()),
            2 => {
                // An answer that comes after something else has happened.
                if let Some(command) = upstream.subscriber.ask(upstream.now) {
                    upstream.judge(command).unwrap();
                    wanted = names.iter().copied().filter(|_| chance.random_bool(0.4)).collect();
                    upstream.subscriber.set_demand(&wanted, upstream.now);
                    upstream.now = upstream.now + LINGER.mul_f64(chance.random());
                    upstream.confirm();
                }
            }
            _ => {
                upstream.requests = 0;
                upstream.settle();
                upstream.pass(LINGER);
                let covered = |name: &&Name| name.1.is_some() && wanted.contains(&(name.0, None));
                let needed: NameSet =
                    wanted.iter().filter(|name| !covered(name)).copied().collect();
                let held = &upstream.held;
                let seen = &upstream.subscriber.held;
                assert_eq!(held, seen, "step {step}");
                assert!(needed.is_subset(held), "step {step}: {held:?} {needed:?}");
                assert!(held.is_subset(&wanted), "step {step}: {held:?} {wanted:?}");
            }
        }
    }
}
