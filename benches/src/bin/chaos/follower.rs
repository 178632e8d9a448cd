//! One subscriber: what it asks for, and whether what it is told is right. Pure: messages in, violations
//! out, over as many connections as it takes.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use tickwire_protocol::{Channel, ResumeOutcome, Symbol, Tick};

use crate::heard::Heard;
use crate::truth::{Topic, named, topic_of};
use crate::world::{Violation, World};

/// What a client wants.
#[derive(Debug, Clone)]
pub(crate) struct Wants {
    pub(crate) channels: Vec<Channel>,
    /// `None`: `"*"`.
    pub(crate) symbols: Option<Vec<Symbol>>,
    pub(crate) delivery: Delivery,
}

/// How it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Every tick; and how the client comes back after a disconnect.
    Every(Return),
    /// The newest, so many times a second.
    Latest { max_rate: Option<u32> },
}

/// How a client comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    /// It begins anew, with a snapshot.
    Afresh,
    /// It resumes behind the last position.
    ByPosition,
    /// It resumes each topic behind its last number.
    ByNumbers,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Asked,
    Flowing,
    Snapshot { left: u64 },
}

/// One connection.
#[derive(Debug)]
struct Connection {
    stage: Stage,
    epoch: String,
    /// What the last command asked to be resumed was of this epoch.
    resume: Option<String>,
    resumed: Option<ResumeOutcome>,
    /// Topics that were said to have a gap of unknown size, until their snapshot comes.
    announced: HashSet<Topic>,
    /// Place of the last live tick.
    place: Option<u64>,
    /// Whether the last tick of this message still misses its position.
    unpositioned: bool,
}

/// One subscriber.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) who: String,
    wants: Wants,
    /// The epoch of all below: the one in which a subscribe was answered.
    epoch: Option<String>,
    /// Number of the last tick of each topic.
    last: HashMap<Topic, u64>,
    /// What earlier connections had; a snapshot never goes back behind it.
    floor: HashMap<Topic, u64>,
    position: Option<u64>,
    /// Whether the last values of all topics have come, without which there is nothing to go on from.
    whole: bool,
    /// What it had before an answer whose gaps may not all have come: numbers and position.
    undo: Option<(HashMap<Topic, u64>, Option<u64>)>,
    connection: Connection,
}

impl Connection {
    fn opening() -> Self {
        Self {
            stage: Stage::Opening,
            epoch: String::new(),
            resume: None,
            resumed: None,
            announced: HashSet::new(),
            place: None,
            unpositioned: false,
        }
    }
}

impl Wants {
    /// Whether it wants this topic.
    pub(crate) fn has(&self, (channel, symbol): &Topic) -> bool {
        self.channels.contains(channel)
            && self.symbols.as_ref().is_none_or(|symbols| symbols.contains(symbol))
    }

    /// All topics that are named.
    fn topics(&self) -> impl Iterator<Item = Topic> {
        let symbols = self.symbols.iter().flatten();
        symbols.flat_map(|symbol| self.channels.iter().map(|channel| (*channel, *symbol)))
    }
}

impl Follower {
    pub(crate) fn new(who: String, wants: Wants) -> Self {
        Self {
            who,
            wants,
            epoch: None,
            last: HashMap::new(),
            floor: HashMap::new(),
            position: None,
            whole: false,
            undo: None,
            connection: Connection::opening(),
        }
    }

    fn returns(&self) -> Option<Return> {
        match self.wants.delivery {
            Delivery::Every(returns) => Some(returns),
            Delivery::Latest { .. } => None,
        }
    }

    fn wants_positions(&self) -> bool {
        self.returns() == Some(Return::ByPosition)
    }

    /// A new connection begins. If the one before was cut while gaps were told, it is as if none had
    /// been: they will be told again.
    pub(crate) fn begin(&mut self) {
        if let Some((last, position)) = self.undo.take() {
            (self.last, self.position) = (last, position);
        }
        self.connection = Connection::opening();
    }

    /// The command of this connection, once it has been greeted and until it has asked.
    pub(crate) fn command(&mut self) -> Option<String> {
        if self.connection.stage != Stage::Opening || self.connection.epoch.is_empty() {
            return None;
        }
        self.connection.stage = Stage::Asked;
        let mut command = r#"{"action":"subscribe","id":1,"snapshot":true"#.to_owned();
        for channel in &self.wants.channels {
            let names = match &self.wants.symbols {
                None => r#""*""#.to_owned(),
                Some(symbols) => {
                    let quoted: Vec<String> = symbols.iter().map(|s| format!("\"{s}\"")).collect();
                    quoted.join(",")
                }
            };
            let _infallible = write!(command, r#","{channel}":[{names}]"#);
        }
        match self.wants.delivery {
            Delivery::Latest { max_rate: None } => command += r#","delivery":"latest""#,
            Delivery::Latest { max_rate: Some(rate) } => {
                let _infallible = write!(command, r#","delivery":"latest","max_rate":{rate}"#);
            }
            Delivery::Every(Return::ByPosition) => command += r#","pos":true"#,
            Delivery::Every(_) => {}
        }
        if let Some(resume) = self.resume() {
            self.connection.resume.clone_from(&self.epoch);
            command += &resume;
        }
        command.push('}');
        Some(command)
    }

    /// The option that resumes, where there is something to go on from.
    fn resume(&self) -> Option<String> {
        let epoch = self.epoch.as_ref().filter(|_| self.whole)?;
        let point = match self.returns()? {
            Return::Afresh => return None,
            Return::ByPosition => format!(r#""pos":{}"#, self.position?),
            Return::ByNumbers => {
                let after =
                    |channel: &Channel| format!(r#""{channel}":{{{}}}"#, self.after(*channel));
                let channels: Vec<String> = self.wants.channels.iter().map(after).collect();
                format!(r#""after":{{{}}}"#, channels.join(","))
            }
        };
        Some(format!(r#","resume":{{"epoch":"{epoch}",{point}}}"#))
    }

    /// The last numbers of a channel. A name that has not ticked is behind number 0; under `"*"`
    /// that goes without saying.
    fn after(&self, channel: Channel) -> String {
        let quiet = self.wants.topics().filter(|topic| !self.last.contains_key(topic));
        let known = self.last.iter().map(|(topic, seq)| (*topic, *seq));
        let all = known.chain(quiet.map(|topic| (topic, 0)));
        let mine = all.filter(|((of, _), _)| *of == channel);
        let spelled: Vec<String> =
            mine.map(|((_, symbol), seq)| format!(r#""{symbol}":{seq}"#)).collect();
        spelled.join(",")
    }

    /// Takes one message.
    pub(crate) fn hear(&mut self, world: &mut World, message: Vec<Heard>) {
        for heard in message {
            if let Err(violation) = self.element(world, heard) {
                world.violated(&self.who, violation);
            }
        }
        if std::mem::take(&mut self.connection.unpositioned) && self.wants_positions() {
            let problem = "a data message does not end with its position".to_owned();
            world.violated(&self.who, Violation::Protocol(problem));
        }
    }

    fn element(&mut self, world: &mut World, heard: Heard) -> Result<(), Violation> {
        if self.connection.stage == Stage::Flowing && !matches!(heard, Heard::Gap { .. }) {
            self.undo = None;
        }
        match (heard, self.connection.stage) {
            (Heard::Other, _) => Ok(()),
            (Heard::Error(problem), _) => Err(Violation::Protocol(format!("error: {problem}"))),
            (Heard::Connected { epoch }, Stage::Opening) => {
                world.meet(&epoch);
                world.counts.connections += 1;
                self.connection.epoch = epoch;
                Ok(())
            }
            (Heard::Ack { resumed, position }, Stage::Asked) => {
                self.answered(world, resumed, position)
            }
            (Heard::Gap { topic, from, to }, Stage::Flowing) => self.gap(world, topic, from, to),
            (Heard::Snapshot { ticks }, Stage::Flowing) => self.snapshot(ticks),
            (Heard::Tick(tick), Stage::Snapshot { left }) => self.last_value(world, &tick, left),
            (Heard::Live, Stage::Snapshot { left }) => self.live(left),
            (Heard::Tick(tick), Stage::Flowing) => self.tick(world, &tick),
            (Heard::Position(position), Stage::Flowing) => self.at_position(world, position),
            (heard, stage) => Err(Violation::Protocol(format!("{heard:?} in stage {stage:?}"))),
        }
    }

    fn answered(
        &mut self,
        world: &mut World,
        resumed: Option<ResumeOutcome>,
        position: Option<u64>,
    ) -> Result<(), Violation> {
        let connection = &mut self.connection;
        connection.stage = Stage::Flowing;
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
            Some(ResumeOutcome::Complete) => world.counts.resumed_all += 1,
            Some(ResumeOutcome::Gap) => world.counts.resumed_gap += 1,
            Some(ResumeOutcome::NewEpoch) => world.counts.resumed_epoch += 1,
            None => {}
        }
        if !same_epoch {
            self.floor.clear();
            self.last.clear();
        } else if resumed.is_none() {
            self.floor.extend(self.last.drain());
        }
        self.whole = matches!(resumed, Some(ResumeOutcome::Complete | ResumeOutcome::Gap));
        if resumed == Some(ResumeOutcome::Gap) {
            self.undo = Some((self.last.clone(), self.position));
        }
        self.epoch = Some(connection.epoch.clone());
        self.position = position;
        if !fits {
            let asked = connection.resume.as_deref();
            let problem = format!("resume of {asked:?} in {} is {resumed:?}", connection.epoch);
            return Err(Violation::Protocol(problem));
        }
        if position.is_some() != self.wants_positions() {
            return Err(Violation::Protocol(format!("an answer with position {position:?}")));
        }
        Ok(())
    }

    fn gap(
        &mut self,
        world: &mut World,
        topic: Topic,
        from: Option<u64>,
        to: Option<u64>,
    ) -> Result<(), Violation> {
        self.wanted(&topic)?;
        world.counts.gaps += 1;
        let must_name = self.returns() == Some(Return::ByNumbers);
        let last = self.last.entry(topic).or_default();
        let expected_from = *last + 1;
        let wrong = Violation::Gap { topic, from, to, expected_from };
        match (self.connection.resumed, to) {
            (Some(ResumeOutcome::NewEpoch), None) if from.is_none() => {
                self.last.remove(&topic);
                match self.connection.announced.insert(topic) {
                    true => Ok(()),
                    false => Err(wrong),
                }
            }
            (Some(_), Some(to)) if to >= expected_from => {
                let named_from = from.is_none_or(|from| from == expected_from);
                world.counts.gap_ticks += to - *last;
                *last = to;
                if named_from && (from.is_some() || !must_name) { Ok(()) } else { Err(wrong) }
            }
            _ => Err(wrong),
        }
    }

    fn snapshot(&mut self, left: u64) -> Result<(), Violation> {
        self.connection.stage = Stage::Snapshot { left };
        match self.connection.resumed {
            Some(ResumeOutcome::Complete | ResumeOutcome::Gap) => {
                Err(Violation::Protocol("a snapshot of what was resumed".to_owned()))
            }
            Some(ResumeOutcome::NewEpoch) | None => Ok(()),
        }
    }

    fn last_value(&mut self, world: &mut World, tick: &Tick, left: u64) -> Result<(), Violation> {
        let topic = topic_of(tick);
        self.wanted(&topic)?;
        let Some(left) = left.checked_sub(1) else {
            return Err(Violation::Protocol("more last values than were announced".to_owned()));
        };
        self.connection.stage = Stage::Snapshot { left };
        let floor = self.floor.get(&topic).copied().unwrap_or(0);
        let twice = self.last.insert(topic, tick.seq.0).is_some();
        self.place(world, tick)?;
        if tick.seq.0 < floor {
            return Err(Violation::Repeated { topic, seq: tick.seq.0, expected: floor });
        }
        let announced = self.connection.announced.remove(&topic);
        if self.connection.resumed == Some(ResumeOutcome::NewEpoch) && !announced {
            let what = named(&topic);
            return Err(Violation::Protocol(format!("new epoch, but no gap of {what} was told")));
        }
        match twice {
            true => Err(Violation::Protocol(format!("{} twice in a snapshot", named(&topic)))),
            false => Ok(()),
        }
    }

    fn live(&mut self, left: u64) -> Result<(), Violation> {
        self.connection.stage = Stage::Flowing;
        self.whole = true;
        if left > 0 {
            return Err(Violation::Protocol(format!("{left} last values did not come")));
        }
        match self.connection.announced.drain().next() {
            Some(topic) => {
                let what = named(&topic);
                Err(Violation::Protocol(format!("a gap of {what}, but no last value")))
            }
            None => Ok(()),
        }
    }

    fn tick(&mut self, world: &mut World, tick: &Tick) -> Result<(), Violation> {
        let topic = topic_of(tick);
        self.wanted(&topic)?;
        let seq = tick.seq.0;
        self.whole = true;
        let place = self.place(world, tick)?;
        let every = self.returns().is_some();
        let before = self.connection.place.replace(place);
        self.connection.unpositioned = every;
        let last = self.last.entry(topic).or_default();
        let expected = *last + 1;
        if seq < expected {
            return Err(Violation::Repeated { topic, seq, expected });
        }
        *last = seq;
        if !every {
            return Ok(());
        }
        if seq > expected {
            return Err(Violation::Lost { topic, from: expected, to: seq - 1 });
        }
        match before.is_some_and(|before| before >= place) {
            true => Err(Violation::Overtaken { topic, seq }),
            false => Ok(()),
        }
    }

    fn at_position(&mut self, world: &mut World, position: u64) -> Result<(), Violation> {
        if !self.wants_positions() {
            return Err(Violation::Protocol(format!("position {position}, not asked for")));
        }
        let had_tick = std::mem::take(&mut self.connection.unpositioned);
        self.position = Some(position);
        let Some(place) = self.connection.place.filter(|_| had_tick) else {
            return Ok(()); // a heartbeat: nothing was pending
        };
        let epoch = &self.connection.epoch;
        world
            .position(epoch, place, position)
            .map_err(|expected| Violation::Position { given: position, expected })
    }

    fn wanted(&self, topic: &Topic) -> Result<(), Violation> {
        match self.wants.has(topic) {
            true => Ok(()),
            false => Err(Violation::Protocol(format!("{} was not asked for", named(topic)))),
        }
    }

    fn place(&self, world: &mut World, tick: &Tick) -> Result<u64, Violation> {
        let topic = topic_of(tick);
        world.place(&self.connection.epoch, tick).map_err(|difference| Violation::Wrong {
            topic,
            seq: tick.seq.0,
            difference,
        })
    }

    /// What it has not got of the newest numbers of an epoch.
    pub(crate) fn behind(&self, epoch: &str, newest: &HashMap<Topic, u64>) -> Vec<Violation> {
        let current = self.epoch.as_deref() == Some(epoch);
        not_yet(&self.wants, current.then_some(&self.last), newest)
    }

    /// The newest numbers of an epoch, once its snapshot has come as a whole.
    pub(crate) fn newest_of(&self, epoch: &str) -> Option<&HashMap<Topic, u64>> {
        let flows = self.epoch.as_deref() == Some(epoch)
            && self.connection.stage == Stage::Flowing
            && !self.last.is_empty();
        flows.then_some(&self.last)
    }
}

/// What of the newest numbers is wanted and has not come yet.
pub(crate) fn not_yet(
    wants: &Wants,
    last: Option<&HashMap<Topic, u64>>,
    newest: &HashMap<Topic, u64>,
) -> Vec<Violation> {
    let has = |topic| last.and_then(|last| last.get(topic)).copied().unwrap_or(0);
    let wanted = newest.iter().filter(|(topic, _)| wants.has(topic));
    let compared = wanted.map(|(topic, newest)| (*topic, has(topic), *newest));
    compared
        .filter(|(_, has, newest)| has != newest)
        .map(|(topic, has, newest)| Violation::Behind { topic, has, newest })
        .collect()
}

#[cfg(test)]
mod tests;
