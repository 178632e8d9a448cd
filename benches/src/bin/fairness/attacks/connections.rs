//! Connections that are opened and not used.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::io::AsyncReadExt as _;

use crate::attack::{Attackers, Target};

pub(super) fn start_publishers(attackers: &Attackers) {
    attackers.spawn(256, publish_nothing);
}

pub(super) fn start_idle(attackers: &Attackers) {
    attackers.spawn(1_100, send_nothing);
}

async fn publish_nothing(target: Arc<Target>, _: usize) -> Result<Infallible> {
    let mut session = target.peer.session("/publish").await?;
    loop {
        session.next().await?;
    }
}

async fn send_nothing(target: Arc<Target>, _: usize) -> Result<Infallible> {
    let mut stream = target.peer.connect().await?;
    let mut bytes = [0; 1_024];
    while stream.read(&mut bytes).await? > 0 {}
    bail!("the hub ended the connection")
}
