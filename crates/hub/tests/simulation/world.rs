//! The state of one simulation run, and the random choice of the next actor.

use tickwire_hub::fanout::{CloseReason, Limits, Log};
use tickwire_protocol::UnixNanos;

use crate::client::Client;
use crate::connection::{Connection, Owner, Stage};
use crate::disk::DiskFault;
use crate::durable::Killed;
use crate::hostile_client::HostileClient;
use crate::intake::Intake;
use crate::observer::End;
use crate::oracle::{Facts, Oracle};
use crate::population::{HONEST_MAX, Population};
use crate::publisher::Publisher;
use crate::random::Random;
use crate::shard_driver::ShardDriver;
use crate::source::{FEEDS, PUBLISHERS};

/// Start time of a run.
const START_NS: u64 = 1_767_364_200_000_000_000;
pub(crate) const MS: u64 = 1_000_000;
/// Rounds within which everything must be delivered once all clients read. The slowest send time is
/// at most a second away.
const ROUNDS_MAX: usize = 10_000;

/// The constants of a run.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) shards: usize,
    pub(crate) log_ticks: usize,
    pub(crate) limits: Limits,
    pub(crate) clients: Population,
}

impl Setting {
    pub(crate) fn new(random: &mut Random, clients: Population) -> Self {
        let limits = Limits {
            feeds: usize::from(FEEDS),
            subscriptions_per_session: 100,
            subscriptions: 10_000,
            waiting_topics: clients.waiting_topics(),
            backlog_ticks: random.pick(&[20, 100, 1_000]),
            total_backlog_ticks: random.pick(&[60, 100_000]),
            total_control_bytes: random.pick(&[5_000, 1 << 20]),
            backlog_age_ns: random.pick(&[300, 10_000]) * MS,
            message_bytes: random.pick(&[4_200, 65_535]),
            topics_per_piece: random.pick(&[1, 3, usize::MAX]),
        };
        let shards = 1 + random.index(3);
        Self { shards, log_ticks: random.pick(&[40, 400, 4_000]), limits, clients }
    }
}

/// The next actor.
#[derive(Debug, Clone, Copy)]
enum Act {
    Publish,
    CutPublisher,
    Transfer,
    Router,
    Shard,
    Read,
    Command,
    Stall,
    Leave,
    Hostile,
    Wait,
    Sync,
    FillDisk,
    Restart,
}

const ACTS: [(u64, Act); 14] = [
    (60, Act::Publish),
    (2, Act::CutPublisher),
    (60, Act::Transfer),
    (50, Act::Router),
    (60, Act::Shard),
    (80, Act::Read),
    (15, Act::Command),
    (4, Act::Stall),
    (3, Act::Leave),
    (40, Act::Hostile),
    (20, Act::Wait),
    (20, Act::Sync),
    (1, Act::FillDisk),
    (1, Act::Restart),
];

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) setting: Setting,
    pub(crate) now_ns: u64,
    pub(crate) epoch: String,
    /// Number of the machine's boots.
    pub(crate) boot: u64,
    pub(crate) oracle: Oracle,
    pub(crate) log: Log,
    pub(crate) intake: Intake,
    pub(crate) shards: Vec<ShardDriver>,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) clients: Vec<Client>,
    /// The sessions of hostile clients.
    pub(crate) hostile: Vec<HostileClient>,
    pub(crate) ticks: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let honest = random.between(1, HONEST_MAX as u64);
        let hostile = random.pick(&[0, 0, 1, 2]);
        let sessions = 1 + random.index(3);
        let honest = usize::try_from(honest).unwrap();
        let clients = Population { honest, hostile, sessions };
        Self::with_setting(Setting::new(&mut random, clients), random)
    }

    pub(crate) fn with_setting(setting: Setting, mut random: Random) -> Self {
        let log = Log::new(usize::MAX, setting.log_ticks);
        let epoch = "epoch-1".to_owned();
        let driver = |_| ShardDriver::new(&setting, &epoch, &log, &[], START_NS);
        let mut world = Self {
            now_ns: START_NS,
            boot: 1,
            oracle: Oracle::default(),
            intake: Intake::new(),
            shards: (0..setting.shards).map(driver).collect(),
            publishers: (0..PUBLISHERS).map(Publisher::new).collect(),
            clients: (0..setting.clients.honest).map(|_| Client::new(&mut random)).collect(),
            hostile: setting.clients.hostile_sessions().map(HostileClient::new).collect(),
            ticks: 0,
            epoch,
            log,
            random,
            setting,
        };
        if world.random.chance(70) {
            let waits = world.random.chance(50);
            world.begin_on_disk(waits);
        }
        world
    }

    /// Runs a number of random steps, then lets everything settle and compares.
    pub(crate) fn run(&mut self, acts: usize) {
        for _ in 0..acts {
            match self.random.weighted(&ACTS) {
                Act::Publish => self.publish(),
                Act::CutPublisher => self.cut_publisher(),
                Act::Transfer => self.transfer(),
                Act::Router => {
                    let messages = self.random.index(6);
                    assert!(self.route(messages, None).is_ok(), "no kill is injected");
                }
                Act::Sync => self.intake.sync(),
                Act::FillDisk => self.fill_disk(),
                Act::Restart => self.restart(),
                Act::Shard => {
                    let shard = self.random.index(self.shards.len());
                    self.turn(shard);
                }
                Act::Read => self.read(),
                Act::Command => self.command(),
                Act::Stall => {
                    let client = self.random.index(self.clients.len());
                    self.clients[client].stalls = self.random.chance(60);
                }
                Act::Leave => self.leave(),
                Act::Hostile if self.hostile.is_empty() => {}
                Act::Hostile => {
                    let session = self.random.index(self.hostile.len());
                    self.act_hostile(session);
                }
                Act::Wait => {
                    let ns = self.random.weighted(&[(5, MS), (5, 30 * MS), (1, 1_000 * MS)]);
                    self.now_ns += self.random.below(ns);
                }
            }
        }
        self.settle();
    }

    pub(crate) fn publish(&mut self) {
        let publisher = self.random.index(self.publishers.len());
        let publisher = &mut self.publishers[publisher];
        match publisher.connection() {
            None => publisher.connect(&mut self.intake),
            Some(_) if publisher.can_send() => publisher.send(&mut self.intake, &mut self.random),
            Some(_) => {}
        }
    }

    fn cut_publisher(&mut self) {
        let publisher = self.random.index(self.publishers.len());
        let arriving = self.random.index(4);
        self.publishers[publisher].cut(&mut self.intake, arriving);
        if self.random.chance(30) {
            self.publishers[publisher].restart();
        }
    }

    /// Lets the hub read from a publisher, or a publisher read from the hub.
    fn transfer(&mut self) {
        let readable = self.intake.readable();
        if !readable.is_empty() && self.random.chance(70) {
            let connection = self.random.pick(&readable);
            return self.intake.read(connection);
        }
        let publisher = self.random.index(self.publishers.len());
        self.deliver_answer(publisher);
    }

    /// Delivers the next answer to a publisher. Returns whether there was one.
    pub(crate) fn deliver_answer(&mut self, publisher: usize) -> bool {
        let publisher = &mut self.publishers[publisher];
        let answer =
            publisher.connection().and_then(|connection| self.intake.next_answer(connection));
        if let Some(control) = &answer {
            publisher.receive(control, &mut self.intake);
        }
        answer.is_some()
    }

    pub(crate) fn route(
        &mut self,
        messages: usize,
        fault: Option<DiskFault>,
    ) -> Result<(), Killed> {
        let sinks = (&mut self.log, &mut self.oracle);
        self.intake.turn(messages, UnixNanos(self.now_ns), fault, sinks)
    }

    pub(crate) fn turn(&mut self, shard: usize) {
        self.shards[shard].turn(&mut self.random, self.now_ns, &self.log);
        for connection in std::mem::take(&mut self.shards[shard].ended) {
            self.cut_client(connection);
        }
    }

    /// Ends a connection from the hub's side. Its client receives a part of the data in flight.
    fn cut_client(&mut self, mut connection: Connection) {
        let number = match connection.owner {
            Owner::Honest(number) => number,
            Owner::Hostile(number) => {
                if !connection.is_broken {
                    self.hostile[number].link = None;
                }
                return;
            }
        };
        if !connection.is_broken {
            let bytes = self.random.index(connection.wire.len() + 1);
            let client = &mut self.clients[number];
            let shard = client.link.unwrap().0;
            let facts = Facts {
                oracle: &self.oracle,
                unseen: &self.shards[shard].unseen,
                start: self.log.start().0,
                now_ns: self.now_ns,
            };
            client.read(&mut connection, bytes, &facts);
            client.on_disconnect();
        }
    }

    fn read(&mut self) {
        let client = self.random.index(self.clients.len());
        let Some((shard, slot)) = self.clients[client].link else {
            return self.connect(client);
        };
        let waiting = self.shards[shard].connections[&slot].wire.len();
        if !self.clients[client].stalls {
            let bytes = self.random.weighted(&[(1, 10), (2, 200), (3, usize::MAX)]).min(waiting);
            self.read_bytes(client, bytes);
        }
    }

    fn read_bytes(&mut self, number: usize, bytes: usize) {
        let client = &mut self.clients[number];
        let Some((shard, slot)) = client.link else { return };
        let ShardDriver { connections, unseen, .. } = &mut self.shards[shard];
        let connection = connections.get_mut(&slot).unwrap();
        let facts =
            Facts { oracle: &self.oracle, unseen, start: self.log.start().0, now_ns: self.now_ns };
        let before = client.observer.ticks;
        client.read(connection, bytes, &facts);
        self.ticks += client.observer.ticks - before;
        if let Some(End::Closed { code }) = &client.observer.end {
            if *code == 1001
                && !client.observer.catches_up
                && let Some(head) = connection.finished_at
            {
                client.observer.check_complete(head, &facts);
            }
            self.disconnect(number);
        }
    }

    /// Chooses a shard for a connection.
    pub(crate) fn choose_shard(&mut self) -> usize {
        let shard = self.random.index(self.shards.len());
        while self.shards[shard].is_behind(&self.log) {
            self.turn(shard);
        }
        shard
    }

    pub(crate) fn connect(&mut self, client: usize) {
        let shard = self.choose_shard();
        let connection = self.clients[client].connect(client, &mut self.random);
        let slot = self.shards[shard].accept(connection, &self.epoch);
        self.clients[client].link = Some((shard, slot));
    }

    pub(crate) fn command(&mut self) {
        let client = self.random.index(self.clients.len());
        if let Some((shard, slot)) = self.clients[client].link {
            let connection = self.shards[shard].connections.get_mut(&slot).unwrap();
            self.clients[client].command(connection, &mut self.random);
        }
    }

    /// Breaks a connection, disconnects a client, or lets the hub end a session.
    fn leave(&mut self) {
        let client = self.random.index(self.clients.len());
        let Some((shard, slot)) = self.clients[client].link else { return };
        let driver = &mut self.shards[shard];
        if self.random.chance(30) {
            if driver.connections[&slot].stage == Stage::Open {
                driver.finish(slot, CloseReason::Shutdown);
            }
            return;
        }
        let arriving = self.random.index(driver.connections[&slot].wire.len() + 1);
        self.read_bytes(client, arriving);
        self.disconnect(client);
    }

    /// Handles the end of the hub: clients receive a part of the data in flight.
    pub(crate) fn lose_hub(&mut self, client: usize) {
        if let Some((shard, slot)) = self.clients[client].link {
            let waiting = self.shards[shard].connections[&slot].wire.len();
            let bytes = self.random.index(waiting + 1);
            self.read_bytes(client, bytes);
            self.disconnect(client);
        }
    }

    pub(crate) fn read_all(&mut self, client: usize) {
        if let Some((shard, slot)) = self.clients[client].link {
            let waiting = self.shards[shard].connections[&slot].wire.len();
            self.read_bytes(client, waiting);
        }
    }

    /// Disconnects a client. The hub notices later.
    fn disconnect(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if let Some((shard, slot)) = client.link {
            client.on_disconnect();
            let connection = self.shards[shard].connections.get_mut(&slot).unwrap();
            connection.is_broken = true;
            connection.commands.clear();
        }
    }

    /// Connects all clients and lets everyone read until nothing is pending, then asserts
    /// completeness.
    pub(crate) fn settle(&mut self) {
        for client in 0..self.clients.len() {
            self.clients[client].stalls = false;
            if self.clients[client].link.is_none() {
                self.connect(client);
            }
        }
        for _ in 0..ROUNDS_MAX {
            if !self.run_round() {
                return self.compare();
            }
        }
        panic!("the hub does not become idle");
    }

    /// Lets every actor act once. Returns whether any of them had work, or a send time is pending.
    fn run_round(&mut self) -> bool {
        self.round_of_intake();
        for shard in 0..self.shards.len() {
            self.turn(shard);
        }
        (0..self.clients.len()).for_each(|client| self.read_all(client));
        self.read_hostile();
        self.now_ns += MS;
        if !self.intake.is_idle() || !self.shards.iter().all(|driver| driver.is_idle(&self.log)) {
            return true;
        }
        let next = self.shards.iter().filter_map(ShardDriver::next_send_time).min();
        self.now_ns = self.now_ns.max(next.unwrap_or(0));
        next.is_some()
    }

    pub(crate) fn round_of_intake(&mut self) {
        for connection in self.intake.readable() {
            self.intake.read(connection);
        }
        assert!(self.route(64, None).is_ok(), "no kill is injected");
        self.intake.sync();
        for publisher in 0..self.publishers.len() {
            while self.deliver_answer(publisher) {}
            if self.publishers[publisher].connection().is_none() {
                self.publishers[publisher].connect(&mut self.intake);
            }
        }
    }

    fn compare(&self) {
        assert!(self.publishers.iter().all(Publisher::is_done), "every message is acknowledged");
        for client in &self.clients {
            let Some((shard, slot)) = client.link else { continue };
            let driver = &self.shards[shard];
            let connection = &driver.connections[&slot];
            assert!(connection.due.is_empty(), "not answered: {:?}", connection.due);
            let facts = Facts {
                oracle: &self.oracle,
                unseen: &driver.unseen,
                start: self.log.start().0,
                now_ns: self.now_ns,
            };
            client.observer.check_complete(self.oracle.head(), &facts);
        }
    }
}
