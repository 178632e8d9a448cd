//! One subscriber over all its connections: builds its commands and checks what the hub sends. Does
//! no I/O: messages in, commands and violations out.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use tickwire_protocol::{Channel, ResumeOutcome, Tick};

use crate::checker::{Checker, Violation};
use crate::oracle::{Topic, named, topic_of};
use crate::received::Received;
use crate::subscription::{Delivery, ResumeMode, Subscription, stale_topics};

/// Progress of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    AwaitingAck,
    Streaming,
    Snapshot {
        left: u64,
    },
    /// The session lags: only its close may follow.
    Slow,
}

/// State of the current connection.
#[derive(Debug)]
struct Connection {
    stage: Stage,
    epoch: String,
    /// Epoch that the last command asked to resume, if any.
    resume: Option<String>,
    resumed: Option<ResumeOutcome>,
    /// Topics with a reported gap of unknown size whose snapshot has not arrived.
    open_gaps: HashSet<Topic>,
    /// Market index of the last live tick.
    last_index: Option<u64>,
    /// Whether a tick of this message has not been followed by a position.
    awaits_position: bool,
}

/// A subscriber and what it has received over all its connections.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) name: String,
    subscription: Subscription,
    /// Epoch of the fields below, in which the hub last acknowledged a subscribe.
    epoch: Option<String>,
    /// Sequence number of the last tick of each topic.
    last: HashMap<Topic, u64>,
    /// Topics of which the hub has lost an unknown number of ticks after `last`.
    unbounded_gaps: HashSet<Topic>,
    /// Last sequence numbers of earlier connections. A snapshot must not contain older ticks.
    floor: HashMap<Topic, u64>,
    position: Option<u64>,
    /// Whether the last values of all topics have arrived, which resuming requires.
    can_resume: bool,
    /// Sequence numbers and position before gaps that may not all have arrived.
    before_gaps: Option<(HashMap<Topic, u64>, Option<u64>)>,
    connection: Connection,
}

impl Connection {
    fn opening() -> Self {
        Self {
            stage: Stage::Opening,
            epoch: String::new(),
            resume: None,
            resumed: None,
            open_gaps: HashSet::new(),
            last_index: None,
            awaits_position: false,
        }
    }
}

impl Subscriber {
    pub(crate) fn new(name: String, subscription: Subscription) -> Self {
        Self {
            name,
            subscription,
            epoch: None,
            last: HashMap::new(),
            unbounded_gaps: HashSet::new(),
            floor: HashMap::new(),
            position: None,
            can_resume: false,
            before_gaps: None,
            connection: Connection::opening(),
        }
    }

    fn resume_mode(&self) -> Option<ResumeMode> {
        match self.subscription.delivery {
            Delivery::Every(returns) => Some(returns),
            Delivery::Latest { .. } => None,
        }
    }

    fn wants_positions(&self) -> bool {
        self.resume_mode() == Some(ResumeMode::FromPosition)
    }

    /// Starts a new connection. If the previous one was cut while the hub reported gaps, those gaps
    /// are undone: the hub will report them again.
    pub(crate) fn begin(&mut self) {
        if let Some((last, position)) = self.before_gaps.take() {
            self.last = last;
            self.position = position;
        }
        self.connection = Connection::opening();
    }

    /// Returns the subscribe command, once per connection after the hub has sent its epoch.
    pub(crate) fn command(&mut self) -> Option<String> {
        if self.connection.stage != Stage::Opening || self.connection.epoch.is_empty() {
            return None;
        }
        self.connection.stage = Stage::AwaitingAck;
        let mut command = r#"{"action":"subscribe","id":1,"snapshot":true"#.to_owned();
        for channel in &self.subscription.channels {
            let names = match &self.subscription.symbols {
                None => r#""*""#.to_owned(),
                Some(symbols) => {
                    let quoted: Vec<String> = symbols.iter().map(|s| format!("\"{s}\"")).collect();
                    quoted.join(",")
                }
            };
            let _infallible = write!(command, r#","{channel}":[{names}]"#);
        }
        match self.subscription.delivery {
            Delivery::Latest { max_rate: None } => command += r#","delivery":"latest""#,
            Delivery::Latest { max_rate: Some(rate) } => {
                let _infallible = write!(command, r#","delivery":"latest","max_rate":{rate}"#);
            }
            Delivery::Every(ResumeMode::FromPosition) => command += r#","pos":true"#,
            Delivery::Every(_) => {}
        }
        if let Some(resume) = self.resume() {
            self.connection.resume.clone_from(&self.epoch);
            command += &resume;
        }
        command.push('}');
        Some(command)
    }

    /// Returns the `resume` option, if the client has something to resume from.
    fn resume(&self) -> Option<String> {
        let epoch = self.epoch.as_ref().filter(|_| self.can_resume)?;
        let point = match self.resume_mode()? {
            ResumeMode::Never => return None,
            ResumeMode::FromPosition => format!(r#""pos":{}"#, self.position?),
            ResumeMode::FromSeqs => {
                let after =
                    |channel: &Channel| format!(r#""{channel}":{{{}}}"#, self.last_seqs(*channel));
                let channels: Vec<String> = self.subscription.channels.iter().map(after).collect();
                format!(r#""after":{{{}}}"#, channels.join(","))
            }
        };
        Some(format!(r#","resume":{{"epoch":"{epoch}",{point}}}"#))
    }

    /// Formats the last sequence numbers of a channel. Symbols that have not ticked have number 0;
    /// under `"*"` they are left out.
    fn last_seqs(&self, channel: Channel) -> String {
        let quiet = self.subscription.topics().filter(|topic| !self.last.contains_key(topic));
        let known = self.last.iter().map(|(topic, seq)| (*topic, *seq));
        let all = known.chain(quiet.map(|topic| (topic, 0)));
        let mine = all.filter(|((of, _), _)| *of == channel);
        let formatted: Vec<String> =
            mine.map(|((_, symbol), seq)| format!(r#""{symbol}":{seq}"#)).collect();
        formatted.join(",")
    }

    /// Checks one message and reports violations to `checker`.
    pub(crate) fn on_message(&mut self, checker: &mut Checker, message: Vec<Received>) {
        for received in message {
            if let Err(violation) = self.on_element(checker, received) {
                checker.violated(&self.name, violation);
            }
        }
        if std::mem::take(&mut self.connection.awaits_position) && self.wants_positions() {
            let problem = "a data message does not end with a position".to_owned();
            checker.violated(&self.name, Violation::Protocol(problem));
        }
    }

    fn on_element(&mut self, checker: &mut Checker, received: Received) -> Result<(), Violation> {
        let leaves_gaps_open = matches!(received, Received::Gap { .. } | Received::SlowClient);
        if self.connection.stage == Stage::Streaming && !leaves_gaps_open {
            self.before_gaps = None;
        }
        match (received, self.connection.stage) {
            (Received::Other, _) => Ok(()),
            (Received::Error(problem), _) => Err(Violation::Protocol(format!("error: {problem}"))),
            // `latest` never lags.
            (Received::SlowClient, _) if self.resume_mode().is_some() => {
                self.connection.stage = Stage::Slow;
                checker.counts.slow += 1;
                Ok(())
            }
            (Received::Connected { epoch }, Stage::Opening) => {
                checker.register_epoch(&epoch);
                checker.counts.connections += 1;
                self.connection.epoch = epoch;
                Ok(())
            }
            (Received::Ack { resumed, position }, Stage::AwaitingAck) => {
                self.on_ack(checker, resumed, position)
            }
            (Received::Gap { topic, from, to }, Stage::Streaming) => {
                self.on_gap(checker, topic, from, to)
            }
            (Received::Snapshot { ticks }, Stage::Streaming) => self.on_snapshot(ticks),
            (Received::Tick(tick), Stage::Snapshot { left }) => {
                self.on_last_value(checker, &tick, left)
            }
            (Received::Live, Stage::Snapshot { left }) => self.on_live(checker, left),
            (Received::Tick(tick), Stage::Streaming) => self.on_tick(checker, &tick),
            (Received::Position(position), Stage::Streaming) => self.on_position(checker, position),
            (received, stage) => {
                Err(Violation::Protocol(format!("{received:?} in stage {stage:?}")))
            }
        }
    }

    fn on_ack(
        &mut self,
        checker: &mut Checker,
        resumed: Option<ResumeOutcome>,
        position: Option<u64>,
    ) -> Result<(), Violation> {
        let connection = &mut self.connection;
        connection.stage = Stage::Streaming;
        connection.resumed = resumed;
        let same_epoch = self.epoch.as_ref() == Some(&connection.epoch);
        let fits = match (&connection.resume, resumed) {
            (None, None) => true,
            (Some(asked), Some(ResumeOutcome::NewEpoch)) => *asked != connection.epoch,
            (Some(asked), Some(ResumeOutcome::Complete | ResumeOutcome::Gap)) => {
                *asked == connection.epoch
            }
            _ => false,
        };
        match resumed {
            Some(ResumeOutcome::Complete) => checker.counts.resumed_complete += 1,
            Some(ResumeOutcome::Gap) => checker.counts.resumed_gap += 1,
            Some(ResumeOutcome::NewEpoch) => checker.counts.resumed_epoch += 1,
            None => {}
        }
        if !same_epoch {
            self.floor.clear();
            self.last.clear();
            self.unbounded_gaps.clear();
        } else if resumed.is_none() {
            self.floor.extend(self.last.drain());
            self.unbounded_gaps.clear();
        }
        self.can_resume = matches!(resumed, Some(ResumeOutcome::Complete | ResumeOutcome::Gap));
        if resumed == Some(ResumeOutcome::Gap) {
            self.before_gaps = Some((self.last.clone(), self.position));
        }
        self.epoch = Some(connection.epoch.clone());
        self.position = position;
        if !fits {
            let asked = connection.resume.as_deref();
            let problem =
                format!("resume of epoch {asked:?} in epoch {}: {resumed:?}", connection.epoch);
            return Err(Violation::Protocol(problem));
        }
        if position.is_some() != self.wants_positions() {
            return Err(Violation::Protocol(format!("acknowledged with position {position:?}")));
        }
        Ok(())
    }

    fn on_gap(
        &mut self,
        checker: &mut Checker,
        topic: Topic,
        from: Option<u64>,
        to: Option<u64>,
    ) -> Result<(), Violation> {
        self.check_subscribed(&topic)?;
        checker.counts.gaps += 1;
        // A gap among live ticks precedes its position, as after a resume.
        if self.wants_positions() && self.before_gaps.is_none() {
            self.before_gaps = Some((self.last.clone(), self.position));
        }
        let last = self.last.entry(topic).or_default();
        let expected_from = *last + 1;
        let wrong = Violation::WrongGap { topic, from, to, expected_from };
        match (self.connection.resumed, to) {
            (Some(ResumeOutcome::NewEpoch), None) if from.is_none() => {
                self.last.remove(&topic);
                match self.connection.open_gaps.insert(topic) {
                    true => Ok(()),
                    false => Err(wrong),
                }
            }
            (Some(_), Some(to)) if to >= expected_from => {
                let named_from = from.is_none_or(|from| from == expected_from);
                checker.counts.gap_ticks += to - *last;
                *last = to;
                self.unbounded_gaps.remove(&topic);
                if named_from { Ok(()) } else { Err(wrong) }
            }
            (Some(ResumeOutcome::Gap), None) if from.is_none_or(|from| from == expected_from) => {
                checker.counts.unbounded_gaps += 1;
                self.unbounded_gaps.insert(topic);
                Ok(())
            }
            _ => Err(wrong),
        }
    }

    fn on_snapshot(&mut self, left: u64) -> Result<(), Violation> {
        self.connection.stage = Stage::Snapshot { left };
        match self.connection.resumed {
            Some(ResumeOutcome::Complete | ResumeOutcome::Gap) => {
                Err(Violation::Protocol("a snapshot although the session was resumed".to_owned()))
            }
            Some(ResumeOutcome::NewEpoch) | None => Ok(()),
        }
    }

    fn on_last_value(
        &mut self,
        checker: &mut Checker,
        tick: &Tick,
        left: u64,
    ) -> Result<(), Violation> {
        let topic = topic_of(tick);
        self.check_subscribed(&topic)?;
        let Some(left) = left.checked_sub(1) else {
            return Err(Violation::Protocol("more ticks in a snapshot than announced".to_owned()));
        };
        self.connection.stage = Stage::Snapshot { left };
        let floor = self.floor.get(&topic).copied().unwrap_or(0);
        let twice = self.last.insert(topic, tick.seq.0).is_some();
        self.locate(checker, tick)?;
        if tick.seq.0 < floor {
            return Err(Violation::Repeated { topic, seq: tick.seq.0, expected: floor });
        }
        let open_gaps = self.connection.open_gaps.remove(&topic);
        if self.connection.resumed == Some(ResumeOutcome::NewEpoch) && !open_gaps {
            let what = named(&topic);
            return Err(Violation::Protocol(format!("new epoch, but no gap of {what}")));
        }
        match twice {
            true => Err(Violation::Protocol(format!("{} twice in a snapshot", named(&topic)))),
            false => Ok(()),
        }
    }

    fn on_live(&mut self, checker: &mut Checker, left: u64) -> Result<(), Violation> {
        self.connection.stage = Stage::Streaming;
        self.can_resume = true;
        if left > 0 {
            return Err(Violation::Protocol(format!("{left} ticks are missing in the snapshot")));
        }
        // The hub does not know the last value of a topic if it may have missed ticks.
        checker.counts.unbounded_gaps += self.connection.open_gaps.len() as u64;
        self.unbounded_gaps.extend(self.connection.open_gaps.drain());
        Ok(())
    }

    fn on_tick(&mut self, checker: &mut Checker, tick: &Tick) -> Result<(), Violation> {
        let topic = topic_of(tick);
        self.check_subscribed(&topic)?;
        let seq = tick.seq.0;
        self.can_resume = true;
        let index = self.locate(checker, tick)?;
        let every = self.resume_mode().is_some();
        let before = self.connection.last_index.replace(index);
        self.connection.awaits_position = every;
        let last = self.last.entry(topic).or_default();
        let expected = *last + 1;
        if seq < expected {
            return Err(Violation::Repeated { topic, seq, expected });
        }
        *last = seq;
        let is_after_gap = self.unbounded_gaps.remove(&topic);
        if !every {
            return Ok(());
        }
        if seq > expected && !is_after_gap {
            return Err(Violation::Lost { topic, from: expected, to: seq - 1 });
        }
        match before.is_some_and(|before| before >= index) {
            true => Err(Violation::OutOfOrder { topic, seq }),
            false => Ok(()),
        }
    }

    fn on_position(&mut self, checker: &mut Checker, position: u64) -> Result<(), Violation> {
        if !self.wants_positions() {
            return Err(Violation::Protocol(format!("position {position} was not asked for")));
        }
        let had_tick = std::mem::take(&mut self.connection.awaits_position);
        self.position = Some(position);
        let Some(index) = self.connection.last_index.filter(|_| had_tick) else {
            return Ok(()); // a heartbeat
        };
        let epoch = &self.connection.epoch;
        checker
            .position(epoch, index, position)
            .map_err(|expected| Violation::WrongPosition { received: position, expected })
    }

    fn check_subscribed(&self, topic: &Topic) -> Result<(), Violation> {
        match self.subscription.contains(topic) {
            true => Ok(()),
            false => Err(Violation::Protocol(format!("{} was not subscribed to", named(topic)))),
        }
    }

    fn locate(&self, checker: &mut Checker, tick: &Tick) -> Result<u64, Violation> {
        let topic = topic_of(tick);
        checker.locate(&self.connection.epoch, tick).map_err(|difference| Violation::Mismatch {
            topic,
            seq: tick.seq.0,
            difference,
        })
    }

    /// Returns whether the hub has sent the error that precedes the close of a session that lags.
    pub(crate) fn is_slow(&self) -> bool {
        self.connection.stage == Stage::Slow
    }

    /// Returns a violation for each topic whose newest tick the client does not have.
    pub(crate) fn stale_topics(&self, epoch: &str, newest: &HashMap<Topic, u64>) -> Vec<Violation> {
        let current = self.epoch.as_deref() == Some(epoch);
        let last = current.then_some(&self.last);
        stale_topics(&self.subscription, last, &self.unbounded_gaps, newest)
    }

    /// Returns the last sequence numbers of an epoch, once its snapshot is complete.
    pub(crate) fn newest_seqs(&self, epoch: &str) -> Option<&HashMap<Topic, u64>> {
        let flows = self.epoch.as_deref() == Some(epoch)
            && self.connection.stage == Stage::Streaming
            && !self.last.is_empty();
        flows.then_some(&self.last)
    }
}

#[cfg(test)]
mod tests;
