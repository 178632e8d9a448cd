//! A session of a client that asks for as much as it can.

use tickwire_hub::fanout::ClientId;
use tickwire_protocol::{
    Channel, Command, Encoding, PerChannel, Resume, ResumePoint, Seq, SubscribeRequest,
    SubscriptionSet,
};

use crate::connection::{Connection, Owner};
use crate::random::Random;
use crate::source::{CHANNELS, FEEDS, SYMBOLS, symbol};

/// The most commands in flight to the hub: more than it reads from a session in most turns.
const COMMANDS_MAX: usize = 8;
/// The most names in a command of any client; honest ones send fewer.
pub(crate) const COMMAND_NAMES_MAX: usize = 40;
/// Number of invented symbols. With three channels they are more topics than may wait for a first
/// tick.
const INVENTED_SYMBOLS: u64 = 400;

/// A session of a client that repeats snapshots of `"*"`, names many topics, also invented ones,
/// disconnects at any time, and reads little or nothing.
#[derive(Debug)]
pub(crate) struct HostileClient {
    client: ClientId,
    /// The connection: index of the shard and of the session.
    pub(crate) link: Option<(usize, u32)>,
    /// Whether the client reads on this connection.
    pub(crate) reads: bool,
}

impl HostileClient {
    pub(crate) const fn new(client: ClientId) -> Self {
        Self { client, link: None, reads: false }
    }

    /// Opens a connection and sends its first command.
    pub(crate) fn connect(
        &mut self,
        number: usize,
        epoch: &str,
        random: &mut Random,
    ) -> Connection {
        self.reads = random.chance(50);
        let feed = u8::try_from(random.below(u64::from(FEEDS))).unwrap();
        let encoding = random.pick(&[Encoding::Json, Encoding::MsgpackArray]);
        let room = random.pick(&[60, 2_000]);
        let mut connection =
            Connection::new(Owner::Hostile(number), self.client, feed, encoding, room);
        self.command(&mut connection, epoch, random);
        connection
    }

    pub(crate) fn command(&self, connection: &mut Connection, epoch: &str, random: &mut Random) {
        if connection.commands.len() >= COMMANDS_MAX {
            return;
        }
        let asked = |names| SubscribeRequest { names, ..SubscribeRequest::default() };
        let commands = match random.below(8) {
            0..3 => vec![
                Command::Unsubscribe(asked(everything())),
                Command::Subscribe(SubscribeRequest {
                    snapshot: Some(true),
                    ..asked(everything())
                }),
            ],
            3 | 4 => vec![Command::Subscribe(asked(names(random)))],
            5 => vec![Command::Unsubscribe(asked(names(random)))],
            6 => {
                let mut names = names(random);
                names[Channel::Trades].all |= random.chance(30);
                let resume = Some(resume(epoch, random));
                vec![Command::Subscribe(SubscribeRequest { resume, ..asked(names) })]
            }
            _ => vec![Command::List { id: None }],
        };
        for command in commands {
            let mut bytes = Vec::new();
            command.write_json(&mut bytes);
            connection.commands.push_back(bytes);
        }
    }
}

fn everything() -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    CHANNELS.iter().for_each(|channel| names[*channel].all = true);
    names
}

/// Returns some or many names, most of them invented.
fn names(random: &mut Random) -> SubscriptionSet {
    let mut names = SubscriptionSet::default();
    for _ in 0..random.pick(&[3, COMMAND_NAMES_MAX]) {
        let invented = format!("Z{}", random.below(INVENTED_SYMBOLS));
        let name = if random.chance(20) { random.pick(&SYMBOLS) } else { invented.as_str() };
        names[random.pick(&CHANNELS)].add(name).unwrap();
    }
    names
}

fn resume(epoch: &str, random: &mut Random) -> Resume {
    let epoch = if random.chance(70) { epoch.to_owned() } else { "another".to_owned() };
    let point = if random.chance(50) {
        ResumePoint::Position(random.below(50))
    } else {
        let mut after = PerChannel::<Vec<_>>::default();
        after[Channel::Trades].push((symbol(SYMBOLS[0]), Seq(random.below(10))));
        ResumePoint::After(Box::new(after))
    };
    Resume { epoch, point }
}
