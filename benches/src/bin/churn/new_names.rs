//! Publishes first ticks of new symbols as fast as the hub accepts them.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use tickwire_protocol::{Encoding, MessageBuf, Quote, Seq, Symbol, Tick, TickData, UnixNanos};
use tickwire_testkit::frames::{OPEN_BINARY, write as write_frame};

use crate::metrics::Metrics;
use crate::session::{ANSWER_WITHIN, Session};
use crate::{Result, now};

/// Ticks in a message.
const TICKS_PER_MESSAGE: usize = 1_000;
/// Interval at which the hub is asked how many symbols it has.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Metrics of the hub over the first ticks of new symbols.
#[derive(Debug)]
pub(crate) struct FirstTicks {
    pub(crate) names: u64,
    pub(crate) meanwhile: Metrics,
}

/// Publishes a quote of each of `names` new symbols and waits until the hub has all of them.
pub(crate) fn publish(hub: &str, names: u64) -> Result<FirstTicks> {
    let frames = frames(names)?;
    let mut publisher = Session::connect(hub, "/publish")?;
    let before = Metrics::scrape(hub)?;
    let began = now();
    publisher.stream.write_all(&frames)?;
    loop {
        let meanwhile = Metrics::scrape(hub)?.since(&before);
        if meanwhile.topics >= names as f64 {
            return Ok(FirstTicks { names, meanwhile });
        }
        if began.elapsed() > ANSWER_WITHIN {
            return Err(
                format!("the hub has only {} of {names} new symbols", meanwhile.topics).into()
            );
        }
        thread::sleep(POLL_EVERY);
    }
}

/// Builds all messages in advance, so that building them does not slow the hub down.
fn frames(names: u64) -> Result<Vec<u8>> {
    // Each run has its own symbols, since the same hub may be measured several times.
    let run = rand::rng().random_range(0..36_u64.pow(4));
    let mut frames = Vec::new();
    let ticks: Vec<_> = (0..names).map(|name| tick(run, name)).collect::<Result<_>>()?;
    for ticks in ticks.chunks(TICKS_PER_MESSAGE) {
        let mut message = MessageBuf::new(Encoding::MsgpackArray);
        ticks.iter().for_each(|tick| message.push(tick));
        write_frame(OPEN_BINARY, message.finish(), &mut frames);
    }
    Ok(frames)
}

fn tick(run: u64, name: u64) -> Result<Tick> {
    let symbol = Symbol::new(&format!("NEW{run}-{name}"))?;
    // Quotes, of which no bars are made.
    let data = TickData::Quote(Quote::default());
    Ok(Tick { symbol, seq: Seq(0), time: UnixNanos(1), data })
}
