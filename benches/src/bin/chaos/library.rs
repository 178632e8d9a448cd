//! Clients of the client library: what it gives an application must be whole too, over any number of
//! connections, without the application doing anything for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tickwire_client::{Backoff, Client, Event, Seq, names};
use tickwire_protocol::{Tick, ValueError};
use tokio::time::sleep;

use crate::follower::{Wants, not_yet};
use crate::truth::{Topic, named, topic_of};
use crate::world::{Violation, World};

/// Between attempts to connect for the first time.
const RETRY: Duration = Duration::from_millis(200);
const BACKOFF_BASE: Duration = Duration::from_millis(100);
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// An application, and whether what it is told is right. Pure: events in, violations out.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) who: String,
    wants: Wants,
    epoch: Option<String>,
    /// Number of the last tick of each topic.
    last: HashMap<Topic, u64>,
    /// Place of the last live tick of this connection.
    place: Option<u64>,
}

impl Listener {
    pub(crate) fn new(who: String, wants: Wants) -> Self {
        Self { who, wants, epoch: None, last: HashMap::new(), place: None }
    }

    /// Takes one event.
    pub(crate) fn hear(&mut self, world: &mut World, event: Event) {
        if let Err(violation) = self.event(world, event) {
            world.violated(&self.who, violation);
        }
    }

    fn event(&mut self, world: &mut World, event: Event) -> Result<(), Violation> {
        match event {
            Event::Connected { epoch, anew } => self.connected(world, epoch, anew),
            Event::Tick { tick, snapshot } => self.tick(world, &tick, snapshot),
            Event::Gap { topic, from, to } => {
                self.gap(world, (topic.channel, topic.symbol), from, to)
            }
            Event::OutOfOrder { topic, seq, expected } => {
                let topic = (topic.channel, topic.symbol);
                Err(Violation::Repeated { topic, seq: seq.0, expected: expected.0 })
            }
            Event::Lagged { .. } | Event::Error { .. } => {
                Err(Violation::Protocol(format!("the application is told {event:?}")))
            }
            _ => Ok(()),
        }
    }

    fn connected(&mut self, world: &mut World, epoch: String, anew: bool) -> Result<(), Violation> {
        world.meet(&epoch);
        world.counts.connections += 1;
        self.place = None;
        let before = self.epoch.replace(epoch.clone());
        if before.as_ref() != Some(&epoch) {
            self.last.clear();
        }
        match before.is_some_and(|before| before != epoch) == anew {
            true => Ok(()),
            false => Err(Violation::Protocol(format!("epoch {epoch} is said to be anew: {anew}"))),
        }
    }

    fn tick(&mut self, world: &mut World, tick: &Tick, snapshot: bool) -> Result<(), Violation> {
        let (topic, seq) = (topic_of(tick), tick.seq.0);
        if !self.wants.has(&topic) {
            return Err(Violation::Protocol(format!("{} was not asked for", named(&topic))));
        }
        let Some(epoch) = &self.epoch else {
            return Err(Violation::Protocol("a tick before the connection".to_owned()));
        };
        let place = world.place(epoch, tick).map_err(|difference| Violation::Wrong {
            topic,
            seq,
            difference,
        })?;
        let last = self.last.insert(topic, seq).unwrap_or(0);
        if snapshot && seq >= last {
            return Ok(());
        }
        let before = self.place.replace(place);
        match seq.checked_sub(last + 1) {
            None => Err(Violation::Repeated { topic, seq, expected: last + 1 }),
            Some(0) if before.is_some_and(|before| before >= place) => {
                Err(Violation::Overtaken { topic, seq })
            }
            Some(0) => Ok(()),
            Some(_) => Err(Violation::Lost { topic, from: last + 1, to: seq - 1 }),
        }
    }

    /// The application must learn exactly what it misses, also where the hub knows only a part of it.
    fn gap(
        &mut self,
        world: &mut World,
        topic: Topic,
        from: Option<Seq>,
        to: Option<Seq>,
    ) -> Result<(), Violation> {
        world.counts.gaps += 1;
        let (from, to) = (from.map(|seq| seq.0), to.map(|seq| seq.0));
        let known = self.last.get(&topic).copied();
        let expected_from = known.unwrap_or(0) + 1;
        let Some(end) = to else {
            // Only a new epoch, of which no number has come, may leave it open.
            return match known {
                None => Ok(()),
                Some(_) => Err(Violation::Gap { topic, from, to, expected_from }),
            };
        };
        if end < expected_from || from.is_some_and(|from| from != expected_from) {
            return Err(Violation::Gap { topic, from, to, expected_from });
        }
        world.counts.gap_ticks += end + 1 - expected_from;
        self.last.insert(topic, end);
        Ok(())
    }

    /// What it has not got of the newest numbers of an epoch.
    pub(crate) fn behind(&self, epoch: &str, newest: &HashMap<Topic, u64>) -> Vec<Violation> {
        let current = self.epoch.as_deref() == Some(epoch);
        not_yet(&self.wants, current.then_some(&self.last), newest)
    }
}

/// Serves an application for ever.
pub(crate) async fn run(
    listener: Rc<RefCell<Listener>>,
    world: Rc<RefCell<World>>,
    proxy: SocketAddr,
) {
    let problem = match serve(&listener, &world, proxy).await {
        Ok(()) => "the client's stream has ended".to_owned(),
        Err(problem) => problem,
    };
    let who = listener.borrow().who.clone();
    world.borrow_mut().violated(&who, Violation::Protocol(problem));
}

async fn serve(
    listener: &RefCell<Listener>,
    world: &RefCell<World>,
    proxy: SocketAddr,
) -> Result<(), String> {
    let wanted = wanted(&listener.borrow().wants).map_err(|error| error.to_string())?;
    let mut client = loop {
        let builder = Client::builder(&format!("ws://{proxy}")).snapshot(true);
        match builder.backoff(Some(Backoff::new(BACKOFF_BASE, BACKOFF_CAP))).connect().await {
            Ok(client) => break client,
            Err(_not_yet) => sleep(RETRY).await,
        }
    };
    client.subscribe(wanted).await.map_err(|error| error.to_string())?;
    while let Some(event) = client.next().await {
        listener.borrow_mut().hear(&mut world.borrow_mut(), event);
    }
    Ok(())
}

fn wanted(wants: &Wants) -> Result<tickwire_protocol::SubscriptionSet, ValueError> {
    match &wants.symbols {
        None => names(&wants.channels, ["*"]),
        Some(symbols) => names(&wants.channels, symbols.iter().map(|symbol| symbol.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use tickwire_feeder::{SimConfig, Simulator};
    use tickwire_protocol::Channel;

    use super::*;
    use crate::follower::{Delivery, Return};

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

    /// Lets an application hear the first 100 ticks and then something else.
    fn told(events: impl IntoIterator<Item = Event>) -> Vec<Violation> {
        let channels = vec![Channel::Trades, Channel::Quotes];
        let delivery = Delivery::Every(Return::ByPosition);
        let wants = Wants { channels, symbols: None, delivery };
        let (mut world, mut listener) =
            (World::new(config()), Listener::new("application".to_owned(), wants));
        listener.hear(&mut world, Event::Connected { epoch: "one".to_owned(), anew: false });
        for tick in numbered().drain(..100) {
            listener.hear(&mut world, Event::Tick { tick, snapshot: false });
        }
        assert_eq!(world.violations, []);
        for event in events {
            listener.hear(&mut world, event);
        }
        world.violations.into_iter().map(|(_, violation)| violation).collect()
    }

    fn live(tick: &Tick) -> Event {
        Event::Tick { tick: tick.clone(), snapshot: false }
    }

    #[test]
    fn what_is_lost_or_repeated_is_found() {
        let ticks = numbered();
        assert_eq!(told(ticks[100..200].iter().map(live)), []);
        assert!(matches!(told([live(&ticks[99])])[..], [Violation::Repeated { .. }]));
        let lost = told(ticks[101..200].iter().map(live));
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
        assert_eq!(told([gap(Some(seq), Some(seq))].into_iter().chain(rest())), []);
        let wrong = told([gap(None, None)]);
        assert!(matches!(wrong[..], [Violation::Gap { .. }]), "{wrong:?}");
        let wrong = told([gap(Some(Seq(seq.0 + 1)), Some(Seq(seq.0 + 1)))]);
        assert!(matches!(wrong[..], [Violation::Gap { .. }]), "{wrong:?}");
    }

    #[test]
    fn a_new_epoch_must_be_said_to_be_one() {
        let connected = |epoch: &str, anew| Event::Connected { epoch: epoch.to_owned(), anew };
        assert_eq!(told([connected("one", false)]), []);
        assert_eq!(told([connected("two", true)]), []);
        assert!(matches!(told([connected("two", false)])[..], [Violation::Protocol(_)]));
        assert!(matches!(told([connected("one", true)])[..], [Violation::Protocol(_)]));
    }
}
