//! Who the clients are: as many kinds of subscribers as there are ways to be one.

use tickwire_protocol::{Channel, Encoding, Symbol};

use crate::follower::{Delivery, Return, Wants};
use crate::random::Random;

/// One of them.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) who: String,
    pub(crate) wants: Wants,
    pub(crate) encoding: Encoding,
    /// Whether it leaves resuming to the client library.
    pub(crate) by_library: bool,
}

/// A kind of client.
struct Kind {
    name: &'static str,
    /// So many there are.
    count: usize,
    delivery: Delivery,
    /// Whether they want `"*"`.
    all: bool,
    by_library: bool,
}

const fn kind(name: &'static str, count: usize, delivery: Delivery) -> Kind {
    Kind { name, count, delivery, all: false, by_library: false }
}

impl Kind {
    const fn all(self) -> Self {
        Self { all: true, ..self }
    }

    const fn by_library(self) -> Self {
        Self { by_library: true, ..self }
    }
}

const BY_POSITION: Delivery = Delivery::Every(Return::ByPosition);
const BY_NUMBERS: Delivery = Delivery::Every(Return::ByNumbers);
const AFRESH: Delivery = Delivery::Every(Return::Afresh);

const KINDS: [Kind; 11] = [
    kind("names, by position", 10, BY_POSITION),
    kind("names, by numbers", 7, BY_NUMBERS),
    kind("names, afresh", 2, AFRESH),
    kind("all, by position", 3, BY_POSITION).all(),
    kind("all, by numbers", 2, BY_NUMBERS).all(),
    kind("all, afresh", 1, AFRESH).all(),
    kind("names, newest", 3, Delivery::Latest { max_rate: None }),
    kind("names, newest 10/s", 3, Delivery::Latest { max_rate: Some(10) }),
    kind("all, newest 2/s", 2, Delivery::Latest { max_rate: Some(2) }).all(),
    kind("names, by the library", 5, BY_POSITION).by_library(),
    kind("all, by the library", 2, BY_POSITION).all().by_library(),
];

/// All of them.
pub(crate) fn members(seed: u64, symbols: &[Symbol]) -> Vec<Member> {
    let mut random = Random::new(seed, u64::from_le_bytes(*b"the crew"));
    let kinds = KINDS.iter().flat_map(|kind| std::iter::repeat_n(kind, kind.count));
    let member = |(number, kind): (usize, &Kind)| {
        let encoding = if number % 2 == 0 { Encoding::MsgpackArray } else { Encoding::Json };
        let channels = match number % 5 {
            0 => vec![Channel::Trades],
            1 => vec![Channel::Quotes],
            _ => vec![Channel::Trades, Channel::Quotes],
        };
        let symbols = (!kind.all).then(|| some(symbols, &mut random));
        let wants = Wants { channels, symbols, delivery: kind.delivery };
        let who = format!("client {number} ({})", kind.name);
        Member { who, wants, encoding, by_library: kind.by_library }
    };
    kinds.enumerate().map(member).collect()
}

/// Some symbols, busy and quiet ones.
fn some(symbols: &[Symbol], random: &mut Random) -> Vec<Symbol> {
    let mut chosen = symbols.to_vec();
    random.shuffle(&mut chosen);
    chosen.truncate(1 + random.index(40));
    chosen
}
