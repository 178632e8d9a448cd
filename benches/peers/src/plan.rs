//! What is measured: the servers and the loads.

use clap::ValueEnum;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Peer {
    /// `tickwire hub`
    Tickwire,
    /// `tickwire hub`, as Alpaca's clients speak to it
    TickwireV2,
    /// uWebSockets, its own topics
    Uws,
    /// nats-server, its WebSocket port
    Nats,
    /// ws, a set of sockets per symbol
    Ws,
    /// Socket.IO, its rooms
    Socketio,
    /// Nothing but write() of prepared frames
    Floor,
}

impl Peer {
    /// As people call it.
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

    /// As the command line calls it.
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

/// Which ticks a subscriber asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All of them.
    Every,
    /// The newest of each symbol, at most so many times a second.
    Latest { max_rate: u32 },
}

/// A load.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) what: &'static str,
    pub(crate) connections: usize,
    pub(crate) symbols: usize,
    pub(crate) per_connection: usize,
    /// Ticks per second that go in, over all symbols.
    pub(crate) rate: u64,
    pub(crate) delivery: Delivery,
    /// So many of the connections never read.
    pub(crate) stalled: usize,
    /// It is measured for so many times `--secs`.
    pub(crate) lasts: u32,
    /// The servers it is measured with unless others are asked for.
    peers: &'static [Peer],
}

use Peer::{Floor, Nats, Socketio, Tickwire, Uws, Ws};

/// One symbol that all want.
const HOT: Row = Row {
    name: "hot-100",
    what: "1 symbol at 100 ticks/s, to 1,000 subscribers",
    connections: 1_000,
    symbols: 1,
    per_connection: 1,
    rate: 100,
    delivery: Delivery::Every,
    stalled: 0,
    lasts: 1,
    peers: &[Tickwire, Uws, Nats, Ws, Socketio, Floor],
};

/// Many symbols, of which each wants some.
const BOARD: Row = Row {
    name: "board",
    what: "500 symbols at 2,000 ticks/s, 50 of them to each of 1,000 subscribers",
    symbols: 500,
    per_connection: 50,
    rate: 2_000,
    peers: &[Tickwire, Uws, Nats, Ws, Socketio],
    ..HOT
};

/// All loads, in the order of the report. `ws` and Socket.IO fall behind at 100 ticks/s to 1,000
/// subscribers already: what comes far beyond that leaves them out.
pub(crate) static ROWS: [Row; 10] = [
    HOT,
    Row {
        name: "hot-1000",
        what: "1 symbol at 1,000 ticks/s, to 1,000 subscribers",
        rate: 1_000,
        ..HOT
    },
    Row {
        name: "hot-10000",
        what: "1 symbol at 10,000 ticks/s, to 1,000 subscribers",
        rate: 10_000,
        peers: &[Tickwire, Uws, Nats, Floor],
        ..HOT
    },
    Row {
        name: "hot-20000",
        what: "1 symbol at 20,000 ticks/s, to 1,000 subscribers",
        rate: 20_000,
        peers: &[Tickwire, Uws, Nats, Floor],
        ..HOT
    },
    BOARD,
    Row {
        name: "board-20000",
        what: "500 symbols at 20,000 ticks/s, 50 of them to each of 1,000 subscribers",
        rate: 20_000,
        peers: &[Tickwire, Uws, Nats],
        ..BOARD
    },
    Row {
        name: "board-50000",
        what: "500 symbols at 50,000 ticks/s, 50 of them to each of 1,000 subscribers",
        rate: 50_000,
        peers: &[Tickwire, Uws, Nats],
        ..BOARD
    },
    Row {
        name: "board-latest",
        what: "board-20000, the newest of each symbol 10 times a second",
        rate: 20_000,
        delivery: Delivery::Latest { max_rate: 10 },
        peers: &[Tickwire],
        ..BOARD
    },
    Row {
        name: "idle",
        what: "10,000 silent connections with 50 subscriptions each",
        connections: 10_000,
        rate: 0,
        ..BOARD
    },
    Row {
        name: "stalled",
        what: "board-20000 for four times as long, 100 of the 1,000 subscribers never read",
        rate: 20_000,
        stalled: 100,
        lasts: 4,
        peers: &[Tickwire, Uws, Nats],
        ..BOARD
    },
];

impl Row {
    /// The row of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// The servers to measure: the row's own, or those asked for that can take this load.
    pub(crate) fn peers(&self, asked: &[Peer]) -> Vec<Peer> {
        if asked.is_empty() {
            return self.peers.to_vec();
        }
        asked.iter().copied().filter(|peer| self.suits(*peer)).collect()
    }

    fn suits(&self, peer: Peer) -> bool {
        match (self.delivery, peer) {
            (Delivery::Latest { .. }, peer) => peer == Tickwire,
            // It keeps nothing for anybody: there is no memory to compare.
            (Delivery::Every, Floor) => self.rate > 0 && self.stalled == 0,
            _ => true,
        }
    }

    /// Connections that read.
    pub(crate) const fn readers(&self) -> usize {
        self.connections - self.stalled
    }

    /// Ticks per second that one subscriber would get of a server that keeps up.
    pub(crate) fn rate_of_one(&self) -> f64 {
        let every = self.rate as f64 * self.per_connection as f64 / self.symbols as f64;
        match self.delivery {
            Delivery::Every => every,
            Delivery::Latest { max_rate } => {
                every.min(f64::from(max_rate) * self.per_connection as f64)
            }
        }
    }

    /// Ticks per second that all who read would get of a server that keeps up.
    pub(crate) fn asked(&self) -> f64 {
        self.rate_of_one() * self.readers() as f64
    }

    /// The symbols of one connection, evenly spread and different from its neighbour's.
    pub(crate) fn symbols_of(&self, connection: usize) -> impl Iterator<Item = String> {
        let step = self.symbols / self.per_connection;
        (0..self.per_connection)
            .map(move |nth| symbol((connection * 7 + nth * step) % self.symbols))
    }
}

/// The name of a symbol: seven bytes.
pub(crate) fn symbol(number: usize) -> String {
    format!("SYM{number:04}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashSet;

    /// A small load of one symbol.
    pub(crate) const fn small(connections: usize, stalled: usize) -> Row {
        Row { connections, stalled, rate: 2_000, ..HOT }
    }

    fn row(name: &str) -> &'static Row {
        Row::named(name).unwrap()
    }

    #[test]
    fn rows_have_names_of_their_own_and_peers_that_suit_them() {
        let names: HashSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
        for row in &ROWS {
            assert_eq!(row.peers(&[]), row.peers(row.peers), "{}", row.name);
            assert_eq!(row.symbols % row.per_connection, 0, "{}", row.name);
        }
    }

    #[test]
    fn a_connection_takes_as_many_different_symbols_as_it_should() {
        for connection in [0, 1, 71, 999] {
            let symbols: HashSet<_> = row("board").symbols_of(connection).collect();
            assert_eq!(symbols.len(), 50);
        }
        assert_eq!(row("hot-100").symbols_of(5).collect::<Vec<_>>(), ["SYM0000"]);
    }

    #[test]
    fn what_is_asked_counts_those_who_read() {
        assert!((row("hot-20000").asked() - 20e6).abs() < 1.0);
        assert!((row("board-20000").asked() - 2e6).abs() < 1.0);
        assert!((row("stalled").asked() - 1.8e6).abs() < 1.0);
        assert!((row("board-latest").asked() - 0.5e6).abs() < 1.0);
        assert!(row("idle").asked().abs() < 1.0);
    }

    #[test]
    fn peers_that_a_load_means_nothing_to_are_left_out() {
        assert_eq!(row("board-latest").peers(&[Uws, Tickwire]), [Tickwire]);
        assert_eq!(row("idle").peers(&[Floor, Ws]), [Ws]);
        assert_eq!(row("hot-20000").peers(&[Ws]), [Ws]);
    }
}
