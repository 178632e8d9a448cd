//! Reads the names of a shard's clients, while the source of a publisher has no room for all names.

use std::time::{Duration, Instant};

use super::ShardTask;
use crate::fanout::{CLIENT_NAMES_MAX, ClientId, TopicInterest};
use crate::state::topic_registry::ClientNames;

/// Least time between the beginnings of two scans.
const INTERVAL: Duration = Duration::from_secs(1);
/// Number of names that a turn reads, about.
const NAMES_PER_TURN: usize = 1_024;

/// The scan of a shard's sessions.
#[derive(Debug, Default)]
pub(super) struct ClientScan {
    /// The round of the newest scan.
    round: Option<u64>,
    /// Whether subscriptions may have changed since the newest scan began.
    is_outdated: bool,
    /// When the newest scan began.
    began: Option<Instant>,
    /// The slot from which the scan continues, if it has not ended.
    next: Option<usize>,
    found: ClientNames,
}

impl ClientScan {
    /// Notes that the subscriptions of sessions have changed.
    pub(super) const fn note_change(&mut self) {
        self.is_outdated = true;
    }

    /// Returns whether a scan has not ended.
    pub(super) const fn is_running(&self) -> bool {
        self.next.is_some()
    }

    /// Begins a scan if one is due.
    fn begin(&mut self, round: u64, now: Instant) {
        let is_new = self.round != Some(round);
        let has_passed = self.began.is_none_or(|began| now - began >= INTERVAL);
        if is_new || (self.is_outdated && has_passed && !self.is_running()) {
            let next = Some(0);
            *self = Self { round: Some(round), began: Some(now), next, ..Self::default() };
        }
    }

    fn add(&mut self, client: ClientId, name: TopicInterest) {
        let names = self.found.entry(client).or_default();
        if names.len() < CLIENT_NAMES_MAX {
            names.insert(name);
        }
    }
}

impl ShardTask {
    /// Reads the names of some sessions, if a publisher needs to know them.
    pub(super) fn scan_clients(&mut self) {
        let Some(round) = self.context.topics.client_names_round() else {
            if self.client_scan.round.is_some() {
                self.client_scan = ClientScan::default();
            }
            return;
        };
        self.client_scan.begin(round, self.now);
        let scan = &mut self.client_scan;
        let Some(from) = scan.next else { return };
        scan.next = self.core.client_names(from, NAMES_PER_TURN, |client, name| {
            scan.add(client, name);
        });
        if scan.next.is_none() {
            let found = std::mem::take(&mut scan.found);
            let shard = (self.id.timeline, self.id.shard);
            self.context.topics.set_client_names(shard, round, found);
        }
    }
}
