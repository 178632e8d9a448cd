//! The servers and the workloads that can be measured.

use clap::ValueEnum;

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Peer {
    /// `tickwire hub`
    Tickwire,
    /// `tickwire hub`, with the protocol of Alpaca's clients
    TickwireV2,
    /// uWebSockets, with its topics
    Uws,
    /// nats-server, with subscribers on its WebSocket port
    Nats,
    /// ws, with a set of sockets per symbol
    Ws,
    /// Socket.IO, with its rooms
    Socketio,
    /// A server that only writes prepared frames
    Floor,
}

impl Peer {
    /// Returns the name in reports.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Tickwire => "Tickwire",
            Self::TickwireV2 => "Tickwire /v2",
            Self::Uws => "uWebSockets",
            Self::Nats => "nats-server",
            Self::Ws => "ws",
            Self::Socketio => "Socket.IO",
            Self::Floor => "floor",
        }
    }

    /// Returns the name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tickwire => "tickwire",
            Self::TickwireV2 => "tickwire-v2",
            Self::Uws => "uws",
            Self::Nats => "nats",
            Self::Ws => "ws",
            Self::Socketio => "socketio",
            Self::Floor => "floor",
        }
    }
}

/// Which ticks a subscriber requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All ticks.
    Every,
    /// The newest tick of each symbol, at most `max_rate` times a second.
    Latest { max_rate: u32 },
}

/// A workload: connections, subscriptions and the rate of ticks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// A description for reports.
    pub(crate) description: &'static str,
    pub(crate) connections: usize,
    pub(crate) symbols: usize,
    pub(crate) symbols_per_connection: usize,
    /// Ticks per second that the publisher sends, over all symbols.
    pub(crate) rate: u64,
    pub(crate) delivery: Delivery,
    /// How many of the connections never read.
    pub(crate) stalled: usize,
    /// The measurement lasts this many times `--secs`.
    pub(crate) duration_factor: u32,
    /// The servers to measure without `--peers`.
    peers: &'static [Peer],
}

use Peer::{Floor, Nats, Socketio, Tickwire, Uws, Ws};

/// One symbol that all connections subscribe to.
const HOT: Workload = Workload {
    name: "hot-100",
    description: "1 symbol at 100 ticks/s, to 1,000 subscribers",
    connections: 1_000,
    symbols: 1,
    symbols_per_connection: 1,
    rate: 100,
    delivery: Delivery::Every,
    stalled: 0,
    duration_factor: 1,
    peers: &[Tickwire, Uws, Nats, Ws, Socketio, Floor],
};

/// Many symbols; each connection subscribes to some of them.
const BOARD: Workload = Workload {
    name: "board",
    description: "500 symbols at 2,000 ticks/s, 50 of them to each of 1,000 subscribers",
    symbols: 500,
    symbols_per_connection: 50,
    rate: 2_000,
    peers: &[Tickwire, Uws, Nats, Ws, Socketio],
    ..HOT
};

/// All workloads, in the order of the report. `ws` and Socket.IO fall behind at 100 ticks/s to
/// 1,000 subscribers, so workloads far beyond that leave them out by default.
pub(crate) static WORKLOADS: [Workload; 10] = [
    HOT,
    Workload {
        name: "hot-1000",
        description: "1 symbol at 1,000 ticks/s, to 1,000 subscribers",
        rate: 1_000,
        ..HOT
    },
    Workload {
        name: "hot-10000",
        description: "1 symbol at 10,000 ticks/s, to 1,000 subscribers",
        rate: 10_000,
        peers: &[Tickwire, Uws, Nats, Floor],
        ..HOT
    },
    Workload {
        name: "hot-20000",
        description: "1 symbol at 20,000 ticks/s, to 1,000 subscribers",
        rate: 20_000,
        peers: &[Tickwire, Uws, Nats, Floor],
        ..HOT
    },
    BOARD,
    Workload {
        name: "board-20000",
        description: "500 symbols at 20,000 ticks/s, 50 of them to each of 1,000 subscribers",
        rate: 20_000,
        peers: &[Tickwire, Uws, Nats],
        ..BOARD
    },
    Workload {
        name: "board-50000",
        description: "500 symbols at 50,000 ticks/s, 50 of them to each of 1,000 subscribers",
        rate: 50_000,
        peers: &[Tickwire, Uws, Nats],
        ..BOARD
    },
    Workload {
        name: "board-latest",
        description: "board-20000, the newest of each symbol 10 times a second",
        rate: 20_000,
        delivery: Delivery::Latest { max_rate: 10 },
        peers: &[Tickwire],
        ..BOARD
    },
    Workload {
        name: "idle",
        description: "10,000 silent connections with 50 subscriptions each",
        connections: 10_000,
        rate: 0,
        ..BOARD
    },
    Workload {
        name: "stalled",
        description: "board-20000 for four times as long, 100 of the 1,000 subscribers never read",
        rate: 20_000,
        stalled: 100,
        duration_factor: 4,
        peers: &[Tickwire, Uws, Nats],
        ..BOARD
    },
];

impl Workload {
    /// Returns the workload of this name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// Returns the servers to measure: those of `selected` that support this workload, or the
    /// defaults if `selected` is empty.
    pub(crate) fn peers(&self, selected: &[Peer]) -> Vec<Peer> {
        if selected.is_empty() {
            return self.peers.to_vec();
        }
        selected.iter().copied().filter(|peer| self.supports(*peer)).collect()
    }

    /// Returns whether a comparison with this server makes sense.
    fn supports(&self, peer: Peer) -> bool {
        match (self.delivery, peer) {
            (Delivery::Latest { .. }, peer) => peer == Tickwire,
            // The floor has no state per connection, so its memory is no comparison.
            (Delivery::Every, Floor) => self.rate > 0 && self.stalled == 0,
            _ => true,
        }
    }

    /// Returns the number of connections that read.
    pub(crate) const fn readers(&self) -> usize {
        self.connections - self.stalled
    }

    /// Returns the ticks per second that a server which keeps up delivers to each subscriber.
    pub(crate) fn offered_rate_each(&self) -> f64 {
        let every = self.rate as f64 * self.symbols_per_connection as f64 / self.symbols as f64;
        match self.delivery {
            Delivery::Every => every,
            Delivery::Latest { max_rate } => {
                every.min(f64::from(max_rate) * self.symbols_per_connection as f64)
            }
        }
    }

    /// Returns the ticks per second that a server which keeps up delivers to all readers.
    pub(crate) fn offered_rate(&self) -> f64 {
        self.offered_rate_each() * self.readers() as f64
    }

    /// Returns the symbols of a connection: evenly spread, and different from its neighbour's.
    pub(crate) fn symbols_of(&self, connection: usize) -> impl Iterator<Item = String> {
        let step = self.symbols / self.symbols_per_connection;
        (0..self.symbols_per_connection)
            .map(move |nth| symbol((connection * 7 + nth * step) % self.symbols))
    }
}

/// Returns the name of a symbol, which has seven bytes.
pub(crate) fn symbol(number: usize) -> String {
    format!("SYM{number:04}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Returns a small workload with one symbol.
    pub(crate) const fn small(connections: usize, stalled: usize) -> Workload {
        Workload { connections, stalled, rate: 2_000, ..HOT }
    }

    fn workload(name: &str) -> &'static Workload {
        Workload::find(name).unwrap()
    }

    #[test]
    fn workloads_have_unique_names_and_supported_servers() {
        let names: HashSet<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        for workload in &WORKLOADS {
            assert_eq!(workload.peers(&[]), workload.peers(workload.peers), "{}", workload.name);
            assert_eq!(workload.symbols % workload.symbols_per_connection, 0, "{}", workload.name);
        }
    }

    #[test]
    fn symbols_of_a_connection_are_distinct() {
        for connection in [0, 1, 71, 999] {
            let symbols: HashSet<_> = workload("board").symbols_of(connection).collect();
            assert_eq!(symbols.len(), 50);
        }
        assert_eq!(workload("hot-100").symbols_of(5).collect::<Vec<_>>(), ["SYM0000"]);
    }

    #[test]
    fn offered_rate_counts_only_readers() {
        assert!((workload("hot-20000").offered_rate() - 20e6).abs() < 1.0);
        assert!((workload("board-20000").offered_rate() - 2e6).abs() < 1.0);
        assert!((workload("stalled").offered_rate() - 1.8e6).abs() < 1.0);
        assert!((workload("board-latest").offered_rate() - 0.5e6).abs() < 1.0);
        assert!(workload("idle").offered_rate().abs() < 1.0);
    }

    #[test]
    fn servers_that_do_not_support_a_workload_are_left_out() {
        assert_eq!(workload("board-latest").peers(&[Uws, Tickwire]), [Tickwire]);
        assert_eq!(workload("idle").peers(&[Floor, Ws]), [Ws]);
        assert_eq!(workload("hot-20000").peers(&[Ws]), [Ws]);
    }
}
