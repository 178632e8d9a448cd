//! A subscriber: what it asks for.

use tickwire_protocol::{Command, Delivery, Encoding, MaxRate, Names, OnLag, Subscription};

use crate::connection::Connection;
use crate::observer::Observer;
use crate::random::Random;
use crate::source::{CHANNELS, FEEDS, SYMBOLS};
use crate::truth::Facts;

/// Commands on their way to the hub, at the most.
const COMMANDS: usize = 6;
const RATES: [f64; 4] = [1.0, 7.0, 100.0, 1000.0];

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) feed: u8,
    pub(crate) encoding: Encoding,
    /// Its connection: number of the shard, slot of the session.
    pub(crate) link: Option<(usize, u32)>,
    pub(crate) observer: Observer,
    /// It does not read.
    pub(crate) stalls: bool,
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
            commands: 0,
        }
    }

    /// A new connection; its first commands go with it.
    pub(crate) fn connect(&mut self, number: usize, random: &mut Random) -> Connection {
        self.observer = Observer::new(self.feed, self.encoding);
        self.stalls = false;
        let room = random.weighted(&[(1, 60), (2, 700), (3, 20_000)]);
        let mut connection = Connection::new(number, self.feed, self.encoding, room);
        self.command(&mut connection, random);
        connection
    }

    pub(crate) fn command(&mut self, connection: &mut Connection, random: &mut Random) {
        if connection.commands.len() >= COMMANDS {
            return;
        }
        self.commands += 1;
        let id = Some(self.commands);
        let command = match random.below(10) {
            0 => Command::List { id },
            1..4 => {
                let names = names(random);
                Command::Unsubscribe(Subscription { names, id, ..Subscription::default() })
            }
            _ => Command::Subscribe(Subscription {
                names: names(random),
                snapshot: random.pick(&[None, None, Some(true), Some(false)]),
                delivery: delivery(random),
                on_lag: random.pick(&[None, None, Some(OnLag::Close), Some(OnLag::Latest)]),
                id,
                ..Subscription::default()
            }),
        };
        let mut bytes = Vec::new();
        match random.pick(&[Encoding::Json, Encoding::MsgpackArray]) {
            Encoding::Json => command.write_json(&mut bytes),
            Encoding::MsgpackArray => command.write_msgpack(&mut bytes),
        }
        connection.commands.push_back(bytes);
    }

    /// Reads so many bytes of what has come.
    pub(crate) fn read(&mut self, connection: &mut Connection, bytes: usize, facts: &Facts<'_>) {
        let bytes = connection.wire.drain(..bytes);
        self.observer.fell_out = connection.fell_out;
        self.observer.hear(bytes, &mut connection.due, facts);
    }
}

fn names(random: &mut Random) -> Names {
    let mut names = Names::default();
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
