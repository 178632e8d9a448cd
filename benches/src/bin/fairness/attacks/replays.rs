//! Replays that take reads of the log on disk.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::attack::{Attackers, Target};

/// Pause between two replays of a session that asks for unknown names.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn start_paced(attackers: &Attackers) {
    attackers.spawn(1_000, replay_everything);
}

pub(super) fn start_unknown(attackers: &Attackers) {
    attackers.spawn(8, replay_unknown_names);
}

async fn replay_everything(target: Arc<Target>, _: usize) -> Result<Infallible> {
    let mut session = target.peer.session("/ws").await?;
    let command = r#"{"action":"subscribe","id":1,"quotes":["*"],"from":"-1h","speed":1}"#;
    session.send(command.to_owned()).await?;
    target.counts.count(session.answer(1).await?);
    loop {
        session.until(r#""T":"q""#).await?;
        target.counts.messages.fetch_add(1, Relaxed);
    }
}

async fn replay_unknown_names(target: Arc<Target>, client: usize) -> Result<Infallible> {
    let mut session = target.peer.session("/ws").await?;
    for id in 1.. {
        let name = format!("GONE{client}-{id}");
        session
            .send(format!(r#"{{"action":"subscribe","id":{id},"quotes":["{name}"],"from":"-1h"}}"#))
            .await?;
        target.counts.count(session.answer(id).await?);
        sleep(PAUSE).await;
    }
    unreachable!("the ids do not end")
}
