//! The symbols of the hub, and the measurement of commands with all of them.

use std::time::Duration;

use tickwire_protocol::{Channel, Control, Element, Encoding, Symbol, decode_message};

use crate::session::{Message, Session};
use crate::{Result, now};

/// Number of symbols that the hub must have; a wide command names all of them.
pub(crate) const SYMBOLS: usize = 10_000;
/// Symbols of each session.
pub(crate) const NAMES: usize = 50;
/// Distance between two symbols of a session, which gives each session active and quiet symbols.
const STRIDE: usize = SYMBOLS / NAMES;

/// The symbols of the hub that have a last quote.
#[derive(Debug)]
pub(crate) struct Universe(Vec<Symbol>);

/// How long the hub took for one command with [`SYMBOLS`] symbols.
#[derive(Debug)]
pub(crate) struct WideCommandTimes {
    /// Time until the acknowledgement.
    pub(crate) acked: Duration,
    /// Time until the end of the snapshot that belongs to the acknowledgement.
    pub(crate) complete: Duration,
}

impl Universe {
    /// Fetches the symbols from the hub, by a snapshot of all quotes.
    pub(crate) fn fetch(hub: &str) -> Result<Self> {
        let mut session = Session::open(hub)?;
        session.send(r#"{"action":"subscribe","quotes":["*"],"snapshot":true}"#)?;
        session.expect(|control| matches!(control, Control::Snapshot { .. }))?;
        let mut symbols = Vec::new();
        while let Message::Ticks(_) = session.next()? {
            for element in decode_message(session.payload(), Encoding::MsgpackArray)? {
                if let Element::Tick(tick) = element {
                    symbols.push(tick.symbol);
                }
            }
        }
        if symbols.len() < SYMBOLS {
            let found = symbols.len();
            let problem = format!("the hub has quotes of {found} symbols, {SYMBOLS} are needed");
            return Err(format!("{problem}: publish more of them first").into());
        }
        symbols.truncate(SYMBOLS);
        Ok(Self(symbols))
    }

    /// Returns the symbols of session number `number`, formatted as the end of a command.
    pub(crate) fn names_of(&self, number: usize) -> String {
        let names = (0..NAMES).map(|name| &self.0[(number + name * STRIDE) % SYMBOLS]);
        quotes(names)
    }

    /// Subscribes a session to all symbols in one command and unsubscribes in another. The iterator
    /// sends each command when it is advanced, so that the caller can read metrics in between.
    pub(crate) fn time_wide_commands(
        &self,
        hub: &str,
    ) -> Result<impl Iterator<Item = (&'static str, Result<WideCommandTimes>)>> {
        let mut session = Session::open(hub)?;
        let names = quotes(self.0.iter());
        let mut steps = [("subscribe", SYMBOLS as u64), ("unsubscribe", 0)].into_iter();
        Ok(std::iter::from_fn(move || {
            let (action, total) = steps.next()?;
            Some((action, answer(&mut session, action, &names, total)))
        }))
    }
}

/// Formats symbols as the end of a command.
fn quotes<'a>(names: impl Iterator<Item = &'a Symbol>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{}\"", name.as_str())).collect();
    format!(r#","quotes":[{}]}}"#, names.join(","))
}

/// Sends one wide command and checks how many symbols its response has and the session then holds.
fn answer(
    session: &mut Session,
    action: &str,
    names: &str,
    total: u64,
) -> Result<WideCommandTimes> {
    let sent = now();
    session.send(&format!(r#"{{"action":"{action}","id":1{names}"#))?;
    let answer = session.expect(|control| matches!(control, Control::Subscription { .. }))?;
    let acked = sent.elapsed();
    check(&answer, 1, SYMBOLS, total)?;
    if total > 0 {
        session.expect(|control| matches!(control, Control::Live))?;
    }
    let complete = sent.elapsed();
    // The response comes in a later turn, so the metrics then include the turn of the wide command.
    session.send(r#"{"action":"list","id":2}"#)?;
    session.expect(|control| matches!(control, Control::Subscription { id: Some(2), .. }))?;
    Ok(WideCommandTimes { acked, complete })
}

/// Checks the id of a response, how many symbols it has, and how many the session then holds.
pub(crate) fn check(answer: &Control, id: u64, names: usize, total: u64) -> Result<()> {
    let Control::Subscription { id: answered, names: changed, total: held, .. } = answer else {
        return Err(format!("{answer:?} instead of the response to command {id}").into());
    };
    let held = held[Channel::Quotes];
    if (*answered, changed.total(), held) != (Some(id), names, total) {
        let got = format!("the response to {answered:?} has {} symbols of {held}", changed.total());
        return Err(format!("{got}, expected the one to {id} with {names} of {total}").into());
    }
    Ok(())
}
