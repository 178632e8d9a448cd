//! A publisher against a fake hub over real sockets: every tick arrives exactly once. Includes the
//! tests of the relay.
#![expect(clippy::unwrap_used, reason = "tests")]

mod fake_hub;
mod fake_upstream;
mod pace;
mod relay;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fake_hub::{AT_ONCE, FakeHub};
use tickwire_feeder::{
    FeedError, Progress, PublishError, PublisherConfig, SimConfig, Simulator, Source, SourceError,
    publish,
};
use tickwire_protocol::{ErrorCode, Tick};
use tokio_util::sync::CancellationToken;

fn market(ticks: u64) -> Simulator {
    Simulator::new(SimConfig { ticks_max: Some(ticks), ..SimConfig::default() })
}

async fn publish_all<S: Source>(
    source: S,
    config: PublisherConfig,
) -> Result<tickwire_feeder::Counts, FeedError> {
    publish(source, AT_ONCE, config, CancellationToken::new(), Arc::default()).await
}

/// Runs both sides, and fails if they hang.
async fn both<P: Future, H: Future>(publisher: P, hub: H) -> (P::Output, H::Output) {
    let both = async { tokio::join!(publisher, hub) };
    tokio::time::timeout(Duration::from_secs(600), both).await.expect("hangs")
}

#[tokio::test]
async fn every_tick_arrives_once_in_order_across_reconnects() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.message_ticks_max = 50;
    let (counts, ()) = both(publish_all(market(20_000), config), async {
        // Each life of the connection: how many messages are taken, and whether it is said.
        for (taken, acked) in [(0, false), (1, false), (7, true), (120, false), (3, true)] {
            let mut session = hub.accept().await;
            for _ in 0..taken {
                assert!(hub.take(&mut session).await);
                if acked {
                    hub.ack(&mut session).await;
                }
            }
        }
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    let counts = counts.unwrap();
    assert!(hub.ticks == market(20_000).collect::<Vec<_>>());
    assert_eq!((counts.ticks, counts.acked, counts.reconnects), (20_000, 20_000, 5));
    assert_eq!((counts.messages, hub.last), (400, 400));
}

#[tokio::test]
async fn hub_without_state_receives_unacknowledged_ticks() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.message_ticks_max = 10;
    let (counts, ()) = both(publish_all(market(100), config), async {
        let mut session = hub.accept().await;
        for _ in 0..4 {
            hub.take(&mut session).await;
        }
        hub.ack(&mut session).await;
        drop(session);
        hub.last = 0;
        hub.mark = None;
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    assert_eq!(counts.unwrap().acked, 100);
    assert!(hub.ticks == market(100).collect::<Vec<_>>());
    assert_eq!(hub.last, 6);
}

#[tokio::test]
async fn source_waits_while_the_hub_acknowledges_nothing() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.message_ticks_max = 10;
    config.unacked_messages_max = 4;
    let progress = Arc::new(Progress::default());
    let cancel = CancellationToken::new();
    let work = publish(market(1_000), AT_ONCE, config, cancel, Arc::clone(&progress));
    both(work, async {
        let mut session = hub.accept().await;
        for _ in 0..4 {
            hub.take(&mut session).await;
        }
        session.assert_waiting().await;
        assert_eq!(progress.counts().messages, 4);
        hub.last = 2;
        hub.ack(&mut session).await;
        hub.last = 4;
        for _ in 0..2 {
            hub.take(&mut session).await;
        }
        session.assert_waiting().await;
        assert_eq!(progress.counts().messages, 6);
        hub.ack(&mut session).await;
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
    assert_eq!(hub.ticks.len(), 1_000);
}

#[tokio::test]
async fn unacknowledged_bytes_are_bounded() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.message_bytes_max = 1_000;
    config.unacked_bytes_max = 5_000;
    let progress = Arc::new(Progress::default());
    let cancel = CancellationToken::new();
    let work = publish(market(1_000), AT_ONCE, config, cancel, Arc::clone(&progress));
    both(work, async {
        let mut session = hub.accept().await;
        // Messages end with the tick that passes 1,000 bytes, so five of them pass 5,000.
        for _ in 0..5 {
            hub.take(&mut session).await;
        }
        session.assert_waiting().await;
        let bytes = progress.counts().bytes;
        assert!((5_000..6_500).contains(&bytes), "{bytes}");
        hub.ack(&mut session).await;
        hub.take_all(&mut session).await;
    })
    .await
    .0
    .unwrap();
    assert_eq!(hub.ticks.len(), 1_000);
}

#[tokio::test]
async fn hub_that_stops_acknowledging_is_reconnected_and_receives_the_rest() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.ack_timeout = Duration::from_secs(2);
    let (counts, ()) = both(publish_all(market(400), config), async {
        let mut silent = hub.accept().await;
        hub.take(&mut silent).await;
        // What a hub takes and does not count, it gets again.
        hub.last = 0;
        hub.mark = None;
        hub.ticks.clear();
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    assert_eq!(counts.unwrap().reconnects, 1);
    assert!(hub.ticks == market(400).collect::<Vec<_>>());
}

#[tokio::test]
async fn later_run_with_the_same_id_resumes() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.publisher = "nightly".parse().unwrap();
    config.message_ticks_max = 100;
    config.unacked_messages_max = 1;
    let cancel = CancellationToken::new();
    let work = publish(market(5_000), AT_ONCE, config.clone(), cancel.clone(), Arc::default());
    let (first, ()) = both(work, async {
        let mut session = hub.accept().await;
        for _ in 0..3 {
            hub.take(&mut session).await;
            hub.ack(&mut session).await;
        }
        cancel.cancel();
        hub.take_all(&mut session).await;
    })
    .await;
    let published = first.unwrap().acked;
    assert!((300..5_000).contains(&published), "{published}");
    let (second, ()) = both(publish_all(market(5_000), config), async {
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    let second = second.unwrap();
    assert_eq!((second.resumed_after, second.acked), (published, 5_000 - published));
    assert!(hub.ticks == market(5_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn mark_of_another_source_is_ignored() {
    let mut hub = FakeHub::start().await;
    hub.last = 57;
    hub.mark = Some("0123456789abcdef:40".to_owned());
    let (counts, ()) = both(publish_all(market(100), hub.config()), async {
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    assert_eq!((counts.unwrap().resumed_after, hub.ticks.len(), hub.last), (0, 100, 58));
}

#[tokio::test]
async fn refused_token_ends_the_feed_with_advice() {
    let hub = FakeHub::start().await;
    let mut config = hub.config();
    config.token = Some("wrong".to_owned());
    assert!(!format!("{config:?}").contains("wrong"));
    let (result, token) =
        both(publish_all(market(1), config), hub.refuse(401, "publish token needed")).await;
    assert_eq!(token.as_deref(), Some("Bearer wrong"));
    let error = result.unwrap_err();
    let FeedError::Publish(PublishError::Refused { status: 401, .. }) = &error else {
        panic!("{error}")
    };
    let text = error.to_string();
    assert!(text.contains("HTTP 401 (publish token needed)"), "{text}");
    assert!(text.ends_with("--token-file or TICKWIRE_TOKEN"), "{text}");
}

#[tokio::test]
async fn busy_hub_is_retried() {
    let mut hub = FakeHub::start().await;
    let (counts, ()) = both(publish_all(market(10), hub.config()), async {
        for status in [503, 429] {
            hub.refuse(status, "").await;
        }
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    assert_eq!((counts.unwrap().acked, hub.ticks.len()), (10, 10));
}

#[tokio::test]
async fn error_in_reply_to_publish_ends_the_feed() {
    for (code, shown) in [
        (ErrorCode::InvalidSyntax, "400 invalid syntax (no good)"),
        (ErrorCode::NotAuthenticated, "401 not authenticated (no good); pass"),
        (ErrorCode::AuthFailed, "402 auth failed (no good); pass"),
    ] {
        let mut hub = FakeHub::start().await;
        let (result, _session) = both(publish_all(market(1), hub.config()), async {
            let mut session = hub.accept_until_publish().await;
            session.error(code, "no good").await;
            session
        })
        .await;
        let text = result.unwrap_err().to_string();
        assert!(text.contains(shown), "{text}");
    }
}

#[tokio::test]
async fn newer_session_with_the_same_publisher_id_ends_this_one() {
    let mut hub = FakeHub::start().await;
    let (result, _session) = both(publish_all(market(1), hub.config()), async {
        let mut session = hub.accept().await;
        hub.take(&mut session).await;
        session.error(ErrorCode::PublisherReplaced, "").await;
        session
    })
    .await;
    let error = result.unwrap_err();
    assert!(matches!(&error, FeedError::Publish(PublishError::Ended { code: 409, .. })), "{error}");
    assert!(error.to_string().contains("another process publishes"), "{error}");
}

#[tokio::test]
async fn refused_message_is_counted_and_publishing_continues() {
    let mut hub = FakeHub::start().await;
    let (counts, ()) = both(publish_all(market(2_000), hub.config()), async {
        let mut session = hub.accept().await;
        hub.take(&mut session).await;
        session.error(ErrorCode::InvalidSyntax, "element 3 (t), field p").await;
        hub.ack(&mut session).await;
        hub.take_all(&mut session).await;
    })
    .await;
    let counts = counts.unwrap();
    assert_eq!((counts.refused, counts.acked), (1, 2_000));
}

#[tokio::test]
async fn cancelled_publisher_awaits_acknowledgements_of_sent_ticks() {
    let mut hub = FakeHub::start().await;
    let cancel = CancellationToken::new();
    let endless = Simulator::new(SimConfig::default());
    let mut config = hub.config();
    config.unacked_messages_max = 3;
    let work = publish(endless, AT_ONCE, config, cancel.clone(), Arc::default());
    let (counts, ()) = both(work, async {
        let mut session = hub.accept().await;
        hub.take(&mut session).await;
        cancel.cancel();
        hub.ack(&mut session).await;
        hub.take_all(&mut session).await;
    })
    .await;
    let counts = counts.unwrap();
    assert_eq!(counts.ticks, counts.acked);
    assert_eq!(counts.ticks, hub.ticks.len() as u64);
}

#[tokio::test]
async fn cancelled_publisher_ends_in_time_without_acknowledgements() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.flush_timeout = Duration::from_millis(20);
    let cancel = CancellationToken::new();
    let work = publish(market(10), AT_ONCE, config, cancel.clone(), Arc::default());
    let (counts, _session) = both(work, async {
        let mut session = hub.accept().await;
        hub.take(&mut session).await;
        cancel.cancel();
        session
    })
    .await;
    let counts = counts.unwrap();
    assert_eq!((counts.ticks, counts.acked), (10, 0));
}

#[tokio::test]
async fn cancelled_publisher_without_a_hub_ends_at_once() {
    let hub = FakeHub::start().await;
    let config = hub.config();
    drop(hub);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let work = publish(market(10), AT_ONCE, config, cancel, Arc::default());
    let counts = both(work, async {}).await.0.unwrap();
    assert_eq!(counts.ticks, 0);
}

/// A source that fails after some ticks.
struct Failing(Simulator);

impl Source for Failing {
    fn next_tick(&mut self) -> Result<Option<Tick>, SourceError> {
        let path = PathBuf::from("ticks.csv");
        let failed =
            SourceError::Line { path, line: 701, column: 1, field: "", problem: "bad".to_owned() };
        self.0.next().map(Some).ok_or(failed)
    }

    fn identity(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn ticks_before_a_malformed_line_are_published_before_the_error() {
    let mut hub = FakeHub::start().await;
    let (result, ()) = both(publish_all(Failing(market(700)), hub.config()), async {
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "ticks.csv, line 701, column 1: bad");
    assert!(hub.ticks == market(700).collect::<Vec<_>>());
}

#[tokio::test]
async fn lost_acknowledged_ticks_are_published_again_even_after_a_cancellation() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.message_ticks_max = 10;
    config.unacked_messages_max = 1;
    let cancel = CancellationToken::new();
    let work = publish(market(1_000), AT_ONCE, config, cancel.clone(), Arc::default());
    let (counts, ()) = both(work, async {
        let mut session = hub.accept().await;
        for _ in 0..4 {
            hub.take(&mut session).await;
            hub.ack(&mut session).await;
        }
        hub.take(&mut session).await;
        cancel.cancel();
        drop(session);
        // Its machine fails, and it comes back with the first two messages.
        let identity = hub.mark.as_ref().unwrap().split_once(':').unwrap().0.to_owned();
        hub.last = 2;
        hub.mark = Some(format!("{identity}:20"));
        hub.ticks.truncate(20);
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    let counts = counts.unwrap();
    assert!(hub.ticks == market(50).collect::<Vec<_>>());
    assert_eq!((counts.republished, counts.lost), (20, 0));
}

#[tokio::test]
async fn retry_delay_of_a_closing_hub_is_respected() {
    let mut hub = FakeHub::start().await;
    let (counts, came_early) = both(publish_all(market(10), hub.config()), async {
        let session = hub.accept().await;
        session.close("shutdown retry_ms=500").await;
        // Without the reason it would be back within five milliseconds.
        let early = tokio::time::timeout(Duration::from_millis(300), hub.accept()).await.is_ok();
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
        early
    })
    .await;
    assert_eq!((counts.unwrap().acked, came_early), (10, false));
}

#[tokio::test]
async fn another_source_with_the_same_id_ends_the_feed() {
    let mut hub = FakeHub::start().await;
    let (result, _session) = both(publish_all(market(100), hub.config()), async {
        let mut session = hub.accept().await;
        hub.take(&mut session).await;
        drop(session);
        hub.mark = Some("0123456789abcdef:40".to_owned());
        hub.accept().await
    })
    .await;
    let error = result.unwrap_err();
    assert!(matches!(&error, FeedError::Publish(PublishError::OtherSource)), "{error}");
}
