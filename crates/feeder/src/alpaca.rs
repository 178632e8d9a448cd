//! The relay: publishes the stream of one connection to Alpaca, or to a compatible server, into a
//! hub.
//!
//! [`relay`] authenticates, subscribes to given names or to the demand of the hub's subscribers,
//! and publishes the received ticks with their event times. It reconnects after every failure with
//! a delay, and reports the state of the upstream to the hub.

mod connection;
mod hours;
mod live;
mod names;
mod retry;
mod session;
mod subscriber;
mod upstream;
mod url;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{Channel, Credentials, Selection, SourceReport, SubscriptionSet};
use tokio_util::sync::CancellationToken;

use crate::publisher::publish_stream;
use crate::{Authorities, Counts, FeedError, Progress, PublisherConfig};
pub use hours::{MarketHours, MarketHoursError};
use live::live;
use names::{NameSet, each};
use session::{Rules, Session};
use subscriber::Subscriber;
use upstream::Upstream;
pub use url::{AlpacaUrl, AlpacaUrlError};

/// Settings of a relay.
#[derive(Debug, Clone)]
pub struct AlpacaConfig {
    /// Address of the upstream.
    pub url: AlpacaUrl,
    /// API key of the upstream.
    pub credentials: Credentials,
    /// Symbols that are always subscribed to, in each of the channels.
    pub symbols: Selection,
    /// Relayed channels. Corrections and cancels come with trades.
    pub channels: Vec<Channel>,
    /// Whether to subscribe also to the names that the hub's subscribers demand.
    pub on_demand: bool,
    /// Time for which the relay keeps its upstream subscription to a name after its demand has
    /// ended.
    pub linger: Duration,
    /// Time without ticks, while the market is open, after which the connection is replaced;
    /// `None`: never.
    pub data_timeout: Option<Duration>,
    /// Hours in which ticks are expected.
    pub market_hours: MarketHours,
    /// Additional certificate authorities.
    pub authorities: Option<Authorities>,
    /// Maximum number of bytes of ticks queued while the hub is unreachable. When the queue is
    /// full, the oldest ticks are dropped.
    pub queue_bytes_max: usize,
}

impl AlpacaConfig {
    /// The channels that Alpaca's stream lets clients subscribe to.
    pub const CHANNELS: [Channel; 8] = [
        Channel::Trades,
        Channel::Quotes,
        Channel::Bars,
        Channel::UpdatedBars,
        Channel::DailyBars,
        Channel::Statuses,
        Channel::Lulds,
        Channel::Imbalances,
    ];

    /// Creates settings that relay all channels, but subscribe to nothing yet: the caller sets
    /// `symbols` or `on_demand`.
    #[must_use]
    pub fn new(url: AlpacaUrl, credentials: Credentials) -> Self {
        Self {
            url,
            credentials,
            symbols: Selection::default(),
            channels: Self::CHANNELS.to_vec(),
            on_demand: false,
            linger: Duration::from_secs(60),
            data_timeout: Some(Duration::from_secs(30)),
            market_hours: MarketHours::REGULAR,
            authorities: None,
            queue_bytes_max: 64 * 1024 * 1024,
        }
    }

    /// Returns whether the hub must not make bars: either the upstream sends bars, or trades arrive
    /// only while a name has demand, which would yield incomplete bars.
    fn replaces_bars(&self) -> bool {
        let bars = [Channel::Bars, Channel::UpdatedBars, Channel::DailyBars];
        self.on_demand || self.channels.iter().any(|channel| bars.contains(channel))
    }

    fn session(&self) -> Session {
        let channels: BTreeSet<_> = self.channels.iter().copied().collect();
        let mut always = SubscriptionSet::default();
        for &channel in &channels {
            always[channel] = self.symbols.clone();
        }
        let always: NameSet = each(&always).collect();
        let rules = Rules {
            upstream: self.url.to_string(),
            credentials: self.credentials.clone(),
            data_timeout: self.data_timeout,
            hours: self.market_hours.clone(),
        };
        Session::new(rules, Subscriber::new(always, channels, self.linger))
    }
}

/// Relays until `cancel` is cancelled. The ticks received until then are still published, for at
/// most [`PublisherConfig::flush_timeout`]. Reconnects without limit to the upstream and to the
/// hub.
///
/// # Errors
/// Fails if the hub refuses the publisher, or is the upstream itself.
pub async fn relay(
    config: AlpacaConfig,
    hub: PublisherConfig,
    cancel: CancellationToken,
    progress: Arc<Progress>,
) -> Result<Counts, FeedError> {
    let session = config.session();
    let first = SourceReport { no_bars: config.replaces_bars(), ..session.report() };
    let (intake, live) = live(config.queue_bytes_max, config.on_demand, first);
    let stop = cancel.child_token();
    let same =
        |_| FeedError::SameHub { upstream: config.url.to_string(), hub: hub.hub.to_string() };
    let upstream = Upstream::new(config.clone(), session, intake).run(stop.clone());
    let publishing = async {
        let published = publish_stream(live, hub.clone(), cancel, progress).await;
        stop.cancel();
        published
    };
    let (published, ended) = tokio::join!(publishing, Box::pin(upstream));
    ended.map_err(same)?;
    published
}
