//! Publishing a source at its own pace.

use std::sync::Arc;
use std::time::Duration;

use tickwire_feeder::{Pace, SimConfig, Simulator, Speed, publish};
use tokio_util::sync::CancellationToken;

use crate::both;
use crate::fake_hub::FakeHub;

/// Returns a fifth of a second of a market in real time.
fn brief_market() -> Simulator {
    let config = SimConfig { rate: 10_000.0, ticks_max: Some(2_000), ..SimConfig::default() };
    Simulator::new(config)
}

const ON_TIME: Pace = Pace { speed: Speed::Times(1.0), restamp: false };

#[tokio::test]
async fn overdue_ticks_are_dropped_and_reported_if_requested() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.unacked_messages_max = 1;
    config.behind_max = Some(Duration::from_millis(50));
    let work = publish(brief_market(), ON_TIME, config, CancellationToken::new(), Arc::default());
    let (counts, ()) = both(work, async {
        let mut session = hub.accept().await;
        hub.take(&mut session).await;
        // Until all of the market is late.
        tokio::time::sleep(Duration::from_millis(400)).await;
        hub.ack(&mut session).await;
        hub.take_all(&mut session).await;
    })
    .await;
    let counts = counts.unwrap();
    assert_eq!(counts.ticks + counts.dropped, 2_000);
    assert_eq!((hub.ticks.len() as u64, hub.lost), (counts.ticks, counts.dropped));
    let first: Vec<_> = brief_market().take(hub.ticks.len()).collect();
    assert!(hub.ticks == first, "what came before is there");
    assert!(counts.dropped > 1_000, "{}", counts.dropped);
}

#[tokio::test]
async fn overdue_ticks_are_kept_by_default() {
    let mut hub = FakeHub::start().await;
    let mut config = hub.config();
    config.unacked_messages_max = 1;
    let work = publish(brief_market(), ON_TIME, config, CancellationToken::new(), Arc::default());
    let (counts, ()) = both(work, async {
        let mut session = hub.accept().await;
        hub.take(&mut session).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        hub.ack(&mut session).await;
        hub.take_all(&mut session).await;
    })
    .await;
    assert_eq!((counts.unwrap().dropped, hub.lost), (0, 0));
    assert!(hub.ticks == brief_market().collect::<Vec<_>>());
}

#[tokio::test]
async fn paced_ticks_are_sent_when_due_with_their_scheduled_time() {
    let mut hub = FakeHub::start().await;
    let pace = Pace { speed: Speed::Times(1.0), restamp: true };
    let config = SimConfig { rate: 2_000.0, ticks_max: Some(2_000), ..SimConfig::default() };
    let market = Simulator::new(config.clone());
    let twin = Simulator::new(config);
    let work = publish(market, pace, hub.config(), CancellationToken::new(), Arc::default());
    let (counts, ()) = both(work, async {
        let mut session = hub.accept().await;
        hub.take_all(&mut session).await;
    })
    .await;
    assert!(counts.unwrap().messages > 5, "spread over a second");
    let origin = hub.ticks[0].time;
    let mut first = None;
    for (sent, made) in hub.ticks.iter().zip(twin) {
        let first = *first.get_or_insert(made.time);
        assert_eq!(sent.time.since(origin), made.time.since(first));
    }
}
