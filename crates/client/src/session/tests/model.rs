//! Random conversations with a hub that keeps its promises: over cuts at any moment, each topic
//! comes whole and in order, or the application is told exactly what is missing.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tickwire_protocol::Command;
use tickwire_testkit::{Seed, seeds};

use super::*;

const SYMBOLS: [&str; 5] = ["A", "B", "C", "D", "E"];

/// A hub with one session. Positions and numbers count from 1.
#[derive(Default)]
struct Hub {
    epoch: u32,
    /// Symbols in the order of their ticks.
    log: Vec<(usize, u64)>,
    /// Ticks of the log that are no longer there.
    forgotten: usize,
    /// Behind which position each name of the session goes on.
    names: BTreeMap<usize, usize>,
    commands: Vec<SubscribeRequest>,
}

impl Hub {
    fn epoch(&self) -> String {
        format!("life{}", self.epoch)
    }

    fn last(&self, symbol: usize) -> u64 {
        self.log.iter().filter(|(ticked, _)| *ticked == symbol).count() as u64
    }

    fn tick(&mut self, symbol: usize) {
        self.log.push((symbol, self.last(symbol) + 1));
    }

    /// The number of the last tick of a symbol that has been forgotten behind a position.
    fn gap(&self, symbol: usize, behind: usize) -> Option<u64> {
        let gone = self.log.get(behind..self.forgotten)?;
        gone.iter().rev().find(|(ticked, _)| *ticked == symbol).map(|(_, seq)| *seq)
    }
}

/// What the application has been given of a symbol.
#[derive(Default)]
struct Given {
    /// The last number of which it knows what became of it.
    last: Option<u64>,
    /// The last number that was news.
    live: u64,
    ticks: u64,
}

struct Conversation {
    random: StdRng,
    hub: Hub,
    heard: Heard,
    given: [Given; SYMBOLS.len()],
    requests: u64,
}

impl Conversation {
    fn new(seed: &Seed) -> Self {
        let session = Session::new(None, None);
        let heard = Heard { session, encoding: Encoding::MsgpackArray };
        let (hub, given) = (Hub::default(), Default::default());
        let random = seed.rng();
        Self { random, hub, heard, given, requests: 0 }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..45 => self.hub.tick(self.random.random_range(0..SYMBOLS.len())),
            45..70 => self.deliver(),
            70..80 => self.answer(),
            80..86 => self.subscribe(),
            86..94 => self.reconnect(),
            94..98 => self.forget(),
            98 => self.heartbeat(),
            _ => self.restart(),
        }
    }

    fn subscribe(&mut self) {
        let symbol = SYMBOLS[self.random.random_range(0..SYMBOLS.len())];
        self.requests += 1;
        let commands = self.heard.subscribe(self.requests, &[symbol]);
        self.asked(commands);
    }

    fn asked(&mut self, commands: Vec<String>) {
        for command in commands {
            match Command::from_json(command.as_bytes()).unwrap() {
                Command::Subscribe(subscription) => self.hub.commands.push(subscription),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The connection is cut, with whatever was on its way.
    fn reconnect(&mut self) {
        self.heard.session.closed();
        self.hub.commands.clear();
        self.hub.names.clear();
        let commands = self.heard.session.opened();
        self.asked(commands);
        let epoch = self.hub.epoch();
        let events = self.heard.control(&Control::Connected { epoch: Some(epoch) });
        if matches!(events[..], [Event::Connected { anew: true, .. }]) {
            self.given = Default::default();
        }
    }

    fn restart(&mut self) {
        self.hub = Hub { epoch: self.hub.epoch + 1, ..Hub::default() };
        self.reconnect();
    }

    fn forget(&mut self) {
        let end = self.hub.log.len();
        let forgotten = self.random.random_range(self.hub.forgotten..=end);
        self.hub.forgotten = forgotten;
        // A catch-up that is slower than that is told its gaps.
        let behind: Vec<(usize, usize)> =
            self.hub.names.iter().map(|(symbol, behind)| (*symbol, *behind)).collect();
        for (symbol, behind) in behind {
            if behind < forgotten {
                self.name_gap(symbol, behind);
                self.hub.names.insert(symbol, forgotten);
            }
        }
    }

    fn name_gap(&mut self, symbol: usize, behind: usize) {
        if let Some(to) = self.hub.gap(symbol, behind) {
            let events = self.heard.gap(SYMBOLS[symbol], None, Some(to));
            self.check(&events);
        }
    }

    /// The hub takes the oldest command.
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
        let behind = match &command.resume {
            Some(Resume { epoch, point: ResumePoint::Position(pos) })
                if *epoch == self.hub.epoch() =>
            {
                Some(usize::try_from(*pos).unwrap())
            }
            _ => None,
        };
        let start = behind.unwrap_or(head);
        let gaps = symbols.iter().any(|symbol| self.hub.gap(*symbol, start).is_some());
        let resumed = match (behind, &command.resume) {
            (_, None) => None,
            (None, Some(_)) => Some(ResumeOutcome::NewEpoch),
            (Some(_), Some(_)) if gaps => Some(ResumeOutcome::Gap),
            (Some(_), Some(_)) => Some(ResumeOutcome::Complete),
        };
        // In another life no position is low enough until what is missing has been told.
        let pos = if resumed == Some(ResumeOutcome::NewEpoch) { 0 } else { start as u64 };
        let pos = Some(pos);
        let events = self.heard.begun(number, Delivery::Every, names, pos, resumed);
        self.check(&events);
        for symbol in symbols {
            self.hub.names.insert(symbol, start.max(self.hub.forgotten));
            match behind {
                Some(behind) => self.name_gap(symbol, behind),
                None => {
                    if resumed == Some(ResumeOutcome::NewEpoch) && self.hub.last(symbol) > 0 {
                        let events = self.heard.gap(SYMBOLS[symbol], None, None);
                        self.check(&events);
                    }
                    self.snapshot(symbol);
                }
            }
        }
        if resumed == Some(ResumeOutcome::NewEpoch) {
            let pos = self.hub.names.values().min().map_or(head, |behind| *behind);
            let events = self.heard.control(&Control::Position { pos: pos as u64 });
            self.check(&events);
        }
    }

    fn snapshot(&mut self, symbol: usize) {
        self.heard.control(&Control::Snapshot { ticks: 1 });
        let last = self.hub.last(symbol);
        if last > 0 {
            let events = self.heard.ticks(&[(SYMBOLS[symbol], last)]);
            self.check(&events);
        } else if self.given[symbol].last.is_none() {
            self.given[symbol].last = Some(0);
        }
        self.heard.control(&Control::Live);
    }

    /// Some ticks from where the session stands, in one message.
    fn deliver(&mut self) {
        let Some(from) = self.hub.names.values().min().copied() else { return };
        let count = self.random.random_range(1..8);
        let ticks: Vec<(usize, usize, u64)> = (from..self.hub.log.len())
            .map(|at| (at + 1, self.hub.log[at].0, self.hub.log[at].1))
            .filter(|(pos, symbol, _)| {
                self.hub.names.get(symbol).is_some_and(|behind| pos > behind)
            })
            .take(count)
            .collect();
        let Some((pos, ..)) = ticks.last().copied() else { return };
        for behind in self.hub.names.values_mut() {
            *behind = pos.max(*behind);
        }
        let message: Vec<(&str, u64)> =
            ticks.iter().map(|(_, symbol, seq)| (SYMBOLS[*symbol], *seq)).collect();
        let events = self.heard.positioned(&message, pos as u64);
        self.check(&events);
    }

    fn heartbeat(&mut self) {
        let pos = self.hub.log.len();
        if self.hub.names.values().any(|behind| *behind < pos) {
            return;
        }
        let pos = Some(pos as u64);
        let events = self.heard.control(&Control::Heartbeat { time: UnixNanos(1), pos });
        self.check(&events);
    }

    /// Nothing comes twice, nothing is left out that was not told.
    fn check(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Tick { tick, snapshot } => {
                    let given = &mut self.given[place(tick.symbol)];
                    let seq = tick.seq.0;
                    match given.last {
                        Some(last) if *snapshot => {
                            // A last value may be known; a newer one comes behind its gap.
                            assert!(seq <= last, "snapshot {seq} behind {last}");
                        }
                        Some(last) => assert_eq!(seq, last + 1, "{}", tick.symbol),
                        None => {}
                    }
                    given.last = given.last.max(Some(seq));
                    if !snapshot {
                        given.live = seq;
                        given.ticks += 1;
                    }
                }
                Event::Gap { topic, from, to } => {
                    let given = &mut self.given[place(topic.symbol)];
                    if to.is_none() {
                        given.last = None;
                    }
                    if let Some(Seq(to)) = to {
                        let missing = given.last.filter(|last| *last > 0);
                        assert_eq!(*from, missing.map(|last| Seq(last + 1)), "{topic}");
                        assert!(given.last < Some(*to));
                        given.last = Some(*to);
                    }
                }
                Event::Position(position) => {
                    assert_eq!(*position.epoch, *self.hub.epoch());
                    let upto = usize::try_from(position.number).unwrap();
                    for symbol in self.hub.names.keys() {
                        let ticked = |(other, _): &&(usize, u64)| other == symbol;
                        let last = self.hub.log[..upto].iter().filter(ticked).count() as u64;
                        let given = &self.given[*symbol];
                        let exact = given.last.unwrap_or(0) >= last && given.live <= last;
                        let shown = (given.last, given.live);
                        assert!(exact, "{} {shown:?} up to {last} at {upto}", SYMBOLS[*symbol]);
                    }
                }
                Event::Subscribed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything arrives in the end.
    fn finish(&mut self) {
        while !self.hub.commands.is_empty() {
            self.answer();
        }
        let head = self.hub.log.len();
        while self.hub.names.values().any(|behind| {
            *behind < head
                && self.hub.log[*behind..]
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
            assert_eq!(self.given[*symbol].last.unwrap_or(0), last, "{}", SYMBOLS[*symbol]);
        }
    }
}

fn trades(symbols: &[usize]) -> SubscriptionSet {
    names(TRADES, symbols.iter().map(|at| SYMBOLS[*at])).unwrap()
}

fn place(symbol: Symbol) -> usize {
    SYMBOLS.iter().position(|name| *name == symbol.as_str()).unwrap()
}

#[test]
fn whatever_is_cut_every_tick_comes_once_or_is_named_in_a_gap() {
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
        ticks += conversation.given.iter().map(|given| given.ticks).sum::<u64>();
    }
    assert!(ticks > 10 * runs || runs == 1, "only {ticks} ticks in {runs} runs");
}
