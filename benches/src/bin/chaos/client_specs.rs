//! The clients of a run: one kind for each way to subscribe and to reconnect.

use tickwire_protocol::{Channel, Encoding, Symbol};

use crate::random::Random;
use crate::subscription::{Delivery, ResumeMode, Subscription};

/// What one client subscribes to, and how it connects.
#[derive(Debug)]
pub(crate) struct ClientSpec {
    pub(crate) name: String,
    pub(crate) subscription: Subscription,
    pub(crate) encoding: Encoding,
    /// Whether it uses the client library, which reconnects and resumes by itself.
    pub(crate) uses_library: bool,
}

/// A kind of client, and how many of its clients take part in a run.
struct Kind {
    name: &'static str,
    count: usize,
    delivery: Delivery,
    /// Whether its clients subscribe to `"*"`.
    all: bool,
    uses_library: bool,
}

const fn kind(name: &'static str, count: usize, delivery: Delivery) -> Kind {
    Kind { name, count, delivery, all: false, uses_library: false }
}

impl Kind {
    const fn all(self) -> Self {
        Self { all: true, ..self }
    }

    const fn uses_library(self) -> Self {
        Self { uses_library: true, ..self }
    }
}

/// The user of the seed here. Another value would change the faults of every seed.
const RANDOM_USER: u64 = u64::from_le_bytes(*b"the crew");

const FROM_POSITION: Delivery = Delivery::Every(ResumeMode::FromPosition);
const FROM_SEQS: Delivery = Delivery::Every(ResumeMode::FromSeqs);
const NO_RESUME: Delivery = Delivery::Every(ResumeMode::Never);

const KINDS: [Kind; 11] = [
    kind("names, resume by position", 10, FROM_POSITION),
    kind("names, resume by seq", 7, FROM_SEQS),
    kind("names, no resume", 2, NO_RESUME),
    kind("all, resume by position", 3, FROM_POSITION).all(),
    kind("all, resume by seq", 2, FROM_SEQS).all(),
    kind("all, no resume", 1, NO_RESUME).all(),
    kind("names, latest", 3, Delivery::Latest { max_rate: None }),
    kind("names, latest 10/s", 3, Delivery::Latest { max_rate: Some(10) }),
    kind("all, latest 2/s", 2, Delivery::Latest { max_rate: Some(2) }).all(),
    kind("names, client library", 5, FROM_POSITION).uses_library(),
    kind("all, client library", 2, FROM_POSITION).all().uses_library(),
];

/// Returns all clients of a run; the seed determines which symbols they want.
pub(crate) fn generate(seed: u64, symbols: &[Symbol]) -> Vec<ClientSpec> {
    let mut random = Random::new(seed, RANDOM_USER);
    let kinds = KINDS.iter().flat_map(|kind| std::iter::repeat_n(kind, kind.count));
    let spec = |(number, kind): (usize, &Kind)| {
        let encoding = if number % 2 == 0 { Encoding::MsgpackArray } else { Encoding::Json };
        let channels = match number % 5 {
            0 => vec![Channel::Trades],
            1 => vec![Channel::Quotes],
            _ => vec![Channel::Trades, Channel::Quotes],
        };
        let symbols = (!kind.all).then(|| some(symbols, &mut random));
        let subscription = Subscription { channels, symbols, delivery: kind.delivery };
        let name = format!("client {number} ({})", kind.name);
        ClientSpec { name, subscription, encoding, uses_library: kind.uses_library }
    };
    kinds.enumerate().map(spec).collect()
}

/// Chooses up to 40 symbols, active and quiet ones.
fn some(symbols: &[Symbol], random: &mut Random) -> Vec<Symbol> {
    let mut chosen = symbols.to_vec();
    random.shuffle(&mut chosen);
    chosen.truncate(1 + random.index(40));
    chosen
}
