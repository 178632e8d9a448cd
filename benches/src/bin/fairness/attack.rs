//! What an attack is, and the clients that carry it out.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use crate::counts::Counts;
use crate::peer::Peer;

/// Time after which a client whose connection ended opens another one.
const RETRY: Duration = Duration::from_millis(100);

/// The loopback address of the clients that attack. Honest clients have another one.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// An attack of the table.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What the clients do, in one line.
    pub(crate) about: &'static str,
    /// Number of symbols that have a last quote, beside those that tick.
    pub(crate) quoted_symbols: usize,
    /// Time that all clients need to connect.
    pub(crate) launch_time: Duration,
    /// Starts the clients.
    pub(crate) start: fn(&Attackers),
}

/// What an attack is aimed at.
#[derive(Debug)]
pub(crate) struct Target {
    /// The hub, as a client that attacks sees it.
    pub(crate) peer: Peer,
    /// The same with a key whose only session is replaced by each newer one.
    pub(crate) replaced: Peer,
    pub(crate) counts: Counts,
}

/// The clients that carry out an attack, in a thread of their own. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Attackers {
    runtime: Option<Runtime>,
    target: Arc<Target>,
}

impl Attackers {
    /// Starts an attack.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(attack: &Attack, target: Arc<Target>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("attackers")
            .enable_all()
            .build()?;
        let attackers = Self { runtime: Some(runtime), target };
        (attack.start)(&attackers);
        Ok(attackers)
    }

    /// Adds `count` clients. Each runs `client` with its number, and again when that returns: a
    /// client whose connection has ended is back soon.
    pub(crate) fn spawn<R>(
        &self,
        count: usize,
        client: impl Fn(Arc<Target>, usize) -> R + Copy + Send + 'static,
    ) where
        R: Future<Output = Result<Infallible>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return };
        for number in 0..count {
            let target = self.target.clone();
            runtime.spawn(async move {
                loop {
                    let Err(_ended) = client(target.clone(), number).await;
                    target.counts.ended.fetch_add(1, Relaxed);
                    sleep(RETRY).await;
                }
            });
        }
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        // Waiting for the thread would block the runtime of the honest clients.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
