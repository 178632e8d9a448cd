//! Checks what one connection receives: every tick of its names once and in order, or an exact gap.

mod history;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tickwire_protocol::{
    Channel, Command, Control, Delivery, Element, Encoding, ErrorCode, OnLag, PerChannel,
    SubscribeRequest, SubscriptionSet, Symbol, Tick, decode_message,
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
        let (before, count) = (self.position, elements.len());
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
        let Some(position) = self.last_position else { return };
        if !facts.unseen.is_empty() || !self.gaps_due.is_empty() || self.may_skip {
            return;
        }
        for name in facts.oracle.names(self.feed) {
            if let Some(Track::Every { next }) = self.track(name, facts) {
                let next = facts.oracle.position(self.topic(name), next);
                assert!(
                    next.is_none_or(|next| next > position),
                    "{name:?} at {next:?}, position {position}"
                );
            }
        }
    }

    fn tick(&mut self, tick: &Tick, facts: &Facts<'_>) {
        let name = (tick.channel(), tick.symbol);
        let (position, true_tick) = facts
            .oracle
            .tick(self.topic(name), tick.seq.0)
            .unwrap_or_else(|| panic!("the hub never sent {tick:?}"));
        assert_eq!(tick, true_tick);
        self.ticks += 1;
        assert!(self.gaps_due.is_empty(), "{tick:?} comes before {:?}", self.gaps_due);
        self.has.insert(name, tick.seq.0);
        match &mut self.snapshot {
            Snapshot::Open(values) => {
                assert_eq!(values.remove(&name), Some(tick.seq.0), "last value of {name:?}");
                return self.has_value(name, tick.seq.0, facts);
            }
            Snapshot::Due(_) => panic!("{tick:?} comes before the snapshot"),
            Snapshot::None => {}
        }
        let track = self
            .track(name, facts)
            .unwrap_or_else(|| panic!("{tick:?} belongs to no subscription"));
        let seq = tick.seq.0;
        let follows = match track {
            Track::Every { next } => {
                let skips = self.may_skip && self.log_overruns && seq > next;
                assert!(seq == next || skips, "{name:?}: {seq}, not {next}");
                Track::Every { next: seq + 1 }
            }
            Track::AfterGap { last } => {
                assert!(seq > last, "{name:?}: {seq} repeats a tick up to {last}");
                Track::Every { next: seq + 1 }
            }
            Track::Latest { last, .. } => {
                assert!(seq > last, "{name:?}: {seq} is not newer than {last}");
                Track::Latest { last: seq, waived: 0 }
            }
        };
        if matches!(follows, Track::Every { .. }) {
            assert!(
                position > self.position || self.may_skip && self.log_overruns,
                "position {position} comes after {}",
                self.position
            );
            self.position = position;
            self.received.insert(name);
            self.check_pace(position, facts);
        } else {
            self.received.remove(&name);
        }
        self.tracks.insert(name, follows);
    }

    /// Asserts that a paced replay is not early.
    fn check_pace(&self, position: u64, facts: &Facts<'_>) {
        let Some(Paced { head, began_ns, from_ns, thousandths }) = self.paced else { return };
        if position >= head {
            return; // the tick may be live
        }
        let since = facts.oracle.received_ns(position).saturating_sub(from_ns);
        let due_ns = began_ns + since * 1_000 / thousandths;
        assert!(due_ns <= facts.now_ns + 1_000, "{position} is due at {due_ns}");
    }

    /// Handles a snapshot value: older ticks of its topic are no longer expected.
    fn has_value(&mut self, name: Name, seq: u64, facts: &Facts<'_>) {
        if let Some(Track::Latest { last, waived }) = self.track(name, facts) {
            self.tracks.insert(name, Track::Latest { last: last.max(seq), waived });
        }
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
                assert_eq!(ticks, values.len() as u64, "{values:?}");
                self.snapshot = Snapshot::Open(std::mem::take(values));
            }
            (Snapshot::Open(values), Control::Live) => {
                assert!(values.is_empty(), "missing in the snapshot: {values:?}");
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
                    Some(expected) => self.resumed_gap(name, (from, to), expected),
                    None => self.overtaken(name, (from, to), facts),
                }
            }
            (state, control) => panic!("{control:?} comes in state {state:?}"),
        }
    }

    fn totals(&self) -> PerChannel<u64> {
        let mut totals = PerChannel::default();
        for (channel, _) in self.names.keys() {
            totals[*channel] += 1;
        }
        for channel in self.wildcards.keys() {
            totals[*channel] += 1;
        }
        totals
    }

    fn answer(
        &mut self,
        expected: &Expected,
        names: &SubscriptionSet,
        delivery: Delivery,
        facts: &Facts<'_>,
    ) {
        match &expected.command {
            Command::Subscribe(asked) => {
                assert_eq!(delivery, asked.delivery);
                self.on_lag = asked.on_lag.unwrap_or(self.on_lag);
                self.subscribed(expected, asked, names, facts);
            }
            Command::Unsubscribe(_) => {
                for (channel, selection) in names.iter() {
                    for symbol in &selection.symbols {
                        let name = (channel, *symbol);
                        self.settle(name, expected.head, facts);
                        let track = self.track(name, facts);
                        self.names.remove(&name).expect("the name was subscribed");
                        self.fall_back_to_wildcard(name, track, expected.head, facts);
                    }
                    if selection.all {
                        self.settle_wildcard(channel, expected.head, facts);
                        self.wildcards.remove(&channel).expect("the channel was subscribed");
                    }
                }
            }
            Command::List { .. } => {
                let mut listed = 0;
                for (channel, selection) in names.iter() {
                    let has = |symbol: &Symbol| self.names.contains_key(&(channel, *symbol));
                    assert!(selection.symbols.iter().all(has));
                    assert_eq!(selection.all, self.wildcards.contains_key(&channel));
                    listed += selection.symbols.len();
                }
                assert_eq!(listed, self.names.len());
            }
            Command::Auth(_) => unreachable!("the hub is open"),
            Command::Publish(_) | Command::Report(_) => unreachable!("subscribers do not publish"),
        }
    }

    fn subscribed(
        &mut self,
        expected: &Expected,
        asked: &SubscribeRequest,
        names: &SubscriptionSet,
        facts: &Facts<'_>,
    ) {
        let mut values = BTreeMap::new();
        let mut snapshot = false;
        for (channel, selection) in names.iter() {
            let delivery = asked.delivery.for_channel(channel);
            for symbol in &selection.symbols {
                let name = (channel, *symbol);
                assert!(
                    asked.names[channel].symbols.contains(symbol),
                    "{name:?} was not requested"
                );
                self.settle(name, expected.head, facts);
                self.forget(name);
                let begin =
                    history::begin(expected, asked, Some(name), self.epoch.as_deref(), facts);
                let base = begin.unwrap_or(expected.head);
                self.names.insert(name, Mode { delivery, base });
                self.begin_resumed(expected, asked, name, begin, facts);
                if begin.is_none() && asked.snapshot != Some(false) {
                    snapshot = true;
                    values.extend(expected.values.get(&name).map(|seq| (name, *seq)));
                }
            }
            if selection.all {
                assert!(asked.names[channel].all, "all {channel} were not requested");
                self.settle_wildcard(channel, expected.head, facts);
                let begin = history::begin(expected, asked, None, self.epoch.as_deref(), facts);
                let base = begin.unwrap_or(expected.head);
                self.wildcards.insert(channel, Mode { delivery, base });
                for name in facts.oracle.names(self.feed).filter(|name| name.0 == channel) {
                    if !self.names.contains_key(&name) {
                        self.begin_resumed(expected, asked, name, begin, facts);
                    }
                }
                if begin.is_none() && asked.snapshot == Some(true) {
                    snapshot = true;
                    let all = expected.values.iter().filter(|(name, _)| name.0 == channel);
                    values.extend(all.map(|(name, seq)| (*name, *seq)));
                }
            }
        }
        if snapshot {
            self.snapshot = Snapshot::Due(values);
        }
    }

    /// Asserts that everything expected of a name has arrived, before a command restarts the name.
    fn settle(&self, name: Name, head: u64, facts: &Facts<'_>) {
        if !self.may_skip
            && !self.catches_up
            && let Some(Track::Every { next }) = self.track(name, facts)
        {
            assert_eq!(next - 1, facts.last_before(self.topic(name), head), "all of {name:?}");
        }
    }

    /// Restarts the names that the wildcard of a channel covers.
    fn settle_wildcard(&mut self, channel: Channel, head: u64, facts: &Facts<'_>) {
        let ticked = facts.oracle.names(self.feed);
        let names: BTreeSet<Name> = ticked.chain(self.tracks.keys().copied()).collect();
        for name in names {
            if name.0 == channel && !self.names.contains_key(&name) {
                self.settle(name, head, facts);
                self.forget(name);
            }
        }
    }

    fn forget(&mut self, name: Name) {
        self.tracks.remove(&name);
        self.received.remove(&name);
    }

    /// Removes a name. A wildcard of its channel covers the name from here on.
    fn fall_back_to_wildcard(
        &mut self,
        name: Name,
        had: Option<Track>,
        head: u64,
        facts: &Facts<'_>,
    ) {
        let every = |mode: &Mode| mode.delivery == Delivery::Every;
        if self.catches_up
            && self.wildcards.get(&name.0).is_some_and(every)
            && let Some(track @ (Track::Every { .. } | Track::AfterGap { .. })) = had
        {
            self.tracks.insert(name, track); // the name keeps its progress
            return;
        }
        self.forget(name);
        if let Some(Mode { delivery, .. }) = self.wildcards.get(&name.0) {
            let last = facts.last_before(self.topic(name), head);
            self.tracks.insert(name, Track::after(*delivery, last));
        }
    }

    /// Handles a gap after a lag: its ticks will not arrive, and the names are `latest` from here
    /// on.
    fn gap(&mut self, name: Name, from: Option<u64>, to: Option<u64>, facts: &Facts<'_>) {
        assert_eq!(self.on_lag, OnLag::Latest, "gap of {name:?}");
        self.conflate(facts);
        let Some(track) = self.track(name, facts) else { return };
        // The gap also covers ticks that were dropped before the name was restarted.
        let exact = self.received.remove(&name);
        let (last, newest) = (track.last(), facts.oracle.newest(self.topic(name)));
        if let Some(from) = from
            && !matches!(track, Track::AfterGap { .. })
        {
            assert!(
                from == last + 1 || !exact && from <= last + 2,
                "gap of {name:?} from {from}, last received {last}"
            );
        }
        assert!(to.is_none_or(|to| to <= newest), "gap of {name:?} to {to:?}, newest {newest}");
        assert!(
            !exact || to.is_none_or(|to| to >= last),
            "gap of {name:?} to {to:?}, last received {last}"
        );
        let last = last.max(to.unwrap_or(0));
        let track = match (track, to) {
            (Track::Every { .. } | Track::AfterGap { .. }, Some(_)) => {
                Track::Every { next: last + 1 }
            }
            (Track::Every { .. } | Track::AfterGap { .. }, None) => Track::AfterGap { last },
            (_, Some(_)) => Track::Latest { last, waived: last },
            (_, None) => Track::Latest { last, waived: newest },
        };
        self.tracks.insert(name, track);
    }

    /// Treats all names that can be conflated as `latest` from here on.
    fn conflate(&mut self, facts: &Facts<'_>) {
        let latest = Delivery::Latest { max_rate: None };
        for name in
            facts.oracle.names(self.feed).filter(|name| latest.for_channel(name.0) == latest)
        {
            match self.track(name, facts) {
                Some(Track::Every { next }) => {
                    // If the last tick was dropped before the name was restarted, it arrives again.
                    let repeated = u64::from(!self.received.contains(&name));
                    let (last, waived) =
                        ((next - 1).saturating_sub(repeated), (next - 1) * repeated);
                    let track = Track::Latest { last, waived };
                    self.tracks.insert(name, track);
                }
                Some(Track::AfterGap { last }) => {
                    self.tracks.insert(name, Track::Latest { last, waived: last });
                }
                _ => {}
            }
        }
        let names = self.names.iter_mut().map(|((channel, _), mode)| (*channel, mode));
        let wildcards = self.wildcards.iter_mut().map(|(channel, mode)| (*channel, mode));
        for (channel, mode) in names.chain(wildcards) {
            if mode.delivery == Delivery::Every {
                mode.delivery = latest.for_channel(channel);
            }
        }
    }

    /// Asserts that the client has everything up to a position. Ticks that the shard has not seen
    /// cannot count as the newest.
    pub(crate) fn check_complete(&self, head: u64, facts: &Facts<'_>) {
        for name in facts.oracle.names(self.feed) {
            let newest = facts.last_before(self.topic(name), head);
            let (last, waived) = match self.track(name, facts) {
                Some(Track::Every { next }) => {
                    let skips = self.may_skip && self.log_overruns;
                    assert!(
                        next == newest + 1 || skips,
                        "{name:?}: expects {next}, newest {newest}"
                    );
                    continue;
                }
                Some(Track::Latest { last, waived }) => (last, waived),
                Some(Track::AfterGap { .. }) | None => continue,
            };
            let at = facts.oracle.position(self.topic(name), newest).unwrap_or_default();
            let is_seen = !facts.unseen.iter().any(|unseen| unseen.contains(&at));
            assert!(
                last == newest || newest <= waived || !is_seen,
                "{name:?}: has {last}, newest {newest}"
            );
        }
        assert!(matches!(self.snapshot, Snapshot::None), "{:?} is not complete", self.snapshot);
    }
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
