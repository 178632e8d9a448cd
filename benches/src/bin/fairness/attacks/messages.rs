//! Messages that begin and never end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tickwire_testkit::frames::{self, OPEN_TEXT, PONG};
use tokio::time::sleep;

use crate::attack::{Attackers, Target};

/// Size of the message that is announced, in bytes: the largest that a hub accepts by default.
const MESSAGE_BYTES: usize = 1 << 20;
/// First byte of a text frame that other fragments follow.
const FIRST_FRAGMENT: u8 = 0x01;
/// Pause between two pongs of a session.
const PONG_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn start_headers(attackers: &Attackers) {
    attackers.spawn(8_000, |target, _| begin(target, 0));
}

pub(super) fn start_messages(attackers: &Attackers) {
    attackers.spawn(300, |target, _| begin(target, MESSAGE_BYTES - 1));
}

pub(super) fn start_fragments(attackers: &Attackers) {
    attackers.spawn(8_000, send_fragment);
}

/// Sends the header of a large frame and the first bytes of its payload.
async fn begin(target: Arc<Target>, payload_bytes: usize) -> Result<Infallible> {
    let mut session = target.peer.session("/ws").await?;
    let length = (MESSAGE_BYTES as u64).to_be_bytes();
    session.send_raw(&[&[OPEN_TEXT, 0xff][..], &length, &[0; 4]].concat()).await?;
    session.send_raw(&vec![b' '; payload_bytes]).await?;
    loop {
        session.next().await?;
    }
}

async fn send_fragment(target: Arc<Target>, _: usize) -> Result<Infallible> {
    let mut session = target.peer.session("/ws").await?;
    let mut bytes = Vec::new();
    frames::write(FIRST_FRAGMENT, b" ", &mut bytes);
    loop {
        frames::write(PONG, b"", &mut bytes);
        session.send_raw(&bytes).await?;
        bytes.clear();
        sleep(PONG_INTERVAL).await;
    }
}
