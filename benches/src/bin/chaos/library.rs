//! Clients that use the client library. The library must deliver a complete stream over any number
//! of connections, without help from the application.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tickwire_client::{Backoff, Client, ErrorCode, Event, Seq, names};
use tickwire_protocol::{Tick, ValueError};
use tokio::time::sleep;

use crate::checker::{Checker, Violation};
use crate::oracle::{Topic, named, topic_of};
use crate::subscription::{Subscription, stale_topics};

/// Interval of attempts to connect for the first time.
const RETRY: Duration = Duration::from_millis(200);
const BACKOFF_BASE: Duration = Duration::from_millis(100);
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// Checks the events that the client library delivers to an application. Does no I/O.
#[derive(Debug)]
pub(crate) struct LibrarySubscriber {
    pub(crate) name: String,
    subscription: Subscription,
    epoch: Option<String>,
    /// Sequence number of the last tick of each topic.
    last: HashMap<Topic, u64>,
    /// Topics of which the hub has lost an unknown number of ticks after `last`.
    unbounded_gaps: HashSet<Topic>,
    /// Market index of the last live tick of this connection.
    last_index: Option<u64>,
}

impl LibrarySubscriber {
    pub(crate) fn new(name: String, subscription: Subscription) -> Self {
        Self {
            name,
            subscription,
            epoch: None,
            last: HashMap::new(),
            unbounded_gaps: HashSet::new(),
            last_index: None,
        }
    }

    /// Checks one event and reports a violation to `checker`.
    pub(crate) fn on_event(&mut self, checker: &mut Checker, event: Event) {
        if let Err(violation) = self.event(checker, event) {
            checker.violated(&self.name, violation);
        }
    }

    fn event(&mut self, checker: &mut Checker, event: Event) -> Result<(), Violation> {
        match event {
            Event::Connected { epoch, new_epoch } => self.connected(checker, epoch, new_epoch),
            Event::Tick { tick, snapshot } => self.tick(checker, &tick, snapshot),
            Event::Gap { topic, from, to } => {
                self.gap(checker, (topic.channel, topic.symbol), from, to)
            }
            Event::OutOfOrder { topic, seq, expected } => {
                let topic = (topic.channel, topic.symbol);
                Err(Violation::Repeated { topic, seq: seq.0, expected: expected.0 })
            }
            // The library reconnects and resumes.
            Event::Error { code: ErrorCode::SlowClient, .. } => {
                checker.counts.slow += 1;
                Ok(())
            }
            Event::Lagged { .. } | Event::Error { .. } => {
                Err(Violation::Protocol(format!("unexpected event: {event:?}")))
            }
            _ => Ok(()),
        }
    }

    fn connected(
        &mut self,
        checker: &mut Checker,
        epoch: String,
        new_epoch: bool,
    ) -> Result<(), Violation> {
        checker.register_epoch(&epoch);
        checker.counts.connections += 1;
        self.last_index = None;
        let before = self.epoch.replace(epoch.clone());
        if before.as_ref() != Some(&epoch) {
            self.last.clear();
            self.unbounded_gaps.clear();
        }
        match before.is_some_and(|before| before != epoch) == new_epoch {
            true => Ok(()),
            false => {
                Err(Violation::Protocol(format!("epoch {epoch} is reported as new: {new_epoch}")))
            }
        }
    }

    fn tick(
        &mut self,
        checker: &mut Checker,
        tick: &Tick,
        snapshot: bool,
    ) -> Result<(), Violation> {
        let topic = topic_of(tick);
        let seq = tick.seq.0;
        if !self.subscription.contains(&topic) {
            return Err(Violation::Protocol(format!("{} was not subscribed to", named(&topic))));
        }
        let Some(epoch) = &self.epoch else {
            return Err(Violation::Protocol("a tick before the connection".to_owned()));
        };
        let index = checker.locate(epoch, tick).map_err(|difference| Violation::Mismatch {
            topic,
            seq,
            difference,
        })?;
        let last = self.last.insert(topic, seq).unwrap_or(0);
        let is_after_gap = self.unbounded_gaps.remove(&topic);
        if snapshot && seq >= last {
            return Ok(());
        }
        let before = self.last_index.replace(index);
        match seq.checked_sub(last + 1) {
            None => Err(Violation::Repeated { topic, seq, expected: last + 1 }),
            Some(0) if before.is_some_and(|before| before >= index) => {
                Err(Violation::OutOfOrder { topic, seq })
            }
            Some(0) => Ok(()),
            Some(_) if is_after_gap => Ok(()),
            Some(_) => Err(Violation::Lost { topic, from: last + 1, to: seq - 1 }),
        }
    }

    /// Checks that a gap reports exactly what the application misses, even if the hub knows only a
    /// part.
    fn gap(
        &mut self,
        checker: &mut Checker,
        topic: Topic,
        from: Option<Seq>,
        to: Option<Seq>,
    ) -> Result<(), Violation> {
        checker.counts.gaps += 1;
        let from = from.map(|seq| seq.0);
        let to = to.map(|seq| seq.0);
        let known = self.last.get(&topic).copied();
        let expected_from = known.unwrap_or(0) + 1;
        let Some(end) = to else {
            // The end may be unknown in a new epoch, before its first tick, and after the log has
            // overrun a shard.
            if known.is_some() {
                checker.counts.unbounded_gaps += 1;
                self.unbounded_gaps.insert(topic);
            }
            return Ok(());
        };
        if end < expected_from || from.is_some_and(|from| from != expected_from) {
            return Err(Violation::WrongGap { topic, from, to, expected_from });
        }
        checker.counts.gap_ticks += end + 1 - expected_from;
        self.last.insert(topic, end);
        self.unbounded_gaps.remove(&topic);
        Ok(())
    }

    /// Returns a violation for each topic whose newest tick the application does not have.
    pub(crate) fn stale_topics(&self, epoch: &str, newest: &HashMap<Topic, u64>) -> Vec<Violation> {
        let current = self.epoch.as_deref() == Some(epoch);
        let last = current.then_some(&self.last);
        stale_topics(&self.subscription, last, &self.unbounded_gaps, newest)
    }
}

/// Connects, subscribes and checks all events until it is dropped.
pub(crate) async fn run(
    subscriber: Rc<RefCell<LibrarySubscriber>>,
    checker: Rc<RefCell<Checker>>,
    proxy: SocketAddr,
) {
    let problem = match serve(&subscriber, &checker, proxy).await {
        Ok(()) => "the client's stream has ended".to_owned(),
        Err(problem) => problem,
    };
    let name = subscriber.borrow().name.clone();
    checker.borrow_mut().violated(&name, Violation::Protocol(problem));
}

async fn serve(
    subscriber: &RefCell<LibrarySubscriber>,
    checker: &RefCell<Checker>,
    proxy: SocketAddr,
) -> Result<(), String> {
    let subscriptions =
        subscriptions(&subscriber.borrow().subscription).map_err(|error| error.to_string())?;
    let mut client = loop {
        let builder = Client::builder(&format!("ws://{proxy}")).snapshot(true);
        match builder.backoff(Some(Backoff::new(BACKOFF_BASE, BACKOFF_CAP))).connect().await {
            Ok(client) => break client,
            Err(_not_yet) => sleep(RETRY).await,
        }
    };
    client.subscribe(subscriptions).await.map_err(|error| error.to_string())?;
    while let Some(event) = client.next().await {
        subscriber.borrow_mut().on_event(&mut checker.borrow_mut(), event);
    }
    Ok(())
}

fn subscriptions(
    subscription: &Subscription,
) -> Result<tickwire_protocol::SubscriptionSet, ValueError> {
    match &subscription.symbols {
        None => names(&subscription.channels, ["*"]),
        Some(symbols) => {
            names(&subscription.channels, symbols.iter().map(|symbol| symbol.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use tickwire_feeder::{SimConfig, Simulator};
    use tickwire_protocol::Channel;

    use super::*;
    use crate::subscription::{Delivery, ResumeMode};

    fn config() -> SimConfig {
        SimConfig { symbols: 3, ticks_max: Some(500), ..SimConfig::default() }
    }

    fn numbered() -> Vec<Tick> {
        let mut seqs: HashMap<Topic, u64> = HashMap::new();
        let number = |mut tick: Tick| {
            let seq = seqs.entry(topic_of(&tick)).or_default();
            *seq += 1;
            tick.seq = Seq(*seq);
            tick
        };
        Simulator::new(config()).map(number).collect()
    }

    /// Returns the violations of these events after the first 100 ticks.
    fn violations_of(events: impl IntoIterator<Item = Event>) -> Vec<Violation> {
        let channels = vec![Channel::Trades, Channel::Quotes];
        let delivery = Delivery::Every(ResumeMode::FromPosition);
        let subscription = Subscription { channels, symbols: None, delivery };
        let mut checker = Checker::new(config());
        let mut subscriber = LibrarySubscriber::new("application".to_owned(), subscription);
        subscriber
            .on_event(&mut checker, Event::Connected { epoch: "one".to_owned(), new_epoch: false });
        for tick in numbered().drain(..100) {
            subscriber.on_event(&mut checker, Event::Tick { tick, snapshot: false });
        }
        assert_eq!(checker.violations, []);
        for event in events {
            subscriber.on_event(&mut checker, event);
        }
        checker.violations.into_iter().map(|(_, violation)| violation).collect()
    }

    fn live(tick: &Tick) -> Event {
        Event::Tick { tick: tick.clone(), snapshot: false }
    }

    #[test]
    fn lost_and_repeated_ticks_are_found() {
        let ticks = numbered();
        assert_eq!(violations_of(ticks[100..200].iter().map(live)), []);
        assert!(matches!(violations_of([live(&ticks[99])])[..], [Violation::Repeated { .. }]));
        let lost = violations_of(ticks[101..200].iter().map(live));
        assert!(matches!(lost[..], [Violation::Lost { .. }]), "{lost:?}");
    }

    #[test]
    fn gaps_must_be_exact() {
        let ticks = numbered();
        let (channel, symbol) = topic_of(&ticks[100]);
        let topic = tickwire_client::Topic { symbol, channel };
        let seq = ticks[100].seq;
        let gap = |from, to| Event::Gap { topic, from, to };
        let rest = || ticks[101..200].iter().map(live);
        assert_eq!(violations_of([gap(Some(seq), Some(seq))].into_iter().chain(rest())), []);
        assert_eq!(violations_of([gap(None, None)].into_iter().chain(rest())), []);
        let repeated = violations_of([gap(None, None), live(&ticks[99])]);
        assert!(matches!(repeated[..], [Violation::Repeated { .. }]), "{repeated:?}");
        let wrong = violations_of([gap(Some(Seq(seq.0 + 1)), Some(Seq(seq.0 + 1)))]);
        assert!(matches!(wrong[..], [Violation::WrongGap { .. }]), "{wrong:?}");
    }

    #[test]
    fn new_epoch_must_be_reported_as_new() {
        let connected =
            |epoch: &str, new_epoch| Event::Connected { epoch: epoch.to_owned(), new_epoch };
        assert_eq!(violations_of([connected("one", false)]), []);
        assert_eq!(violations_of([connected("two", true)]), []);
        assert!(matches!(violations_of([connected("two", false)])[..], [Violation::Protocol(_)]));
        assert!(matches!(violations_of([connected("one", true)])[..], [Violation::Protocol(_)]));
    }
}
