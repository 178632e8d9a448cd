//! A client that records what it receives, and knows what it must receive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::RngExt;
use rand::rngs::StdRng;
use tickwire_hub::fanout::SessionId;
use tickwire_protocol::{
    Channel, Command, Control, Element, Encoding, PerChannel, Replay, ReplaySpeed, ReplayStart,
    Resume, ResumeOutcome, ResumePoint, Seq, SubscribeRequest, Symbol, UnixNanos,
};

use super::{EPOCH, Oracle, SYMBOLS, ShardState, channel_names};

/// The change of a command, applied when its ack arrives.
#[derive(Debug)]
enum Change {
    /// The next expected number of each topic.
    Begin {
        next_seqs: BTreeMap<Symbol, u64>,
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
pub(super) struct Subscriber {
    pub(super) id: Option<SessionId>,
    pub(super) encoding: Encoding,
    pub(super) stalled: bool,
    /// Whether the session is being closed.
    pub(super) is_closing: bool,
    /// Number of checked ticks.
    pub(super) checked_ticks: u64,
    /// Acknowledged subscriptions.
    named: BTreeSet<Symbol>,
    all: bool,
    /// Number of the next expected tick, of every topic with a known base.
    next_seqs: BTreeMap<Symbol, u64>,
    /// The last received position.
    position: u64,
    unanswered: VecDeque<Change>,
    /// Snapshot values that must come next.
    snapshot: Option<BTreeSet<Symbol>>,
    snapshots_due: BTreeSet<Symbol>,
    /// Whether an ack announced gaps, and the position after them is still expected.
    expects_gap_position: bool,
    /// Position of the last tick since the last ack.
    last_position: u64,
}

impl Default for Subscriber {
    fn default() -> Self {
        Self {
            id: None,
            encoding: Encoding::Json,
            stalled: false,
            is_closing: false,
            checked_ticks: 0,
            named: BTreeSet::new(),
            all: false,
            next_seqs: BTreeMap::new(),
            position: 0,
            unanswered: VecDeque::new(),
            snapshot: None,
            snapshots_due: BTreeSet::new(),
            expects_gap_position: false,
            last_position: 0,
        }
    }
}

fn symbols() -> impl Iterator<Item = Symbol> {
    SYMBOLS.iter().map(|symbol| Symbol::new(symbol).unwrap())
}

impl Subscriber {
    fn wants(&self, symbol: Symbol) -> bool {
        self.all || self.named.contains(&symbol)
    }

    pub(super) fn on_cut(&mut self) {
        // Unsubscribed names are not resumed, whether the unsubscribe was acknowledged or not.
        for change in std::mem::take(&mut self.unanswered) {
            if matches!(change, Change::Drop { .. }) {
                self.apply(change);
            }
        }
        self.snapshot = None;
        self.is_closing = false;
        self.snapshots_due.clear();
    }

    /// Resumes after a cut, by position or by numbers.
    pub(super) fn resume(
        &mut self,
        random: &mut StdRng,
        oracle: &Oracle,
        state: ShardState,
    ) -> Command {
        self.last_position = 0;
        if self.named.is_empty() && !self.all {
            return self.begin(random, oracle, state);
        }
        let named = std::mem::take(&mut self.named);
        let all = std::mem::take(&mut self.all);
        let before = std::mem::take(&mut self.next_seqs);
        let wanted = symbols().filter(|symbol| all || named.contains(symbol));
        let (point, next_seqs) = if random.random() {
            let position = self.position + 1;
            let next_seqs: BTreeMap<_, _> =
                wanted.map(|symbol| (symbol, oracle.first_from(symbol, position))).collect();
            for (symbol, next) in &next_seqs {
                let had = before.get(symbol).copied().unwrap_or(u64::MAX);
                assert!(*next <= had, "{symbol}: position {position} skips {had}");
            }
            (ResumePoint::Position(self.position), next_seqs)
        } else {
            // Positions and numbers give a base for every topic.
            let next_seqs: BTreeMap<_, _> =
                wanted.map(|symbol| (symbol, before.get(&symbol).copied().unwrap_or(1))).collect();
            let mut after = Box::<PerChannel<Vec<(Symbol, Seq)>>>::default();
            after[Channel::Trades] =
                next_seqs.iter().map(|(symbol, next)| (*symbol, Seq(next - 1))).collect();
            (ResumePoint::After(after), next_seqs)
        };
        let resume = Some(Resume { epoch: EPOCH.to_owned(), point });
        self.subscribe(
            SubscribeRequest { resume, ..SubscribeRequest::default() },
            named,
            all,
            next_seqs,
            BTreeSet::new(),
        )
    }

    /// Subscribes to new names, from now on or with history, or unsubscribes some.
    pub(super) fn change(
        &mut self,
        random: &mut StdRng,
        oracle: &Oracle,
        state: ShardState,
    ) -> Command {
        if random.random_range(0..3) > 0 || !self.unanswered.is_empty() {
            return self.begin(random, oracle, state);
        }
        let named: BTreeSet<Symbol> = symbols().filter(|_| random.random()).collect();
        let all = random.random_range(0..4) == 0;
        let names = channel_names(named.iter().copied(), all);
        self.unanswered.push_back(Change::Drop { named, all });
        Command::Unsubscribe(SubscribeRequest { names, ..SubscribeRequest::default() })
    }

    fn begin(&mut self, random: &mut StdRng, oracle: &Oracle, state: ShardState) -> Command {
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
        let now = |symbol: &Symbol| (*symbol, oracle.first_from(*symbol, state.head));
        match random.random_range(0..3) {
            0 => {
                let ticked = |symbol: &&Symbol| oracle.first_from(**symbol, state.head) > 1;
                let snapshot = if all {
                    BTreeSet::new()
                } else {
                    wanted.iter().filter(ticked).copied().collect()
                };
                let next_seqs = wanted.iter().map(now).collect();
                self.subscribe(SubscribeRequest::default(), named, all, next_seqs, snapshot)
            }
            1 => {
                let position = random.random_range(0..state.head);
                let next_seqs = wanted.iter().map(|s| (*s, oracle.first_from(*s, position + 1)));
                let next_seqs = next_seqs.collect();
                let point = ResumePoint::Position(position);
                let resume = Some(Resume { epoch: EPOCH.to_owned(), point });
                let asked = SubscribeRequest { resume, ..SubscribeRequest::default() };
                self.subscribe(asked, named, all, next_seqs, BTreeSet::new())
            }
            _ => {
                let time_ns = random.random_range(0..=state.now_ns);
                let next_seqs = wanted.iter().map(|symbol| {
                    let seen = oracle.first_from(*symbol, state.head);
                    let asked = oracle.first_received_from(*symbol, time_ns);
                    (*symbol, asked.max(oracle.first_from(*symbol, state.log_start)).min(seen))
                });
                let next_seqs = next_seqs.collect();
                let from = ReplayStart::At(UnixNanos(time_ns));
                let replay = Some(Replay { from, speed: ReplaySpeed::Max });
                let asked = SubscribeRequest { replay, ..SubscribeRequest::default() };
                self.subscribe(asked, named, all, next_seqs, BTreeSet::new())
            }
        }
    }

    fn subscribe(
        &mut self,
        asked: SubscribeRequest,
        named: BTreeSet<Symbol>,
        all: bool,
        next_seqs: BTreeMap<Symbol, u64>,
        snapshot: BTreeSet<Symbol>,
    ) -> Command {
        let names = channel_names(named.iter().copied(), all);
        self.unanswered.push_back(Change::Begin { next_seqs, named, all, snapshot });
        Command::Subscribe(SubscribeRequest { names, pos: true, ..asked })
    }

    /// Checks one message.
    pub(super) fn receive(&mut self, elements: Vec<Element>, oracle: &Oracle, state: ShardState) {
        let mut last = None;
        for element in elements {
            match element {
                Element::Tick(tick) => {
                    let issued = &oracle.of(tick.symbol)[usize::try_from(tick.seq.0 - 1).unwrap()];
                    assert_eq!(issued.tick, tick);
                    if let Some(snapshot) = &mut self.snapshot {
                        assert!(
                            snapshot.remove(&tick.symbol),
                            "{} has no value in the snapshot",
                            tick.symbol
                        );
                        assert_eq!(self.next_seqs[&tick.symbol], tick.seq.0 + 1);
                        continue;
                    }
                    self.tick(tick.symbol, tick.seq.0, issued.position);
                    last = Some(issued.position);
                }
                Element::Control(Control::Position { pos }) => {
                    let follows_gaps =
                        last.is_none() && std::mem::take(&mut self.expects_gap_position);
                    assert!(
                        follows_gaps || last == Some(pos),
                        "a position is that of the last tick"
                    );
                    self.position = pos;
                }
                Element::Control(control) => self.control(control, oracle, state),
            }
        }
    }

    fn tick(&mut self, symbol: Symbol, seq: u64, position: u64) {
        assert!(self.wants(symbol), "{symbol} is not subscribed");
        // Names that are being unsubscribed need no gap.
        let is_unsubscribing = self.unanswered.iter().any(|change| match change {
            Change::Drop { named, all } => *all || named.contains(&symbol),
            Change::Begin { .. } => false,
        });
        let next = self.next_seqs.get_mut(&symbol).expect("the topic has a base");
        assert!(
            seq == *next || is_unsubscribing && seq > *next,
            "{symbol}: {seq} instead of {next}"
        );
        *next = seq + 1;
        assert!(position > self.last_position, "out of order: {position}");
        self.last_position = position;
        self.checked_ticks += 1;
    }

    fn control(&mut self, control: Control, oracle: &Oracle, state: ShardState) {
        match control {
            Control::Subscription { pos, resumed, .. } => {
                self.expects_gap_position = resumed == Some(ResumeOutcome::Gap);
                let change = self.unanswered.pop_front().expect("an ack answers a command");
                self.position = pos.unwrap_or(self.position);
                self.last_position = 0;
                self.apply(change);
            }
            Control::Gap { symbol, from, to, lagged, .. } => {
                assert!(!lagged, "the session did not request on_lag latest");
                let next = self.next_seqs[&symbol];
                let from = from.unwrap_or(next);
                let to = to.expect("the shard has seen all ticks");
                assert!(
                    from == next && to >= next,
                    "gap of {symbol} from {from} to {to}, expected from {next}"
                );
                let kept = oracle.first_from(symbol, state.log_start);
                assert!(to < kept, "gap of {symbol} to {to}, which is not evicted");
                self.next_seqs.insert(symbol, to + 1);
            }
            Control::Snapshot { ticks } => {
                let due = std::mem::take(&mut self.snapshots_due);
                assert_eq!(ticks, due.len() as u64);
                self.snapshot = Some(due);
            }
            Control::Live => {
                let left = self.snapshot.take().expect("a snapshot has begun");
                assert!(left.is_empty(), "missing in the snapshot: {left:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Begin { next_seqs, named, all, snapshot } => {
                self.next_seqs.extend(next_seqs);
                self.named.extend(named);
                self.all |= all;
                self.snapshots_due = snapshot;
            }
            Change::Drop { named, all } => {
                self.named.retain(|symbol| !named.contains(symbol));
                self.all &= !all;
                let kept = &self.named;
                let all = self.all;
                self.next_seqs.retain(|symbol, _| all || kept.contains(symbol));
            }
        }
    }

    pub(super) fn check_complete(&self, oracle: &Oracle) {
        assert!(self.unanswered.is_empty() && self.snapshot.is_none(), "{self:?}");
        for symbol in symbols().filter(|symbol| self.wants(*symbol)) {
            let all = oracle.of(symbol).len() as u64;
            assert_eq!(self.next_seqs[&symbol], all + 1, "{symbol} is not complete: {self:?}");
        }
    }
}
