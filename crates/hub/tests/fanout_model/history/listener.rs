//! A client that records what it receives, and knows what it must receive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::RngExt;
use rand::rngs::StdRng;
use tickwire_hub::fanout::SessionId;
use tickwire_protocol::{
    Channel, Command, Control, Element, Encoding, PerChannel, Replay, ReplaySpeed, ReplayStart,
    Resume, ResumeOutcome, ResumePoint, Seq, SubscribeRequest, Symbol, UnixNanos,
};

use super::{EPOCH, SYMBOLS, Stand, Truth, channel_names};

/// The change of a command, applied when its ack arrives.
#[derive(Debug)]
enum Change {
    /// The next expected number of each topic.
    Begin {
        nexts: BTreeMap<Symbol, u64>,
        named: BTreeSet<Symbol>,
        all: bool,
        /// Topics whose snapshot comes first.
        snapshot: BTreeSet<Symbol>,
    },
    Drop {
        named: BTreeSet<Symbol>,
        all: bool,
    },
}

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) id: Option<SessionId>,
    pub(super) encoding: Encoding,
    pub(super) stalled: bool,
    /// Whether the session is being closed.
    pub(super) ends: bool,
    /// Number of checked ticks.
    pub(super) heard: u64,
    /// Acknowledged subscriptions.
    named: BTreeSet<Symbol>,
    all: bool,
    /// Number of the next expected tick, of every topic with a known base.
    nexts: BTreeMap<Symbol, u64>,
    /// The last received position.
    position: u64,
    unanswered: VecDeque<Change>,
    /// Snapshot values that must come next.
    snapshot: Option<BTreeSet<Symbol>>,
    snapshots_due: BTreeSet<Symbol>,
    /// Whether an ack announced gaps, and the position after them is still expected.
    misses: bool,
    /// Position of the last tick since the last ack.
    last_position: u64,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            id: None,
            encoding: Encoding::Json,
            stalled: false,
            ends: false,
            heard: 0,
            named: BTreeSet::new(),
            all: false,
            nexts: BTreeMap::new(),
            position: 0,
            unanswered: VecDeque::new(),
            snapshot: None,
            snapshots_due: BTreeSet::new(),
            misses: false,
            last_position: 0,
        }
    }
}

fn symbols() -> impl Iterator<Item = Symbol> {
    SYMBOLS.iter().map(|symbol| Symbol::new(symbol).unwrap())
}

impl Listener {
    fn wants(&self, symbol: Symbol) -> bool {
        self.all || self.named.contains(&symbol)
    }

    pub(super) fn was_cut(&mut self) {
        // Unsubscribed names are not resumed, whether the unsubscribe was acknowledged or not.
        for change in std::mem::take(&mut self.unanswered) {
            if matches!(change, Change::Drop { .. }) {
                self.answered(change);
            }
        }
        (self.snapshot, self.ends) = (None, false);
        self.snapshots_due.clear();
    }

    /// Resumes after a cut, by position or by numbers.
    pub(super) fn come_back(
        &mut self,
        random: &mut StdRng,
        truth: &Truth,
        stand: Stand,
    ) -> Command {
        self.last_position = 0;
        if self.named.is_empty() && !self.all {
            return self.begin(random, truth, stand);
        }
        let (named, all) = (std::mem::take(&mut self.named), std::mem::take(&mut self.all));
        let before = std::mem::take(&mut self.nexts);
        let wanted = symbols().filter(|symbol| all || named.contains(symbol));
        let (point, nexts) = if random.random() {
            let behind = self.position + 1;
            let nexts: BTreeMap<_, _> =
                wanted.map(|symbol| (symbol, truth.first_from(symbol, behind))).collect();
            for (symbol, next) in &nexts {
                let had = before.get(symbol).copied().unwrap_or(u64::MAX);
                assert!(*next <= had, "{symbol}: position {behind} leaves out {had}");
            }
            (ResumePoint::Position(self.position), nexts)
        } else {
            // Positions and numbers give a base for every topic.
            let nexts: BTreeMap<_, _> =
                wanted.map(|symbol| (symbol, before.get(&symbol).copied().unwrap_or(1))).collect();
            let mut after = Box::<PerChannel<Vec<(Symbol, Seq)>>>::default();
            after[Channel::Trades] =
                nexts.iter().map(|(symbol, next)| (*symbol, Seq(next - 1))).collect();
            (ResumePoint::After(after), nexts)
        };
        let resume = Some(Resume { epoch: EPOCH.to_owned(), point });
        self.subscribe(
            SubscribeRequest { resume, ..SubscribeRequest::default() },
            named,
            all,
            nexts,
            BTreeSet::new(),
        )
    }

    /// Subscribes to new names, from now on or with history, or unsubscribes some.
    pub(super) fn change(&mut self, random: &mut StdRng, truth: &Truth, stand: Stand) -> Command {
        if random.random_range(0..3) > 0 || !self.unanswered.is_empty() {
            return self.begin(random, truth, stand);
        }
        let named: BTreeSet<Symbol> = symbols().filter(|_| random.random()).collect();
        let all = random.random_range(0..4) == 0;
        let names = channel_names(named.iter().copied(), all);
        self.unanswered.push_back(Change::Drop { named, all });
        Command::Unsubscribe(SubscribeRequest { names, ..SubscribeRequest::default() })
    }

    fn begin(&mut self, random: &mut StdRng, truth: &Truth, stand: Stand) -> Command {
        // Only names without a base, so that the expected ticks are unambiguous.
        let taken = |symbol: &Symbol| {
            self.wants(*symbol)
                || self.unanswered.iter().any(|change| match change {
                    Change::Begin { named, all, .. } => *all || named.contains(symbol),
                    Change::Drop { .. } => true,
                })
        };
        let free: BTreeSet<Symbol> = symbols().filter(|symbol| !taken(symbol)).collect();
        let all = free.len() == SYMBOLS.len() && random.random_range(0..3) == 0;
        let named: BTreeSet<Symbol> =
            free.into_iter().filter(|_| !all && random.random()).collect();
        let wanted: Vec<Symbol> =
            symbols().filter(|symbol| all || named.contains(symbol)).collect();
        let now = |symbol: &Symbol| (*symbol, truth.first_from(*symbol, stand.head));
        match random.random_range(0..3) {
            0 => {
                let ticked = |symbol: &&Symbol| truth.first_from(**symbol, stand.head) > 1;
                let snapshot = if all {
                    BTreeSet::new()
                } else {
                    wanted.iter().filter(ticked).copied().collect()
                };
                let nexts = wanted.iter().map(now).collect();
                self.subscribe(SubscribeRequest::default(), named, all, nexts, snapshot)
            }
            1 => {
                let position = random.random_range(0..stand.head);
                let nexts = wanted.iter().map(|s| (*s, truth.first_from(*s, position + 1)));
                let nexts = nexts.collect();
                let point = ResumePoint::Position(position);
                let resume = Some(Resume { epoch: EPOCH.to_owned(), point });
                let asked = SubscribeRequest { resume, ..SubscribeRequest::default() };
                self.subscribe(asked, named, all, nexts, BTreeSet::new())
            }
            _ => {
                let time_ns = random.random_range(0..=stand.now_ns);
                let nexts = wanted.iter().map(|symbol| {
                    let seen = truth.first_from(*symbol, stand.head);
                    let asked = truth.first_received_from(*symbol, time_ns);
                    (*symbol, asked.max(truth.first_from(*symbol, stand.log_start)).min(seen))
                });
                let nexts = nexts.collect();
                let from = ReplayStart::At(UnixNanos(time_ns));
                let replay = Some(Replay { from, speed: ReplaySpeed::Max });
                let asked = SubscribeRequest { replay, ..SubscribeRequest::default() };
                self.subscribe(asked, named, all, nexts, BTreeSet::new())
            }
        }
    }

    fn subscribe(
        &mut self,
        asked: SubscribeRequest,
        named: BTreeSet<Symbol>,
        all: bool,
        nexts: BTreeMap<Symbol, u64>,
        snapshot: BTreeSet<Symbol>,
    ) -> Command {
        let names = channel_names(named.iter().copied(), all);
        self.unanswered.push_back(Change::Begin { nexts, named, all, snapshot });
        Command::Subscribe(SubscribeRequest { names, pos: true, ..asked })
    }

    /// Checks one message.
    pub(super) fn hear(&mut self, elements: Vec<Element>, truth: &Truth, stand: Stand) {
        let mut last = None;
        for element in elements {
            match element {
                Element::Tick(tick) => {
                    let told = &truth.of(tick.symbol)[usize::try_from(tick.seq.0 - 1).unwrap()];
                    assert_eq!(told.tick, tick);
                    if let Some(snapshot) = &mut self.snapshot {
                        assert!(snapshot.remove(&tick.symbol), "no last value of {}", tick.symbol);
                        assert_eq!(self.nexts[&tick.symbol], tick.seq.0 + 1);
                        continue;
                    }
                    self.tick(tick.symbol, tick.seq.0, told.position);
                    last = Some(told.position);
                }
                Element::Control(Control::Position { pos }) => {
                    let is_behind_gaps = last.is_none() && std::mem::take(&mut self.misses);
                    assert!(is_behind_gaps || last == Some(pos), "it is that of the last tick");
                    self.position = pos;
                }
                Element::Control(control) => self.control(control, truth, stand),
            }
        }
    }

    fn tick(&mut self, symbol: Symbol, seq: u64, position: u64) {
        assert!(self.wants(symbol), "{symbol} is not wanted");
        // Names that are being unsubscribed need no gap.
        let given_up = self.unanswered.iter().any(|change| match change {
            Change::Drop { named, all } => *all || named.contains(&symbol),
            Change::Begin { .. } => false,
        });
        let next = self.nexts.get_mut(&symbol).expect("it has a base");
        assert!(seq == *next || given_up && seq > *next, "{symbol}: {seq} instead of {next}");
        *next = seq + 1;
        assert!(position > self.last_position, "out of order: {position}");
        self.last_position = position;
        self.heard += 1;
    }

    fn control(&mut self, control: Control, truth: &Truth, stand: Stand) {
        match control {
            Control::Subscription { pos, resumed, .. } => {
                self.misses = resumed == Some(ResumeOutcome::Gap);
                let answered = self.unanswered.pop_front().expect("nothing was asked");
                self.position = pos.unwrap_or(self.position);
                self.last_position = 0;
                self.answered(answered);
            }
            Control::Gap { symbol, from, to, lagged, .. } => {
                assert!(!lagged, "the session did not request on_lag latest");
                let next = self.nexts[&symbol];
                let (from, to) = (from.unwrap_or(next), to.expect("the shard has seen it all"));
                assert!(from == next && to >= next, "{symbol}: {from} to {to}, behind {next}");
                let gone = truth.first_from(symbol, stand.log_start);
                assert!(to < gone, "{symbol}: {to} is still there");
                self.nexts.insert(symbol, to + 1);
            }
            Control::Snapshot { ticks } => {
                let due = std::mem::take(&mut self.snapshots_due);
                assert_eq!(ticks, due.len() as u64);
                self.snapshot = Some(due);
            }
            Control::Live => {
                let left = self.snapshot.take().expect("it had begun");
                assert!(left.is_empty(), "{left:?} did not come");
            }
            other => panic!("{other:?}"),
        }
    }

    fn answered(&mut self, change: Change) {
        match change {
            Change::Begin { nexts, named, all, snapshot } => {
                self.nexts.extend(nexts);
                self.named.extend(named);
                self.all |= all;
                self.snapshots_due = snapshot;
            }
            Change::Drop { named, all } => {
                self.named.retain(|symbol| !named.contains(symbol));
                self.all &= !all;
                let (kept, all) = (&self.named, self.all);
                self.nexts.retain(|symbol, _| all || kept.contains(symbol));
            }
        }
    }

    pub(super) fn check_complete(&self, truth: &Truth) {
        assert!(self.unanswered.is_empty() && self.snapshot.is_none(), "{self:?}");
        for symbol in symbols().filter(|symbol| self.wants(*symbol)) {
            let all = truth.of(symbol).len() as u64;
            assert_eq!(self.nexts[&symbol], all + 1, "{symbol} is not complete: {self:?}");
        }
    }
}
