//! Connects the upstream with the publisher: ticks in one direction, demand in the other.
//!
//! The queue of ticks is bounded. It fills while the hub is unreachable; then the oldest ticks are
//! dropped, and their number is reported to the hub.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tickwire_protocol::{SourceReport, SubscriptionSet, Tick, UnixNanos};
use tokio::sync::{Notify, watch};

use super::names::{Demand, each};
use crate::tick_stream::{Next, TickStream};
use crate::{Progress, SourceError};

#[derive(Debug)]
struct UpstreamQueue {
    queue: Mutex<Queue>,
    filled: Notify,
    /// The latest report on the state of the upstream.
    report: Mutex<SourceReport>,
    reported: Notify,
    epochs: Mutex<Epochs>,
}

/// Epochs of upstream and hub, if known. If both are equal, the upstream is the hub itself.
#[derive(Debug, Default)]
struct Epochs {
    upstream: Option<String>,
    hub: Option<String>,
}

impl UpstreamQueue {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> MutexGuard<'_, SourceReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epochs(&self) -> MutexGuard<'_, Epochs> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether upstream and hub are the same hub, so that ticks would be published in a
    /// loop.
    fn is_loop(&self) -> bool {
        let epochs = self.epochs();
        epochs.hub.is_some() && epochs.hub == epochs.upstream
    }
}

/// Ticks with their times of receipt.
#[derive(Debug, Default)]
struct Queue {
    ticks: VecDeque<(Tick, UnixNanos)>,
    bytes: usize,
    bytes_max: usize,
    /// Ticks dropped since the last call of [`TickStream::take_dropped`].
    dropped: u64,
    /// Whether the stream was stopped, so that no ticks are added.
    closed: bool,
}

impl Queue {
    fn push(&mut self, tick: Tick, now: UnixNanos) {
        self.bytes += room(&tick);
        self.ticks.push_back((tick, now));
        while self.bytes > self.bytes_max && self.pop().is_some() {
            self.dropped += 1;
        }
    }

    fn pop(&mut self) -> Option<(Tick, UnixNanos)> {
        let (tick, at) = self.ticks.pop_front()?;
        self.bytes -= room(&tick);
        Some((tick, at))
    }
}

/// Returns the bytes that a tick occupies in the queue.
fn room(tick: &Tick) -> usize {
    size_of::<(Tick, UnixNanos)>() + tick.heap_bytes()
}

/// The upstream's side of the queue: takes ticks and reports from the upstream, and provides the
/// names that the hub's subscribers demand.
#[derive(Debug)]
pub(super) struct Intake {
    shared: Arc<UpstreamQueue>,
    pub(super) demand: watch::Receiver<Demand>,
}

/// The publisher's side of the queue: a stream of the queued ticks.
#[derive(Debug)]
pub(super) struct Live {
    shared: Arc<UpstreamQueue>,
    demand: watch::Sender<Demand>,
    on_demand: bool,
    /// Whether the next `demand` element is the first one of a session, which lists all demand and
    /// replaces the names of earlier sessions.
    is_first_demand: bool,
    identity: u64,
    taken: u64,
}

/// Creates both sides of a queue of at most `bytes_max` bytes. `first` is the report before the
/// first connection to the upstream.
pub(super) fn live(bytes_max: usize, on_demand: bool, first: SourceReport) -> (Intake, Live) {
    let queue = Queue { ticks: VecDeque::new(), bytes: 0, bytes_max, dropped: 0, closed: false };
    let shared = Arc::new(UpstreamQueue {
        queue: Mutex::new(queue),
        filled: Notify::new(),
        report: Mutex::new(first),
        reported: Notify::new(),
        epochs: Mutex::default(),
    });
    let (demanded, demand) = watch::channel(Demand::default());
    let intake = Intake { shared: Arc::clone(&shared), demand };
    let live = Live {
        shared,
        demand: demanded,
        on_demand,
        is_first_demand: true,
        identity: rand::random(),
        taken: 0,
    };
    (intake, live)
}

impl Intake {
    /// Sets the epoch of the upstream, if it is a hub.
    pub(super) fn set_upstream_epoch(&self, epoch: Option<&str>) {
        self.shared.epochs().upstream = epoch.map(str::to_owned);
    }

    /// Returns whether the upstream is the hub to which the ticks go.
    pub(super) fn is_loop(&self) -> bool {
        self.shared.is_loop()
    }

    /// Adds ticks that were received at `now` to the queue.
    pub(super) fn push(&self, ticks: Vec<Tick>, now: UnixNanos) {
        if ticks.is_empty() {
            return;
        }
        let mut queue = self.shared.queue();
        for tick in ticks {
            queue.push(tick, now);
        }
        drop(queue);
        self.shared.filled.notify_one();
    }

    /// Replaces the report on the upstream, which is sent to the hub. The flag `no_bars` keeps the
    /// value of the first report.
    pub(super) fn report(&self, report: SourceReport) {
        let mut newest = self.shared.report();
        *newest = SourceReport { no_bars: newest.no_bars, ..report };
        drop(newest);
        self.shared.reported.notify_one();
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.filled.notify_one();
    }
}

impl TickStream for Live {
    fn next(&mut self, _now: UnixNanos) -> Result<Next, SourceError> {
        let mut queue = self.shared.queue();
        Ok(match queue.pop() {
            Some((tick, came)) => {
                self.taken += 1;
                Next::Send(tick, came)
            }
            None if queue.closed => Next::End,
            None => Next::Wait(UnixNanos::MAX),
        })
    }

    fn skip(&mut self, _count: u64) -> Result<u64, SourceError> {
        Ok(0)
    }

    fn rewind(&mut self) -> Result<bool, SourceError> {
        Ok(false)
    }

    /// Closes the queue: no ticks are added, while the queued ones are still published.
    fn stop(&mut self) {
        self.shared.queue().closed = true;
    }

    fn is_stopped(&self) -> bool {
        self.shared.queue().closed
    }

    fn has_ended(&self) -> bool {
        let queue = self.shared.queue();
        queue.closed && queue.ticks.is_empty()
    }

    fn has_unpublished(&self) -> bool {
        !self.shared.queue().ticks.is_empty()
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn identity(&self) -> u64 {
        self.identity
    }

    fn update(&self, _progress: &Progress) {}

    fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.shared.queue().dropped)
    }

    async fn ready(&self) {
        self.shared.filled.notified().await;
    }

    fn resumes(&self) -> bool {
        false
    }

    fn wants_demand(&self) -> bool {
        self.on_demand
    }

    fn begin(&mut self, epoch: Option<&str>) -> Option<SourceReport> {
        self.is_first_demand = true;
        self.shared.epochs().hub = epoch.map(str::to_owned);
        if self.shared.is_loop() {
            *self.shared.queue() = Queue { closed: true, ..Queue::default() };
        }
        Some(self.shared.report().clone())
    }

    fn on_demand(&mut self, added: &SubscriptionSet, removed: &SubscriptionSet) {
        let is_first_demand = std::mem::take(&mut self.is_first_demand);
        self.demand.send_modify(|demand| {
            if is_first_demand {
                *demand = Demand::default();
            }
            for name in each(removed) {
                demand.names.remove(&name);
            }
            demand.names.extend(each(added));
        });
    }

    fn on_demand_by_client(&mut self, clients: &[SubscriptionSet]) {
        let clients = clients.iter().map(|names| each(names).collect()).collect();
        self.demand.send_modify(|demand| demand.clients = clients);
    }

    async fn report(&self) -> SourceReport {
        self.shared.reported.notified().await;
        self.shared.report().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SimConfig, Simulator};

    fn ticks(count: usize) -> Vec<Tick> {
        Simulator::new(SimConfig { symbols: 3, ..SimConfig::default() }).take(count).collect()
    }

    fn report() -> SourceReport {
        let state = tickwire_protocol::FeedState::Down;
        SourceReport {
            state,
            detail: None,
            upstream: None,
            connects: 0,
            errors: 0,
            ticks: 0,
            no_bars: true,
            is_full: false,
        }
    }

    fn taken(live: &mut Live) -> Vec<Tick> {
        let mut taken = Vec::new();
        while let Next::Send(tick, _) = live.next(UnixNanos(5)).unwrap() {
            taken.push(tick);
        }
        taken
    }

    #[test]
    fn full_queue_drops_and_counts_the_oldest_ticks() {
        let all = ticks(10);
        let (intake, mut live) = live(4 * room(&all[0]), false, report());
        intake.push(all.clone(), UnixNanos(1));
        assert_eq!((live.take_dropped(), live.take_dropped()), (6, 0));
        assert_eq!(taken(&mut live), all[6..]);
        assert_eq!(live.taken(), 4);
        assert_eq!(live.shared.queue().bytes, 0);
    }

    #[test]
    fn queue_ends_when_the_upstream_ended_and_it_is_empty() {
        let (intake, mut live) = live(1_000_000, false, report());
        assert_eq!(live.next(UnixNanos(5)).unwrap(), Next::Wait(UnixNanos::MAX));
        intake.push(ticks(2), UnixNanos(1));
        drop(intake);
        assert!(!live.has_ended() && live.has_unpublished());
        assert_eq!(taken(&mut live).len(), 2);
        assert_eq!(live.next(UnixNanos(5)).unwrap(), Next::End);
        assert!(live.has_ended() && !live.has_unpublished());
    }

    #[tokio::test]
    async fn demand_accumulates_until_a_new_session_replaces_it() {
        let names = |text: &str| {
            let mut names = SubscriptionSet::default();
            for name in text.split_ascii_whitespace() {
                names[tickwire_protocol::Channel::Trades].add(name).unwrap();
            }
            names
        };
        let (intake, mut live) = live(1_000_000, true, report());
        let wanted = |intake: &Intake| -> Vec<String> {
            let wanted = intake.demand.borrow();
            wanted
                .names
                .iter()
                .map(|(_, symbol)| symbol.map_or("*".into(), |name| name.to_string()))
                .collect()
        };
        live.begin(None);
        live.on_demand(&names("A B"), &names(""));
        live.on_demand(&names("C *"), &names("A"));
        assert_eq!(wanted(&intake), ["*", "B", "C"]);
        live.begin(None);
        live.on_demand(&names("D"), &names(""));
        live.on_demand(&names("E"), &names(""));
        assert_eq!(wanted(&intake), ["D", "E"]);
    }

    #[test]
    fn ticks_of_a_hub_are_not_published_to_the_same_hub() {
        let (intake, mut live) = live(1_000_000, true, report());
        for (upstream, hub, round) in [
            (None, None, false),
            (Some("a"), Some("b"), false),
            (None, Some("b"), false),
            (Some("b"), Some("b"), true),
        ] {
            intake.set_upstream_epoch(upstream);
            intake.push(ticks(2), UnixNanos(1));
            live.begin(hub);
            assert_eq!(intake.is_loop(), round);
            assert_eq!(taken(&mut live).len(), if round { 0 } else { 2 });
        }
        assert!(live.has_ended());
    }

    #[tokio::test]
    async fn each_session_receives_the_latest_report() {
        let (intake, mut live) = live(1_000_000, true, report());
        for connects in 1..4 {
            intake.report(SourceReport { connects, no_bars: false, ..report() });
        }
        let newest = SourceReport { connects: 3, ..report() }; // no bars: as the first has said
        assert_eq!(live.report().await, newest);
        assert_eq!(live.begin(None), Some(newest));
    }
}
