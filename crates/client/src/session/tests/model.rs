//! Random conversations with a model of a hub: whenever connections are lost, each topic is
//! delivered completely and in order, or the exact gap is reported.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tickwire_protocol::Command;
use tickwire_testkit::{Seed, seeds};

use super::*;

const SYMBOLS: [&str; 5] = ["A", "B", "C", "D", "E"];

/// A hub with one session. Positions and sequence numbers count from 1.
#[derive(Default)]
struct ModelHub {
    epoch: u32,
    /// All ticks: index of the symbol, and sequence number.
    log: Vec<(usize, u64)>,
    /// How many ticks at the start of the log are no longer available.
    evicted: usize,
    /// By symbol of the session: the position after which its ticks continue.
    names: BTreeMap<usize, usize>,
    /// Commands without an answer.
    commands: Vec<SubscribeRequest>,
}

impl ModelHub {
    fn epoch(&self) -> String {
        format!("epoch{}", self.epoch)
    }

    fn last(&self, symbol: usize) -> u64 {
        self.log.iter().filter(|(ticked, _)| *ticked == symbol).count() as u64
    }

    fn tick(&mut self, symbol: usize) {
        self.log.push((symbol, self.last(symbol) + 1));
    }

    /// Returns the number of the last evicted tick of a symbol after a position.
    fn gap(&self, symbol: usize, after: usize) -> Option<u64> {
        let evicted = self.log.get(after..self.evicted)?;
        evicted.iter().rev().find(|(ticked, _)| *ticked == symbol).map(|(_, seq)| *seq)
    }
}

/// What the application has received of a symbol.
#[derive(Default)]
struct Received {
    /// The last number that was delivered or reported as missing.
    last: Option<u64>,
    /// The last number that was delivered live.
    live: u64,
    ticks: u64,
}

struct Conversation {
    random: StdRng,
    hub: ModelHub,
    harness: Harness,
    received: [Received; SYMBOLS.len()],
    requests: u64,
}

impl Conversation {
    fn new(seed: &Seed) -> Self {
        let session = Session::new(None, None);
        Self {
            random: seed.rng(),
            hub: ModelHub::default(),
            harness: Harness { session, encoding: Encoding::MsgpackArray },
            received: Default::default(),
            requests: 0,
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..45 => self.hub.tick(self.random.random_range(0..SYMBOLS.len())),
            45..70 => self.deliver(),
            70..80 => self.answer(),
            80..86 => self.subscribe(),
            86..94 => self.reconnect(),
            94..98 => self.evict(),
            98 => self.heartbeat(),
            _ => self.restart(),
        }
    }

    fn subscribe(&mut self) {
        let symbol = SYMBOLS[self.random.random_range(0..SYMBOLS.len())];
        self.requests += 1;
        let commands = self.harness.subscribe(self.requests, &[symbol]);
        self.queue(commands);
    }

    /// Queues commands for the hub to answer.
    fn queue(&mut self, commands: Vec<String>) {
        for command in commands {
            match Command::from_json(command.as_bytes()).unwrap() {
                Command::Subscribe(subscription) => self.hub.commands.push(subscription),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Loses the connection, with everything that was on its way, and opens another.
    fn reconnect(&mut self) {
        self.hub.commands.clear();
        self.hub.names.clear();
        let commands = self.harness.reopen();
        self.queue(commands);
        let epoch = self.hub.epoch();
        let events = self.harness.control(&Control::Connected { epoch: Some(epoch) });
        if matches!(events[..], [Event::Connected { new_epoch: true, .. }]) {
            self.received = Default::default();
        }
    }

    fn restart(&mut self) {
        self.hub = ModelHub { epoch: self.hub.epoch + 1, ..ModelHub::default() };
        self.reconnect();
    }

    fn evict(&mut self) {
        let end = self.hub.log.len();
        let evicted = self.random.random_range(self.hub.evicted..=end);
        self.hub.evicted = evicted;
        // A catch-up that is slower than the eviction receives gaps.
        let positions: Vec<(usize, usize)> =
            self.hub.names.iter().map(|(symbol, after)| (*symbol, *after)).collect();
        for (symbol, after) in positions {
            if after < evicted {
                self.announce_gap(symbol, after);
                self.hub.names.insert(symbol, evicted);
            }
        }
    }

    fn announce_gap(&mut self, symbol: usize, after: usize) {
        if let Some(to) = self.hub.gap(symbol, after) {
            let events = self.harness.gap(SYMBOLS[symbol], None, Some(to));
            self.check(&events);
        }
    }

    /// Answers the oldest command.
    fn answer(&mut self) {
        if self.hub.commands.is_empty() {
            return;
        }
        let command = self.hub.commands.remove(0);
        assert!(command.pos);
        let symbols: Vec<usize> = (0..SYMBOLS.len())
            .filter(|at| {
                command.names[Channel::Trades]
                    .symbols
                    .iter()
                    .any(|name| name.as_str() == SYMBOLS[*at])
            })
            .filter(|at| !self.hub.names.contains_key(at))
            .collect();
        let names = trades(&symbols);
        let number = command.id.unwrap();
        let head = self.hub.log.len();
        let after = match &command.resume {
            Some(Resume { epoch, point: ResumePoint::Position(pos) })
                if *epoch == self.hub.epoch() =>
            {
                Some(usize::try_from(*pos).unwrap())
            }
            _ => None,
        };
        let start = after.unwrap_or(head);
        let gaps = symbols.iter().any(|symbol| self.hub.gap(*symbol, start).is_some());
        let resumed = match (after, &command.resume) {
            (_, None) => None,
            (None, Some(_)) => Some(ResumeOutcome::NewEpoch),
            (Some(_), Some(_)) if gaps => Some(ResumeOutcome::Gap),
            (Some(_), Some(_)) => Some(ResumeOutcome::Complete),
        };
        // In a new epoch no position is low enough until the gaps have been announced.
        let pos = if resumed == Some(ResumeOutcome::NewEpoch) { 0 } else { start as u64 };
        let pos = Some(pos);
        let events = self.harness.answer_command(number, Delivery::Every, names, pos, resumed);
        self.check(&events);
        for symbol in symbols {
            self.hub.names.insert(symbol, start.max(self.hub.evicted));
            match after {
                Some(after) => self.announce_gap(symbol, after),
                None => {
                    if resumed == Some(ResumeOutcome::NewEpoch) && self.hub.last(symbol) > 0 {
                        let events = self.harness.gap(SYMBOLS[symbol], None, None);
                        self.check(&events);
                    }
                    self.snapshot(symbol);
                }
            }
        }
        if resumed == Some(ResumeOutcome::NewEpoch) {
            let pos = self.hub.names.values().min().map_or(head, |after| *after);
            let events = self.harness.control(&Control::Position { pos: pos as u64 });
            self.check(&events);
        }
    }

    fn snapshot(&mut self, symbol: usize) {
        self.harness.control(&Control::Snapshot { ticks: 1 });
        let last = self.hub.last(symbol);
        if last > 0 {
            let events = self.harness.ticks(&[(SYMBOLS[symbol], last)]);
            self.check(&events);
        } else if self.received[symbol].last.is_none() {
            self.received[symbol].last = Some(0);
        }
        self.harness.control(&Control::Live);
    }

    /// Sends some of the session's next ticks in one message.
    fn deliver(&mut self) {
        let Some(from) = self.hub.names.values().min().copied() else { return };
        let count = self.random.random_range(1..8);
        let ticks: Vec<(usize, usize, u64)> = (from..self.hub.log.len())
            .map(|at| (at + 1, self.hub.log[at].0, self.hub.log[at].1))
            .filter(|(pos, symbol, _)| self.hub.names.get(symbol).is_some_and(|after| pos > after))
            .take(count)
            .collect();
        let Some((pos, ..)) = ticks.last().copied() else { return };
        for after in self.hub.names.values_mut() {
            *after = pos.max(*after);
        }
        let message: Vec<(&str, u64)> =
            ticks.iter().map(|(_, symbol, seq)| (SYMBOLS[*symbol], *seq)).collect();
        let events = self.harness.ticks_to_position(&message, pos as u64);
        self.check(&events);
    }

    fn heartbeat(&mut self) {
        let pos = self.hub.log.len();
        if self.hub.names.values().any(|after| *after < pos) {
            return;
        }
        let pos = Some(pos as u64);
        let events = self.harness.control(&Control::Heartbeat { time: UnixNanos(1), pos });
        self.check(&events);
    }

    /// Checks that no tick is delivered twice, and that every missing tick was reported.
    fn check(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Tick { tick, snapshot } => {
                    let received = &mut self.received[index_of(tick.symbol)];
                    let seq = tick.seq.0;
                    match received.last {
                        Some(last) if *snapshot => {
                            // A last value may be known; a newer one follows its gap.
                            assert!(seq <= last, "snapshot {seq} after {last}");
                        }
                        Some(last) => assert_eq!(seq, last + 1, "{}", tick.symbol),
                        None => {}
                    }
                    received.last = received.last.max(Some(seq));
                    if !snapshot {
                        received.live = seq;
                        received.ticks += 1;
                    }
                }
                Event::Gap { topic, from, to } => {
                    let received = &mut self.received[index_of(topic.symbol)];
                    if to.is_none() {
                        received.last = None;
                    }
                    if let Some(Seq(to)) = to {
                        let missing = received.last.filter(|last| *last > 0);
                        assert_eq!(*from, missing.map(|last| Seq(last + 1)), "{topic}");
                        assert!(received.last < Some(*to));
                        received.last = Some(*to);
                    }
                }
                Event::Position(position) => {
                    assert_eq!(*position.epoch, *self.hub.epoch());
                    let up_to = usize::try_from(position.number).unwrap();
                    for symbol in self.hub.names.keys() {
                        let ticked = |(other, _): &&(usize, u64)| other == symbol;
                        let last = self.hub.log[..up_to].iter().filter(ticked).count() as u64;
                        let received = &self.received[*symbol];
                        let is_exact = received.last.unwrap_or(0) >= last && received.live <= last;
                        let shown = (received.last, received.live);
                        assert!(is_exact, "{} {shown:?} up to {last} at {up_to}", SYMBOLS[*symbol]);
                    }
                }
                Event::Subscribed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Answers the remaining commands and delivers the remaining ticks.
    fn finish(&mut self) {
        while !self.hub.commands.is_empty() {
            self.answer();
        }
        let head = self.hub.log.len();
        while self.hub.names.values().any(|after| {
            *after < head
                && self.hub.log[*after..]
                    .iter()
                    .any(|(symbol, _)| self.hub.names.contains_key(symbol))
        }) {
            let before = self.hub.names.clone();
            self.deliver();
            if before == self.hub.names {
                break;
            }
        }
        for symbol in self.hub.names.keys() {
            let last = self.hub.last(*symbol);
            assert_eq!(self.received[*symbol].last.unwrap_or(0), last, "{}", SYMBOLS[*symbol]);
        }
    }
}

fn trades(symbols: &[usize]) -> SubscriptionSet {
    names(TRADES, symbols.iter().map(|at| SYMBOLS[*at])).unwrap()
}

fn index_of(symbol: Symbol) -> usize {
    SYMBOLS.iter().position(|name| *name == symbol.as_str()).unwrap()
}

#[test]
fn every_tick_is_delivered_once_or_reported_missing_over_lost_connections() {
    let mut runs = 0;
    let mut ticks = 0;
    for seed in seeds!().each(500) {
        runs += 1;
        let mut conversation = Conversation::new(&seed);
        conversation.reconnect();
        for _ in 0..150 {
            conversation.step();
        }
        conversation.finish();
        ticks += conversation.received.iter().map(|received| received.ticks).sum::<u64>();
    }
    assert!(ticks > 10 * runs || runs == 1, "only {ticks} ticks in {runs} runs");
}
