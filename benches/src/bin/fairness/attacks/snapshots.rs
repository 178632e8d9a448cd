//! Snapshots of all symbols.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;

use crate::attack::{Attackers, Target};

pub(super) fn start_one(attackers: &Attackers) {
    attackers.spawn(1, request_snapshots);
}

pub(super) fn start_many(attackers: &Attackers) {
    attackers.spawn(40, request_snapshots);
}

async fn request_snapshots(target: Arc<Target>, _: usize) -> Result<Infallible> {
    // With the newest values at a low rate, the sessions receive little but snapshots.
    let subscribe = r#"{"action":"subscribe","id":1,"quotes":["*"],"snapshot":true,"delivery":"latest","max_rate":0.1}"#;
    let unsubscribe = r#"{"action":"unsubscribe","id":2,"quotes":["*"]}"#;
    let mut session = target.peer.session("/ws").await?;
    loop {
        session.send(subscribe.to_owned()).await?;
        let is_accepted = session.answer(1).await?;
        target.counts.count(is_accepted);
        if is_accepted {
            session.until(r#""T":"live""#).await?;
            target.counts.messages.fetch_add(1, Relaxed);
            session.send(unsubscribe.to_owned()).await?;
            session.answer(2).await?;
        }
    }
}
