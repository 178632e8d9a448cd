//! A relay: one connection to a server that speaks Alpaca's stock stream, for everybody behind a hub.
//!
//! [`relay`] logs in, subscribes to what it is told to or to what the hub's subscribers want, and
//! publishes what comes, with its times. It comes back after every kind of loss, never at once, and
//! tells the hub how the upstream is.

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

/// Which upstream, as whom, and what of it.
#[derive(Debug, Clone)]
pub struct AlpacaConfig {
    /// Where the stream is.
    pub url: AlpacaUrl,
    /// Who logs in.
    pub credentials: Credentials,
    /// What is subscribed in each of the channels from the start on.
    pub symbols: Selection,
    /// The channels that are relayed. Corrections and cancels come with trades.
    pub channels: Vec<Channel>,
    /// Whether what the hub's subscribers want is subscribed too.
    pub on_demand: bool,
    /// How long a name stays subscribed that nobody wants any more.
    pub linger: Duration,
    /// Silence for so long, while the market is open, ends a connection; `None`: it never does.
    pub data_timeout: Option<Duration>,
    /// When the market is open.
    pub market_hours: MarketHours,
    /// Whom TLS trusts beside the system's authorities.
    pub authorities: Option<Authorities>,
    /// Most bytes of ticks kept while the hub is away; then the oldest give way.
    pub queue_bytes_max: usize,
}

impl AlpacaConfig {
    /// The channels of a stream that can be asked for.
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

    /// A relay of all channels that subscribes to nothing yet.
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

    /// Whether the hub is to make no bars: the upstream's come, or it gets trades only of what somebody
    /// wants just now, which make no whole bars.
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

/// Relays until `cancel` is cancelled: then what has come is published, within
/// [`PublisherConfig::flush_timeout`]. Connections on both sides are made again, for ever.
///
/// # Errors
/// If the hub does not let it publish, or is the upstream itself.
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
