//! Checks what one connection receives: every tick of its names once and in order, or an exact gap.

mod answers;
mod gaps;
mod history;
mod ticks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tickwire_protocol::{
    Channel, Command, Control, Delivery, Element, Encoding, ErrorCode, OnLag, decode_message,
};

use crate::connection::Expected;
use crate::frames::{Frame, Frames};
use crate::oracle::{Facts, Name, Topic};

/// Delivery of a name, and the position from which it applies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) delivery: Delivery,
    base: u64,
}

/// The ticks of a topic that may come next.
#[derive(Debug, Clone, Copy)]
enum Track {
    /// Exactly this number.
    Every { next: u64 },
    /// Any number after a gap of unknown length.
    AfterGap { last: u64 },
    /// Any newer number; in the end the newest one, unless it is at most `waived`.
    Latest { last: u64, waived: u64 },
}

impl Track {
    fn after(delivery: Delivery, last: u64) -> Self {
        match delivery {
            Delivery::Every => Self::Every { next: last + 1 },
            Delivery::Latest { .. } => Self::Latest { last, waived: last },
        }
    }

    /// Returns the number of the last reported tick.
    fn last(self) -> u64 {
        match self {
            Self::Every { next } => next - 1,
            Self::AfterGap { last } | Self::Latest { last, .. } => last,
        }
    }
}

/// A paced replay: history at a speed in thousandths.
#[derive(Debug, Clone, Copy)]
struct Paced {
    /// Position of the shard at the start of the replay.
    head: u64,
    began_ns: u64,
    from_ns: u64,
    thousandths: u64,
}

#[derive(Debug, Default)]
enum Snapshot {
    #[default]
    None,
    /// The next element must be this one.
    Due(BTreeMap<Name, u64>),
    /// These elements must come, in any order.
    Open(BTreeMap<Name, u64>),
}

/// Why no more data is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Slow,
    Closed { code: u16 },
}

#[derive(Debug)]
pub(crate) struct Observer {
    feed: u8,
    encoding: Encoding,
    frames: Frames,
    pub(crate) epoch: Option<String>,
    pub(crate) names: BTreeMap<Name, Mode>,
    pub(crate) wildcards: BTreeMap<Channel, Mode>,
    tracks: BTreeMap<Name, Track>,
    /// Names delivered with `every` of which a tick has been received.
    received: BTreeSet<Name>,
    snapshot: Snapshot,
    /// Position of the last tick of a name delivered with `every`.
    position: u64,
    /// Whether the session resumes or replays, so pending ticks need not precede an answer.
    pub(crate) catches_up: bool,
    /// The paced replay, if any.
    paced: Option<Paced>,
    /// Expected gaps by name: start, if it can be known, and end.
    gaps_due: BTreeMap<Name, (Option<u64>, Option<u64>)>,
    /// Whether the session requested positions.
    positioned: bool,
    /// The last received position, up to which the session is complete.
    pub(crate) last_position: Option<u64>,
    /// Sequence numbers of the last received ticks, including snapshots.
    pub(crate) has: BTreeMap<Name, u64>,
    on_lag: OnLag,
    /// Whether the session uses `on_lag` `latest`, so that it may lose pending ticks.
    may_skip: bool,
    /// Whether the log overran the shard, which then cannot report topics that it has not seen.
    pub(crate) log_overruns: bool,
    pub(crate) end: Option<End>,
    pub(crate) ticks: u64,
}

impl Observer {
    pub(crate) fn new(feed: u8, encoding: Encoding) -> Self {
        Self {
            feed,
            encoding,
            frames: Frames::default(),
            epoch: None,
            names: BTreeMap::new(),
            wildcards: BTreeMap::new(),
            tracks: BTreeMap::new(),
            received: BTreeSet::new(),
            snapshot: Snapshot::None,
            position: 0,
            catches_up: false,
            paced: None,
            gaps_due: BTreeMap::new(),
            positioned: false,
            last_position: None,
            has: BTreeMap::new(),
            on_lag: OnLag::default(),
            may_skip: false,
            log_overruns: false,
            end: None,
            ticks: 0,
        }
    }

    /// Handles received bytes.
    pub(crate) fn receive(
        &mut self,
        bytes: impl Iterator<Item = u8>,
        due: &mut VecDeque<Expected>,
        facts: &Facts<'_>,
    ) {
        self.frames.push(bytes);
        let asks = |expected: &Expected| match &expected.command {
            Command::Subscribe(asked) => asked.on_lag == Some(OnLag::Latest),
            _ => false,
        };
        self.may_skip |= due.iter().any(asks);
        while let Some(frame) = self.frames.next() {
            match frame {
                Frame::Close { code, reason } => {
                    assert!(!reason.is_empty(), "a close frame has a reason");
                    let slow = self.end == Some(End::Slow);
                    assert_eq!(code, if slow { 1008 } else { 1001 });
                    self.end = Some(End::Closed { code });
                }
                Frame::Message { binary, payload } => {
                    assert!(self.end.is_none(), "a message follows {:?}", self.end);
                    assert_eq!(binary, self.encoding.is_binary());
                    self.message(decode_message(&payload, self.encoding).unwrap(), due, facts);
                }
            }
        }
    }

    fn message(&mut self, elements: Vec<Element>, due: &mut VecDeque<Expected>, facts: &Facts<'_>) {
        assert!(!elements.is_empty());
        let before = self.position;
        let count = elements.len();
        let mut ends = false;
        for element in elements {
            assert!(!ends, "{element:?} follows the end of a data message");
            match element {
                Element::Tick(tick) => self.tick(&tick, facts),
                Element::Control(Control::Position { pos }) => {
                    let follows_gaps = count == 1; // after the gaps of a resume
                    assert!(follows_gaps || pos == self.position, "{pos}, not {}", self.position);
                    ends = true;
                    if self.positioned {
                        self.last_position = Some(pos);
                        self.check_last_position(facts);
                    }
                }
                Element::Control(control) => {
                    assert_eq!(count, 1, "{control:?} is not alone in its message");
                    self.control(control, due, facts);
                }
            }
        }
        assert!(ends || !self.positioned || self.position <= before, "a position is missing");
    }

    /// Asserts that a received position is covered by the received ticks.
    fn check_last_position(&self, facts: &Facts<'_>) {
        if let Some(position) = self.last_position {
            self.check_has_all_before(position + 1, facts);
        }
    }

    /// Asserts that the client, which has read all that was sent in a turn, has the ticks before
    /// the position of its shard in that turn.
    pub(crate) fn check_promise(&self, head: u64, facts: &Facts<'_>) {
        if self.end.is_none() {
            self.check_has_all_before(head, facts);
        }
    }

    /// Asserts that every tick before a position has been received, if it must be.
    fn check_has_all_before(&self, head: u64, facts: &Facts<'_>) {
        if !facts.unseen.is_empty() || !self.gaps_due.is_empty() || self.may_skip {
            return;
        }
        for name in facts.oracle.names(self.feed) {
            if let Some(Track::Every { next }) = self.track(name, facts) {
                let next = facts.oracle.position(self.topic(name), next);
                assert!(
                    next.is_none_or(|next| next >= head),
                    "{name:?} lacks the tick at {next:?}, before {head}"
                );
            }
        }
    }

    /// Returns whether a snapshot may lack a value: it has left the log, the command was carried
    /// out in pieces, and the session had the topic before.
    fn may_lack(&self, name: Name, seq: u64, facts: &Facts<'_>) -> bool {
        let at = facts.oracle.position(self.topic(name), seq);
        self.catches_up && at.is_some_and(|at| at < facts.start)
    }

    fn topic(&self, (channel, symbol): Name) -> Topic {
        (self.feed, channel, symbol)
    }

    /// Returns the delivery of a name; its own mode overrides that of the wildcard.
    fn mode(&self, name: Name) -> Option<Mode> {
        self.names.get(&name).or_else(|| self.wildcards.get(&name.0)).copied()
    }

    fn track(&self, name: Name, facts: &Facts<'_>) -> Option<Track> {
        let mode = self.mode(name)?;
        let begin = || Track::after(mode.delivery, facts.last_before(self.topic(name), mode.base));
        Some(self.tracks.get(&name).copied().unwrap_or_else(begin))
    }

    fn control(&mut self, control: Control, due: &mut VecDeque<Expected>, facts: &Facts<'_>) {
        assert!(self.may_precede_gaps(&control), "{control:?} comes before {:?}", self.gaps_due);
        match (&mut self.snapshot, control) {
            (_, Control::Connected { epoch }) if self.epoch.is_none() => self.epoch = epoch,
            (_, Control::Error { code: ErrorCode::SlowClient, .. }) => self.end = Some(End::Slow),
            (Snapshot::None, Control::Error { code: ErrorCode::InvalidSyntax, .. }) => {
                let expected = due.pop_front().expect("an answer answers a command");
                self.check_refusal(&expected);
            }
            (Snapshot::None, Control::Heartbeat { pos, .. }) => self.check_position(pos, facts),
            (Snapshot::Due(values), Control::Snapshot { ticks }) => {
                // The shard may have missed ticks while it carried out the command in pieces.
                let is_unknown = self.catches_up && !facts.unseen.is_empty();
                let values = std::mem::take(values);
                let certain =
                    values.iter().filter(|(name, seq)| !self.may_lack(**name, **seq, facts));
                let counts = certain.count() as u64..=values.len() as u64;
                assert!(counts.contains(&ticks) || is_unknown, "{ticks}: {values:?}");
                self.snapshot = Snapshot::Open(values);
            }
            (Snapshot::Open(values), Control::Live) => {
                let is_unknown = self.catches_up && !facts.unseen.is_empty();
                let values = std::mem::take(values);
                let may_all = values.iter().all(|(name, seq)| self.may_lack(*name, *seq, facts));
                assert!(may_all || is_unknown, "missing in the snapshot: {values:?}");
                self.snapshot = Snapshot::None;
            }
            (
                Snapshot::None,
                Control::Subscription {
                    names, total, delivery, on_lag, pos, resumed, from, ..
                },
            ) => {
                let expected = due.pop_front().expect("an answer answers a command");
                self.answer(&expected, &names, delivery, facts);
                assert_eq!((total, on_lag), (self.totals(), self.on_lag));
                if let Command::Subscribe(asked) = &expected.command {
                    self.check_history(&expected, asked, resumed, from, facts);
                }
                self.check_position(pos, facts);
            }
            (
                Snapshot::None | Snapshot::Due(_),
                Control::Gap { channel, symbol, from, to, lagged },
            ) => {
                let name = (channel, symbol);
                match self.gaps_due.remove(&name) {
                    _ if lagged => self.gap(name, from, to, facts),
                    Some(expected) => self.resumed_gap(name, (from, to), expected, facts),
                    None => self.overtaken(name, (from, to), facts),
                }
            }
            (state, control) => panic!("{control:?} comes in state {state:?}"),
        }
    }
}
