//! A simulated subscriber and its commands.

use std::time::Duration;

use tickwire_hub::fanout::ClientId;
use tickwire_protocol::{
    Channel, Command, Delivery, Encoding, MaxRate, OnLag, PerChannel, Replay, ReplaySpeed,
    ReplayStart, SubscribeRequest, SubscriptionSet,
};

use crate::connection::{Connection, Owner};
use crate::observer::Observer;
use crate::oracle::Facts;
use crate::random::Random;
use crate::resume_state::ResumeState;
use crate::source::{CHANNELS, FEEDS, SYMBOLS};

/// The most commands in flight to the hub.
const COMMANDS_MAX: usize = 6;
const RATES: [f64; 4] = [1.0, 7.0, 100.0, 1000.0];

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) feed: u8,
    pub(crate) encoding: Encoding,
    /// The connection of the client: index of the shard and of the session.
    pub(crate) link: Option<(usize, u32)>,
    pub(crate) observer: Observer,
    /// Whether the client does not read.
    pub(crate) stalls: bool,
    /// The state at the end of its last connection, from which it can resume.
    resume_state: Option<ResumeState>,
    /// Whether the client uses history on this connection. It then requests every tick, keeps all
    /// its names, and does not use `on_lag` `latest`.
    uses_history: bool,
    /// Channels with `"*"` on this connection. Names beside a wildcard that catches up get no
    /// snapshot, for a time that only the hub knows, so clients that use history name nothing
    /// there.
    wildcards: PerChannel<bool>,
    commands: u64,
}

impl Client {
    pub(crate) fn new(random: &mut Random) -> Self {
        let feed = u8::try_from(random.below(u64::from(FEEDS))).unwrap();
        let encoding = random.pick(&[Encoding::Json, Encoding::MsgpackArray]);
        Self {
            feed,
            encoding,
            link: None,
            observer: Observer::new(feed, encoding),
            stalls: false,
            resume_state: None,
            uses_history: false,
            wildcards: PerChannel::default(),
            commands: 0,
        }
    }

    /// Opens a connection and sends its first commands.
    pub(crate) fn connect(&mut self, number: usize, random: &mut Random) -> Connection {
        self.observer = Observer::new(self.feed, self.encoding);
        self.stalls = false;
        self.uses_history = random.chance(60);
        self.wildcards = PerChannel::default();
        let room = random.weighted(&[(1, 60), (2, 700), (3, 20_000)]);
        let client = ClientId(u32::try_from(number).unwrap());
        let mut connection =
            Connection::new(Owner::Honest(number), client, self.feed, self.encoding, room);
        match self.resume_state.take() {
            Some(state) if self.uses_history => {
                for (names, resume) in state.resumes(random) {
                    let names = self.without_covered_names(names);
                    let pos = random.chance(70);
                    let resume = Some(resume);
                    let id = self.number();
                    let asked =
                        SubscribeRequest { names, resume, pos, id, ..SubscribeRequest::default() };
                    send(&mut connection, &Command::Subscribe(asked), random);
                }
            }
            _ => self.command(&mut connection, random),
        }
        connection
    }

    /// Handles the end of the connection.
    pub(crate) fn on_disconnect(&mut self) {
        self.link = None;
        self.resume_state = ResumeState::of(&self.observer).or_else(|| self.resume_state.take());
    }

    /// Removes symbols that a wildcard of this connection covers, if the client uses history.
    fn without_covered_names(&mut self, mut names: SubscriptionSet) -> SubscriptionSet {
        for channel in Channel::ALL {
            if self.uses_history && self.wildcards[channel] {
                names[channel].symbols.clear();
            }
            self.wildcards[channel] |= names[channel].all;
        }
        names
    }

    fn number(&mut self) -> Option<u64> {
        self.commands += 1;
        Some(self.commands)
    }

    pub(crate) fn command(&mut self, connection: &mut Connection, random: &mut Random) {
        if connection.commands.len() >= COMMANDS_MAX {
            return;
        }
        let id = self.number();
        let command = match random.below(10) {
            0 => Command::List { id },
            1..4 if !self.uses_history => {
                let names = names(random);
                Command::Unsubscribe(SubscribeRequest { names, id, ..SubscribeRequest::default() })
            }
            4 if self.uses_history => Command::Subscribe(SubscribeRequest {
                names: self.without_covered_names(names(random)),
                pos: random.chance(50),
                replay: Some(replay(random)),
                id,
                ..SubscribeRequest::default()
            }),
            _ => Command::Subscribe(SubscribeRequest {
                names: self.without_covered_names(names(random)),
                snapshot: random.pick(&[None, None, Some(true), Some(false)]),
                delivery: if self.uses_history { Delivery::Every } else { delivery(random) },
                on_lag: match self.uses_history {
                    true => random.pick(&[None, Some(OnLag::Close)]),
                    false => random.pick(&[None, Some(OnLag::Close), Some(OnLag::Latest)]),
                },
                pos: random.chance(30),
                id,
                ..SubscribeRequest::default()
            }),
        };
        send(connection, &command, random);
    }

    /// Reads a number of the received bytes.
    pub(crate) fn read(&mut self, connection: &mut Connection, bytes: usize, facts: &Facts<'_>) {
        self.observer.log_overruns = connection.log_overruns;
        let until = connection.read + bytes as u64;
        if let Some(promise) = connection.fairness.take_promise(until) {
            self.receive(connection, promise.bytes, facts);
            self.observer.check_promise(promise.head, facts);
        }
        self.receive(connection, until, facts);
    }

    /// Reads the bytes of a connection up to the one with a number.
    fn receive(&mut self, connection: &mut Connection, until: u64, facts: &Facts<'_>) {
        let bytes = connection.take(usize::try_from(until - connection.read).unwrap());
        self.observer.receive(bytes.into_iter(), &mut connection.due, facts);
    }
}

fn send(connection: &mut Connection, command: &Command, random: &mut Random) {
    let mut bytes = Vec::new();
    match random.pick(&[Encoding::Json, Encoding::MsgpackArray]) {
        Encoding::Json => command.write_json(&mut bytes),
        Encoding::MsgpackArray | Encoding::MsgpackMap => command.write_msgpack(&mut bytes),
    }
    connection.commands.push_back(bytes);
}

fn replay(random: &mut Random) -> Replay {
    let ago_ms = random.weighted(&[(1, 10), (2, 300), (1, 10_000)]);
    let speed = match random.below(3) {
        0 => ReplaySpeed::Max,
        _ => ReplaySpeed::factor(random.pick(&[1.0, 20.0])).unwrap(),
    };
    Replay { from: ReplayStart::Ago(Duration::from_millis(random.below(ago_ms))), speed }
}

fn names(random: &mut Random) -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    for _ in 0..random.below(5) {
        let channel = random.pick(&CHANNELS);
        let name = if random.chance(20) { "*" } else { random.pick(&SYMBOLS) };
        names[channel].add(name).unwrap();
    }
    names
}

fn delivery(random: &mut Random) -> Delivery {
    match random.below(10) {
        0..6 => Delivery::Every,
        6..8 => Delivery::Latest { max_rate: None },
        _ => Delivery::Latest { max_rate: MaxRate::per_second(random.pick(&RATES)).ok() },
    }
}
