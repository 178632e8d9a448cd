//! Subscriptions to many names.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;

use crate::attack::{Attackers, Target};
use crate::market::quoted_symbol;

/// Names in a command, which may have 1 MiB.
const NAMES_PER_COMMAND: usize = 56_000;

pub(super) fn start_invented(attackers: &Attackers) {
    attackers.spawn(2, subscribe_to_invented_names);
}

pub(super) fn start_churn(attackers: &Attackers) {
    attackers.spawn(1, churn);
}

fn command(action: &str, id: u64, names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
    let names = names.join(",");
    format!(r#"{{"action":"{action}","id":{id},"quotes":[{names}],"snapshot":false}}"#)
}

/// Splits a number of names into commands.
fn commands(names: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..names).step_by(NAMES_PER_COMMAND);
    starts.map(move |start| start..names.min(start + NAMES_PER_COMMAND))
}

/// Subscribes to as many names as the hub accepts: a command that it refuses is repeated with half
/// of the names.
async fn subscribe_to_invented_names(target: Arc<Target>, client: usize) -> Result<Infallible> {
    let names = if client == 0 { 300_000 } else { 200_000 };
    let mut session = target.peer.session("/ws").await?;
    let mut accepted = 0;
    let mut at_once = NAMES_PER_COMMAND;
    let mut id = 0;
    while accepted < names && at_once > 0 {
        id += 1;
        let end = names.min(accepted + at_once);
        let invented = (accepted..end).map(|name| format!("I{client}-{name}"));
        session.send(command("subscribe", id, invented)).await?;
        let is_accepted = session.answer(id).await?;
        target.counts.count(is_accepted);
        if is_accepted { accepted = end } else { at_once /= 2 }
    }
    loop {
        session.next().await?;
    }
}

/// Subscribes to all symbols and as many others as two commands hold, and unsubscribes.
async fn churn(target: Arc<Target>, _: usize) -> Result<Infallible> {
    let mut session = target.peer.session("/ws").await?;
    let mut id = 0;
    loop {
        for action in ["subscribe", "unsubscribe"] {
            for part in commands(2 * NAMES_PER_COMMAND) {
                id += 1;
                session.send(command(action, id, part.map(quoted_symbol))).await?;
                target.counts.count(session.answer(id).await?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_cover_all_names_and_are_small_enough() {
        let parts: Vec<_> = commands(112_001).collect();
        assert_eq!(parts, [0..56_000, 56_000..112_000, 112_000..112_001]);
        let names = (244_000..300_000).map(|name| format!("I0-{name}"));
        assert!(command("unsubscribe", u64::MAX, names).len() < 1 << 20);
    }
}
