//! The symbols there are, and all of them asked for in one command.

use std::time::Duration;

use tickwire_protocol::{Channel, Control, Element, Encoding, Symbol, decode_message};

use crate::session::{Message, Session};
use crate::{Result, now};

/// Symbols the hub has to have, and names of the widest command.
pub(crate) const SYMBOLS: usize = 10_000;
/// Names of a session.
pub(crate) const NAMES: usize = 50;
/// They lie so far apart, so that busy and quiet symbols are spread over the sessions.
const STRIDE: usize = SYMBOLS / NAMES;

/// Symbols with a last quote.
#[derive(Debug)]
pub(crate) struct Universe(Vec<Symbol>);

/// How long one command of [`SYMBOLS`] names took.
#[derive(Debug)]
pub(crate) struct WideAnswer {
    /// Until its answer had come.
    pub(crate) acked: Duration,
    /// Until everything that belongs to the answer had come.
    pub(crate) complete: Duration,
}

impl Universe {
    /// Asks the hub: the last values of everything name them.
    pub(crate) fn ask(hub: &str) -> Result<Self> {
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

    /// What session number `number` asks for: the part of its commands behind `id`.
    pub(crate) fn names_of(&self, number: usize) -> String {
        let names = (0..NAMES).map(|name| &self.0[(number + name * STRIDE) % SYMBOLS]);
        quotes(names)
    }

    /// Subscribes a session to all of it in one command, and then takes it back in another. Each is
    /// done when asked for, so that the caller can look at the hub in between.
    pub(crate) fn subscribe_widely(
        &self,
        hub: &str,
    ) -> Result<impl Iterator<Item = (&'static str, Result<WideAnswer>)>> {
        let mut session = Session::open(hub)?;
        let names = quotes(self.0.iter());
        let mut steps = [("subscribe", SYMBOLS as u64), ("unsubscribe", 0)].into_iter();
        Ok(std::iter::from_fn(move || {
            let (action, total) = steps.next()?;
            Some((action, answer(&mut session, action, &names, total)))
        }))
    }
}

/// The names as the end of a command.
fn quotes<'a>(names: impl Iterator<Item = &'a Symbol>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{}\"", name.as_str())).collect();
    format!(r#","quotes":[{}]}}"#, names.join(","))
}

/// Sends one wide command, and checks how many names its answer has and the session then holds.
fn answer(session: &mut Session, action: &str, names: &str, total: u64) -> Result<WideAnswer> {
    let sent = now();
    session.send(&format!(r#"{{"action":"{action}","id":1{names}"#))?;
    let answer = session.expect(|control| matches!(control, Control::Subscription { .. }))?;
    let acked = sent.elapsed();
    check(&answer, 1, SYMBOLS, total)?;
    if total > 0 {
        session.expect(|control| matches!(control, Control::Live))?;
    }
    let complete = sent.elapsed();
    // Its answer is of a later turn, so the hub has counted the one that was asked about.
    session.send(r#"{"action":"list","id":2}"#)?;
    session.expect(|control| matches!(control, Control::Subscription { id: Some(2), .. }))?;
    Ok(WideAnswer { acked, complete })
}

/// Checks what an answer answers, how many names it has, and how many the session then holds.
pub(crate) fn check(answer: &Control, id: u64, names: usize, total: u64) -> Result<()> {
    let Control::Subscription { id: answered, names: changed, total: held, .. } = answer else {
        return Err(format!("{answer:?} instead of the answer to command {id}").into());
    };
    let held = held[Channel::Quotes];
    if (*answered, changed.total(), held) != (Some(id), names, total) {
        let got = format!("the answer to {answered:?} has {} names of {held}", changed.total());
        return Err(format!("{got}, expected that to {id} with {names} of {total}").into());
    }
    Ok(())
}
