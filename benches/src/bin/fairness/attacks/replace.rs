//! Sessions of a key that may have one.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;

use crate::attack::{Attackers, Target};

pub(super) fn start(attackers: &Attackers) {
    attackers.spawn(200, receive_until_replaced);
}

/// Counts the messages with ticks that a session receives before its end.
async fn receive_until_replaced(target: Arc<Target>, _: usize) -> Result<Infallible> {
    let mut session = target.replaced.session("/ws").await?;
    let command = r#"{"action":"subscribe","id":1,"quotes":["*"],"trades":["*"]}"#;
    session.send(command.to_owned()).await?;
    target.counts.count(session.answer(1).await?);
    loop {
        session.until(r#""S":"#).await?;
        target.counts.messages.fetch_add(1, Relaxed);
    }
}
