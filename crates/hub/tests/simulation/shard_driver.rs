//! Drives one shard with its connections: the turn is the server's, but sockets, clock and log are
//! simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tickwire_hub::fanout::turn::{self, SESSION_CONTROL_BYTES, TurnLimits};
use tickwire_hub::fanout::{
    CloseReason, FeedId, LastTick, Limits, Log, Position, SessionId, Shard,
};
use tickwire_protocol::{Command, Control, SubscribeRequest, Tick};

use crate::connection::{Connection, Expected, Stage};
use crate::oracle::{Name, Topic};
use crate::population::Population;
use crate::random::Random;
use crate::shard_turn::Turn;
use crate::world::Setting;

/// Time in which a slow session can read its error.
pub(crate) const GRACE_NS: u64 = 1_000_000_000;
/// The most ticks that a catch-up adds to a backlog.
const CATCH_UP_TICKS_MAX: usize = 1_024;

pub(crate) struct ShardDriver {
    pub(crate) core: Shard,
    limits: Limits,
    clients: Population,
    /// The value of [`Turn::reads`] in every turn; at random if `None`.
    pub(crate) reads: Option<usize>,
    pub(crate) connections: BTreeMap<u32, Connection>,
    /// Connections that have ended since the last turn of the world.
    pub(crate) ended: Vec<Connection>,
    /// Numbers of the last values, of topics whose last tick the shard has seen.
    pub(crate) seen: BTreeMap<Topic, u64>,
    /// Topics of which the shard has seen a tick.
    ticked: BTreeSet<Topic>,
    /// Positions that the shard has not seen because the log overran it.
    pub(crate) unseen: Vec<Range<u64>>,
    /// Position of the first tick that the shard can still look up.
    pub(crate) start: Position,
    pub(crate) now_ns: u64,
}

impl ShardDriver {
    /// Creates a shard that knows the last ticks from before the log and has applied the log.
    pub(crate) fn new(
        setting: &Setting,
        epoch: &str,
        log: &Log,
        last_before: &[LastTick],
        now_ns: u64,
    ) -> Self {
        let mut driver = Self::empty(setting, epoch, log.start());
        for last in last_before {
            driver.core.restore(last.clone());
            driver.record(last.feed, &last.tick);
        }
        driver.now_ns = now_ns;
        let random = &mut Random::new(now_ns);
        let limits = TurnLimits { batches: 7, ..TurnLimits::DEFAULT };
        let reads = usize::MAX;
        let has_read = false;
        let driver_turn = &mut Turn { driver: &mut driver, random, log, limits, reads, has_read };
        turn::take_up_log(driver_turn);
        driver
    }

    fn empty(setting: &Setting, epoch: &str, from: Position) -> Self {
        let limits = setting.limits.clone();
        Self {
            core: Shard::new(limits.clone(), from).in_epoch(epoch),
            limits,
            clients: setting.clients,
            reads: None,
            connections: BTreeMap::new(),
            ended: Vec::new(),
            seen: BTreeMap::new(),
            ticked: BTreeSet::new(),
            unseen: Vec::new(),
            start: from,
            now_ns: 0,
        }
    }

    /// Opens a session, between turns or within one.
    pub(crate) fn accept(&mut self, connection: Connection, epoch: &str) -> u32 {
        let id = self.core.open(FeedId(connection.feed), connection.encoding);
        self.core.set_client(id, connection.client);
        self.core.control(id, &Control::Connected { epoch: Some(epoch.to_owned()) });
        self.connections.insert(id.0, connection);
        id.0
    }

    pub(crate) fn turn(&mut self, random: &mut Random, now_ns: u64, log: &Log) {
        self.now_ns = self.now_ns.max(now_ns);
        let limits = TurnLimits {
            batches: random.weighted(&[(2, 1), (2, 3), (1, 1_024)]),
            batches_per_look: random.pick(&[1, 64]),
            messages_per_session: random.pick(&[1, 2, 64]),
            sessions_per_poll: random.pick(&[1, 2, 256]),
            session_control_bytes: random.pick(&[1_000, SESSION_CONTROL_BYTES]),
            ..TurnLimits::DEFAULT
        };
        let reads = random.weighted(&[(2, 1), (2, 5), (2, 30), (1, usize::MAX)]);
        let reads = self.reads.unwrap_or(reads);
        let has_read = false;
        turn::run(&mut Turn { driver: self, random, log, limits, reads, has_read });
        self.check_bounds();
        self.check_fairness(limits.session_control_bytes, reads == 1);
    }

    pub(crate) fn take_command(&mut self, slot: u32, bytes: &[u8]) {
        let connection = self.connections.get_mut(&slot).unwrap();
        let command = match bytes[0] {
            b'{' => Command::from_json(bytes),
            _ => Command::from_msgpack(bytes),
        };
        let command = command.unwrap();
        if !connection.is_honest() {
            return self.core.command(SessionId(slot), &command);
        }
        let was_live = self.core.is_live(SessionId(slot));
        let is_few = is_few(&command, self.limits.topics_per_piece);
        let mut due = None;
        if connection.stage == Stage::Open {
            let feed = connection.feed;
            let of_feed = |topic: &Topic| (topic.0 == feed).then_some((topic.1, topic.2));
            let values = self.seen.iter().filter_map(|(topic, seq)| Some((of_feed(topic)?, *seq)));
            let values: BTreeMap<Name, u64> = values.collect();
            let ticked = self.ticked.iter().filter_map(of_feed).collect();
            due = Some(Expected {
                command: command.clone(),
                head: self.core.head().0,
                start: self.start.0,
                now_ns: self.now_ns,
                values,
                ticked,
                was_live,
                is_live: true,
            });
        }
        let before = self.core.control_bytes(SessionId(slot));
        self.core.command(SessionId(slot), &command);
        if is_few && due.is_some() {
            let after = self.core.control_bytes(SessionId(slot));
            assert!(after > before, "a command over few names is answered at once");
        }
        let is_live = self.core.is_live(SessionId(slot));
        if self.core.has_long_command(SessionId(slot)) {
            self.connections.get_mut(&slot).unwrap().fairness.note_long();
        }
        let due = due.map(|expected| Expected { is_live, ..expected });
        self.connections.get_mut(&slot).unwrap().due.extend(due);
    }

    pub(crate) fn record(&mut self, feed: FeedId, tick: &Tick) {
        let topic = (feed.0, tick.channel(), tick.symbol);
        self.seen.insert(topic, tick.seq.0);
        self.ticked.insert(topic);
    }

    /// Ends a session cleanly.
    pub(crate) fn finish(&mut self, slot: u32, reason: CloseReason) {
        let was_live = self.core.is_live(SessionId(slot));
        self.core.finish(SessionId(slot), reason);
        let connection = self.connections.get_mut(&slot).unwrap();
        connection.stage = Stage::Finishing { deadline_ns: self.now_ns + GRACE_NS };
        connection.finished_at = was_live.then(|| self.core.head().0);
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        self.core.close(SessionId(slot));
        self.ended.extend(self.connections.remove(&slot));
    }

    fn check_bounds(&self) {
        let held = self.core.stats();
        let sessions = self.connections.len() as u64;
        let limits = &self.limits;
        let most = sessions * (limits.backlog_ticks.max(CATCH_UP_TICKS_MAX) as u64 + 1);
        assert!(held.backlog_ticks <= most, "{} > {most} ticks pending", held.backlog_ticks);
        assert_eq!(self.core.sessions() as u64, sessions);
        let most = Population::control_bytes_max(limits, self.connections.len());
        assert!(held.control_bytes <= most, "{} > {most} bytes of answers", held.control_bytes);
        let long = self.core.long_commands() as u64;
        assert!(long <= sessions, "{long} commands of {sessions} sessions");
        let waiting = self.core.waiting_topics();
        let most = self.clients.waiting_max();
        assert!(waiting <= most, "{waiting} > {most} topics wait for their first tick");
    }

    /// Checks what sessions of honest clients are guaranteed in each turn.
    fn check_fairness(&mut self, control_bytes_max: usize, is_short: bool) {
        let unread_turns = Population::unread_turns_max(self.connections.len());
        let long_turns = self.clients.long_turns_max(&self.limits);
        for (slot, connection) in self.connections.iter_mut().filter(|(_, of)| of.is_honest()) {
            let id = SessionId(*slot);
            let is_long = self.core.has_long_command(id);
            let is_short = is_short && connection.stage == Stage::Open;
            connection.fairness.end_pieces(is_long, is_short, long_turns);
            let may_be_read = connection.stage == Stage::Open
                && !is_long
                && self.core.control_bytes(id).max(connection.rest.len()) <= control_bytes_max;
            connection.fairness.end_reading(may_be_read, unread_turns);
        }
    }

    /// Returns the next send time of a session, if any waits for one.
    pub(crate) fn next_send_time(&self) -> Option<u64> {
        self.core.next_timer().map(|time| time.0)
    }

    pub(crate) fn is_behind(&self, log: &Log) -> bool {
        self.core.head() != log.head()
    }

    /// Returns whether the shard has no work until time passes or a client acts.
    pub(crate) fn is_idle(&self, log: &Log) -> bool {
        let quiet = |connection: &Connection| {
            !connection.is_honest()
                || !connection.is_broken
                    && !connection.blocked
                    && connection.commands.is_empty()
                    && connection.rest.is_empty()
                    && connection.wire.is_empty()
        };
        self.core.head() == log.head()
            && !self.core.has_ready()
            && !self.core.has_pieces()
            && self.connections.values().all(quiet)
    }
}

/// Returns whether a command concerns at most a piece of topics, however many topics there are.
fn is_few(command: &Command, topics_per_piece: usize) -> bool {
    let has_few = |SubscribeRequest { names, .. }: &SubscribeRequest| {
        names.total() <= topics_per_piece && names.iter().all(|(_, selection)| !selection.all)
    };
    match command {
        Command::Subscribe(request) | Command::Unsubscribe(request) => has_few(request),
        _ => true,
    }
}
