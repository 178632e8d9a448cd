//! A relay between an upstream and a hub over real sockets.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tickwire_feeder::{
    AlpacaConfig, Counts, FeedError, Progress, PublisherConfig, SimConfig, Simulator, relay,
};
use tickwire_protocol::{
    AlpacaCommand, Channel, Control, ErrorCode, Feed, FeedState, SourceReport, SubscriptionSet,
    Tick,
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::fake_hub::{FakeHub, Session, Taken};
use crate::fake_upstream::FakeUpstream;

/// Time after which a test fails as hanging.
const TIME_MAX: Duration = Duration::from_secs(600);

/// Runs a relay during an async closure.
async fn relayed<F: Future>(
    config: AlpacaConfig,
    hub: PublisherConfig,
    scene: impl FnOnce(CancellationToken) -> F,
) -> (Result<Counts, FeedError>, F::Output) {
    let stop = CancellationToken::new();
    let relay = relay(config, hub, stop.clone(), Arc::new(Progress::default()));
    let scene = scene(stop.clone());
    let both = async { tokio::join!(Box::pin(relay), scene) };
    tokio::time::timeout(TIME_MAX, both).await.expect("hangs")
}

fn market(ticks: usize) -> Vec<Tick> {
    Simulator::new(SimConfig { symbols: 5, ..SimConfig::default() }).take(ticks).collect()
}

/// Returns settings of a relay of all trades.
fn of_trades(upstream: &FakeUpstream) -> AlpacaConfig {
    let mut config = upstream.config();
    config.symbols.all = true;
    config.channels = vec![Channel::Trades];
    config
}

fn on_demand(upstream: &FakeUpstream) -> AlpacaConfig {
    AlpacaConfig { on_demand: true, linger: Duration::ZERO, ..upstream.config() }
}

fn names(list: &str) -> Box<SubscriptionSet> {
    let mut names = SubscriptionSet::default();
    for name in list.split_ascii_whitespace() {
        let (channel, symbol) = name.split_once(':').unwrap();
        names[Channel::from_name(channel).unwrap()].add(symbol).unwrap();
    }
    Box::new(names)
}

impl FakeHub {
    /// Takes and acknowledges messages until it has `count` ticks.
    async fn take_ticks(&mut self, session: &mut Session, count: usize) {
        while self.ticks.len() < count {
            assert!(self.take(session).await);
            self.ack(session).await;
        }
    }

    /// Takes messages until a report fulfils a condition. Returns the report.
    async fn report(
        &mut self,
        session: &mut Session,
        fits: impl Fn(&SourceReport) -> bool,
    ) -> SourceReport {
        loop {
            if self.take_any(session).await == Taken::SourceReport
                && let Some(report) = self.reports.last()
                && fits(report)
            {
                return report.clone();
            }
            self.ack(session).await;
        }
    }

    async fn demand(&self, session: &mut Session, added: &str, removed: &str) {
        let added = names(added);
        let removed = names(removed);
        session.say(&Control::Demand { feed: Feed::default(), added, removed }).await;
    }
}

/// Starts both servers of a relay.
async fn servers() -> (FakeUpstream, FakeHub) {
    (FakeUpstream::start().await, FakeHub::start().await)
}

fn detail(report: &SourceReport) -> &str {
    report.detail.as_deref().unwrap()
}

#[tokio::test]
async fn relayed_ticks_are_unchanged_and_in_order() {
    let (upstream, mut hub) = servers().await;
    let ticks = market(5_000);
    let (counts, ()) = relayed(of_trades(&upstream), hub.config(), async |stop| {
        let mut session = hub.accept().await;
        let mut peer = upstream.serve().await;
        peer.ticks(&ticks).await;
        hub.take_ticks(&mut session, 4_000).await;
        hub.take_ticks(&mut session, 5_000).await;
        stop.cancel();
        hub.take_all(&mut session).await;
        assert_eq!(peer.next_command().await, None, "it says goodbye to both");
    })
    .await;
    assert_eq!(counts.unwrap().acked, 5_000);
    assert!(hub.ticks == ticks);
    assert_eq!(hub.lost, 0);
}

#[tokio::test]
async fn lost_upstream_is_reported_and_resubscribed_completely() {
    let (upstream, mut hub) = servers().await;
    let ticks = market(300);
    relayed(of_trades(&upstream), hub.config(), async |stop| {
        let mut session = hub.accept().await;
        let mut first = upstream.serve().await;
        first.ticks(&ticks[..100]).await;
        hub.report(&mut session, |report| report.state == FeedState::Live).await;
        first.cut();
        let down = hub.report(&mut session, |report| report.state == FeedState::Down).await;
        assert!(detail(&down).contains("next try in "), "{down:?}");
        assert_eq!((down.connects, down.ticks), (1, 100));
        let mut second = upstream.serve().await;
        assert_eq!(second.names(Channel::Trades), "*");
        second.ticks(&ticks[100..]).await;
        let fits = |report: &SourceReport| report.state == FeedState::Live && report.connects == 2;
        hub.report(&mut session, fits).await;
        hub.take_ticks(&mut session, 300).await;
        stop.cancel();
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
    assert!(hub.ticks == ticks);
}

#[tokio::test]
async fn hub_that_returns_receives_all_queued_ticks() {
    let (upstream, mut hub) = servers().await;
    let ticks = market(30_000);
    let config = PublisherConfig { message_ticks_max: 100, ..hub.config() };
    relayed(of_trades(&upstream), config, async |stop| {
        let mut session = hub.accept().await;
        let mut peer = upstream.serve().await;
        peer.ticks(&ticks[..1_000]).await;
        for _ in 0..2 {
            hub.take(&mut session).await;
        }
        hub.ack(&mut session).await;
        hub.take(&mut session).await;
        drop(session);
        // The upstream does not notice.
        peer.ticks(&ticks[1_000..]).await;
        let mut session = hub.accept().await;
        hub.take_ticks(&mut session, 30_000).await;
        stop.cancel();
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
    assert!(hub.ticks == ticks);
    assert_eq!(hub.lost, 0);
}

#[tokio::test]
async fn full_queue_keeps_the_newest_ticks_and_reports_the_dropped() {
    let (upstream, mut hub) = servers().await;
    let ticks = market(30_000);
    let config = AlpacaConfig { queue_bytes_max: 1_000_000, ..of_trades(&upstream) };
    let address = hub.config();
    let (counts, ()) = relayed(config, address, async |stop| {
        let mut peer = upstream.serve().await;
        peer.ticks(&ticks).await;
        // Everything is read once this is answered.
        peer.send(Message::Ping("all?".into())).await;
        peer.pong().await;
        let mut session = hub.accept().await;
        while hub.ticks.last() != ticks.last() {
            assert!(hub.take(&mut session).await);
            hub.ack(&mut session).await;
        }
        stop.cancel();
        hub.take_all(&mut session).await;
    })
    .await;
    let got = hub.ticks.len();
    assert!((1_000..10_000).contains(&got), "{got}");
    assert!(hub.ticks == ticks[ticks.len() - got..]);
    assert_eq!((hub.lost, counts.unwrap().dropped), (30_000 - got as u64, hub.lost));
}

#[tokio::test]
async fn demand_is_subscribed_exactly() {
    let (upstream, mut hub) = servers().await;
    relayed(on_demand(&upstream), hub.config(), async |stop| {
        let mut session = hub.accept().await;
        let mut peer = upstream.accept().await;
        peer.accept_login().await;
        let idle = hub.report(&mut session, |report| report.state == FeedState::Live).await;
        assert_eq!(detail(&idle), "no names are wanted");
        hub.demand(&mut session, "trades:A trades:B corrections:C quotes:*", "").await;
        peer.answer().await;
        assert_eq!(peer.names(Channel::Trades), "A B C");
        peer.answer().await;
        assert_eq!(peer.names(Channel::Quotes), "*");
        hub.demand(&mut session, "trades:C", "trades:A corrections:C quotes:*").await;
        peer.answer().await;
        peer.answer().await;
        assert_eq!(
            (peer.names(Channel::Trades), peer.names(Channel::Quotes)),
            ("B C".into(), String::new())
        );
        // A returning hub reports its whole demand, and only the difference is requested upstream.
        drop(session);
        let mut session = hub.accept().await;
        hub.demand(&mut session, "trades:B bars:D", "").await;
        peer.answer().await;
        peer.answer().await;
        assert_eq!(
            (peer.names(Channel::Trades), peer.names(Channel::Bars)),
            ("B".into(), "D".into())
        );
        peer.cut();
        let mut peer = upstream.serve().await;
        peer.answer().await;
        assert_eq!(
            (peer.names(Channel::Trades), peer.names(Channel::Bars)),
            ("B".into(), "D".into())
        );
        stop.cancel();
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
}

#[tokio::test]
async fn key_errors_of_the_upstream_are_reported() {
    for (code, said) in [
        (ErrorCode::AuthFailed, "the upstream does not accept the key (402 auth failed)"),
        (ErrorCode::ConnectionLimit, "another connection uses this key (406 "),
        (ErrorCode::InsufficientSubscription, "the key may not read this feed (409 "),
    ] {
        let (upstream, mut hub) = servers().await;
        relayed(of_trades(&upstream), hub.config(), async |stop| {
            let mut session = hub.accept().await;
            let mut peer = upstream.accept().await;
            assert!(matches!(peer.next_command().await, Some(AlpacaCommand::Auth(_))));
            peer.error(code).await;
            let fits = |report: &SourceReport| detail(report).starts_with(said);
            let report = hub.report(&mut session, fits).await;
            assert_eq!((report.state, report.errors), (FeedState::Down, 1));
            assert_eq!(peer.next_command().await, None, "the relay closes");
            stop.cancel();
            hub.take_all(&mut session).await;
        })
        .await
        .0
        .unwrap();
    }
}

#[tokio::test]
async fn http_error_of_the_upstream_is_reported_with_its_status() {
    let (upstream, mut hub) = servers().await;
    relayed(of_trades(&upstream), hub.config(), async |stop| {
        let mut session = hub.accept().await;
        upstream.refuse(404).await;
        let fits =
            |report: &SourceReport| detail(report).contains("HTTP 404 Not Found no such feed");
        hub.report(&mut session, fits).await;
        stop.cancel();
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
}

#[tokio::test]
async fn unreadable_messages_are_skipped() {
    let (upstream, mut hub) = servers().await;
    let ticks = market(90);
    relayed(of_trades(&upstream), hub.config(), async |stop| {
        let mut session = hub.accept().await;
        let mut peer = upstream.serve().await;
        for some in ticks.chunks(10) {
            peer.send(Message::text("not even JSON")).await;
            peer.send(Message::binary(vec![0xc1; 100])).await;
            peer.ticks(some).await;
        }
        hub.take_ticks(&mut session, 90).await;
        let report = hub.report(&mut session, |report| report.ticks == 90).await;
        assert_eq!((report.errors, report.connects), (18, 1));
        stop.cancel();
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
    assert!(hub.ticks == ticks);
}

#[tokio::test]
async fn upstream_that_closes_at_once_is_retried_after_a_second() {
    let (upstream, mut hub) = servers().await;
    relayed(of_trades(&upstream), hub.config(), async |stop| {
        let mut session = hub.accept().await;
        upstream.cut().await;
        #[expect(clippy::disallowed_methods, reason = "how long it really takes")]
        let first = std::time::Instant::now();
        upstream.cut().await;
        upstream.cut().await;
        assert!(first.elapsed() >= Duration::from_secs(2), "{:?}", first.elapsed());
        stop.cancel();
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
}

#[tokio::test]
async fn refused_publisher_ends_the_relay() {
    let (upstream, hub) = servers().await;
    let (result, ()) = relayed(of_trades(&upstream), hub.config(), async |_| {
        let _peer = upstream.serve().await;
        hub.refuse(401, "").await;
    })
    .await;
    assert!(matches!(result.unwrap_err(), FeedError::Publish(_)));
}
