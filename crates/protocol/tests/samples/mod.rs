//! One message of every sort. Tests compare them with golden files, truncate them and mutate them.
#![expect(clippy::unwrap_used, reason = "a test's own values")]

mod commands;
mod controls;
mod names;
mod ticks;

use tickwire_protocol::{
    Command, Control, Delivery, Encoding, MaxRate, MessageBuf, Seq, SubscriptionSet, Tick,
    write_alpaca_subscription,
};

/// A message, of which the tests know the contents.
pub(crate) enum Sample {
    Ticks(Vec<Tick>),
    Published {
        ticks: Vec<Tick>,
        mark: &'static str,
        lost: u64,
    },
    /// Ticks, followed by the position of the last one.
    Positioned {
        ticks: Vec<Tick>,
        pos: u64,
    },
    Control(Control),
    /// The answer to a subscribe in Alpaca's protocol.
    AlpacaSubscription(Box<SubscriptionSet>),
    Command(Box<Command>),
}

impl Sample {
    /// Returns the encodings in which the message differs. The two MessagePack encodings differ
    /// only in their ticks.
    pub(crate) fn encodings(&self) -> &'static [Encoding] {
        const ALL: [Encoding; 3] = [Encoding::Json, Encoding::MsgpackArray, Encoding::MsgpackMap];
        if matches!(self, Self::Ticks(_)) { &ALL } else { &ALL[..2] }
    }

    /// Returns the bytes of the message.
    pub(crate) fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Ticks(ticks) => {
                let mut message = MessageBuf::new(encoding);
                ticks.iter().for_each(|tick| message.push(tick));
                out.extend_from_slice(message.finish());
            }
            Self::Published { ticks, mark, lost } => {
                let mut message = MessageBuf::new(encoding);
                ticks.iter().for_each(|tick| message.push(tick));
                message.push_mark(mark);
                if *lost > 0 {
                    message.push_lost(*lost);
                }
                out.extend_from_slice(message.finish());
            }
            Self::Positioned { ticks, pos } => {
                let mut message = MessageBuf::new(encoding);
                ticks.iter().for_each(|tick| message.push(tick));
                message.push_position(*pos);
                out.extend_from_slice(message.finish());
            }
            Self::Control(control) => control.write_message(encoding, &mut out),
            Self::AlpacaSubscription(names) => write_alpaca_subscription(names, encoding, &mut out),
            Self::Command(command) => match encoding {
                Encoding::Json => command.write_json(&mut out),
                Encoding::MsgpackArray | Encoding::MsgpackMap => command.write_msgpack(&mut out),
            },
        }
        out
    }
}

/// Returns every sort of message, with the name of its golden files.
pub(crate) fn samples() -> Vec<(&'static str, Sample)> {
    let mut samples: Vec<_> =
        ticks::all().into_iter().map(|(name, tick)| (name, Sample::Ticks(vec![tick]))).collect();
    samples.push((
        "batch",
        Sample::Ticks(vec![ticks::tick("AAPL", 1043, ticks::trade()), ticks::quote_without_ask()]),
    ));
    let numbered = vec![ticks::tick("AAPL", 1043, ticks::trade())];
    samples.push(("positioned", Sample::Positioned { ticks: numbered, pos: 2_000_042 }));
    for (name, lost) in [("published", 0), ("published_lost", 17)] {
        let ticks = vec![ticks::tick("AAPL", 0, ticks::trade())];
        samples.push((name, Sample::Published { ticks, mark: "trades.csv:1042", lost }));
    }
    let mut unnumbered = ticks::quote_without_ask();
    unnumbered.seq = Seq(0);
    samples.push(("unnumbered", Sample::Ticks(vec![unnumbered])));
    samples.push((
        "alpaca_subscription",
        Sample::AlpacaSubscription(Box::new(names::three_channels())),
    ));
    samples.extend(
        controls::all().into_iter().map(|(name, control)| (name, Sample::Control(control))),
    );
    samples.extend(
        commands::all()
            .into_iter()
            .map(|(name, command)| (name, Sample::Command(Box::new(command)))),
    );
    samples
}

/// Returns the delivery `latest`, perhaps with a rate.
fn latest(per_second: Option<f64>) -> Delivery {
    Delivery::Latest { max_rate: per_second.map(|rate| MaxRate::per_second(rate).unwrap()) }
}
