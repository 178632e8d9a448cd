//! Hostile sessions among honest ones.

use tickwire_hub::fanout::Limits;

use crate::population::Population;
use crate::random::Random;
use crate::world::{MS, Setting, World};

/// Number of rounds of a siege. In each, every hostile session acts and there is a turn.
const ROUNDS: usize = 700;

impl World {
    /// Creates a hub with one shard, few honest clients and many hostile sessions.
    pub(crate) fn besieged(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clients = Population { honest: 2, hostile: 3, sessions: 25 };
        let mut setting = Setting::new(&mut random, clients);
        setting.shards = 1;
        // Pieces of this size make all commands of hostile sessions long, and many honest ones.
        setting.limits = Limits { topics_per_piece: 20, ..setting.limits };
        Self::with_setting(setting, random)
    }

    /// Lets every hostile session act in each round, with the least time for reading and for
    /// pieces of commands; honest clients read all they are sent and send commands.
    pub(crate) fn besiege(&mut self) {
        for client in 0..self.clients.len() {
            self.connect(client);
        }
        for _ in 0..ROUNDS {
            (0..self.hostile.len()).for_each(|session| self.act_hostile(session));
            if self.random.chance(20) {
                self.publish();
                self.round_of_intake();
            }
            for client in 0..self.clients.len() {
                if self.clients[client].link.is_none() {
                    self.connect(client);
                }
                self.read_all(client);
            }
            if self.random.chance(20) {
                self.command();
            }
            self.shards[0].reads = Some(1);
            self.turn(0);
            self.now_ns += MS;
        }
        (0..self.hostile.len()).for_each(|session| self.disconnect_hostile(session));
        self.shards.iter_mut().for_each(|shard| shard.reads = None);
        self.settle();
    }

    /// Lets a hostile session do something.
    pub(crate) fn act_hostile(&mut self, session: usize) {
        let Some((shard, slot)) = self.hostile[session].link else {
            return self.connect_hostile(session);
        };
        match self.random.below(10) {
            0 if self.random.chance(5) => self.disconnect_hostile(session),
            0..7 => {
                let connection = self.shards[shard].connections.get_mut(&slot).unwrap();
                self.hostile[session].command(connection, &self.epoch, &mut self.random);
            }
            _ => {
                let connection = self.shards[shard].connections.get_mut(&slot).unwrap();
                if self.hostile[session].reads {
                    let bytes = self.random.index(connection.wire.len() + 1);
                    drop(connection.take(bytes));
                }
            }
        }
    }

    fn connect_hostile(&mut self, session: usize) {
        let shard = self.choose_shard();
        let connection = self.hostile[session].connect(session, &self.epoch, &mut self.random);
        let slot = self.shards[shard].accept(connection, &self.epoch);
        self.hostile[session].link = Some((shard, slot));
    }

    /// Disconnects a hostile session. The hub notices later.
    fn disconnect_hostile(&mut self, session: usize) {
        if let Some((shard, slot)) = self.hostile[session].link.take() {
            let connection = self.shards[shard].connections.get_mut(&slot).unwrap();
            connection.is_broken = true;
            connection.commands.clear();
        }
    }

    /// Lets hostile sessions read, as far as they do.
    pub(crate) fn read_hostile(&mut self) {
        for client in &self.hostile {
            if let Some((shard, slot)) = client.link.filter(|_| client.reads) {
                let connection = self.shards[shard].connections.get_mut(&slot).unwrap();
                drop(connection.take(connection.wire.len()));
            }
        }
    }
}
