//! The settings of a client.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tickwire_protocol::{Backoff, Encoding, Feed, OnLag};

use crate::connect::TcpConnector;
use crate::{Client, ConnectError, Token, TokenError};

/// The settings of a [`Client`], which [`Builder::connect`] makes.
///
/// ```no_run
/// # async fn example() -> Result<(), tickwire_client::ConnectError> {
/// use std::time::Duration;
/// use tickwire_client::Client;
///
/// let client = Client::builder("https://example.com/market")
///     .token("TW4ZhXqkR9c0VbL2mNpS:secret")
///     .connect_timeout(Duration::from_secs(3))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    hub: String,
    feed: String,
    encoding: Encoding,
    token: Option<Result<Token, TokenError>>,
    tls: Option<Arc<ClientConfig>>,
    heartbeat: Duration,
    connect_timeout: Duration,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) snapshot: Option<bool>,
    pub(crate) on_lag: Option<OnLag>,
    buffer_messages: usize,
}

impl Builder {
    pub(crate) fn new(hub: &str) -> Self {
        Self {
            hub: hub.to_owned(),
            feed: Feed::DEFAULT.to_owned(),
            encoding: Encoding::MsgpackArray,
            token: None,
            tls: None,
            heartbeat: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            backoff: Some(Backoff::default()),
            snapshot: None,
            on_lag: None,
            buffer_messages: 16,
        }
    }

    /// Sets the feed or view to subscribe to; `main` by default.
    #[must_use]
    pub fn feed(mut self, feed: &str) -> Self {
        feed.clone_into(&mut self.feed);
        self
    }

    /// Sets the encoding of ticks; [`Encoding::MsgpackArray`] by default, which is smaller and
    /// faster than JSON.
    #[must_use]
    pub const fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Sets the key to authenticate with, as `ID:SECRET`; none by default, which suits hubs without
    /// keys. A key that cannot be sent is an error of [`Builder::connect`].
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.parse());
        self
    }

    /// Sets the TLS configuration for a hub at `https://` or `wss://`, above all the certificate
    /// authorities to trust. The system's authorities are trusted by default.
    #[must_use]
    pub fn tls(mut self, tls: Arc<ClientConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the longest time between two messages of the hub; 15 s by default, which is the
    /// interval of the hub's heartbeats. The client gives up a connection that is silent for 2.5
    /// times as long.
    #[must_use]
    pub const fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Sets how long one attempt to connect may take, including the handshakes; 10 s by default.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the delays between attempts to reconnect; by default up to 0.5 s at first and up to 30
    /// s later. [`Backoff`] describes the policy. With `None` the client does not reconnect: the
    /// stream ends with the connection.
    #[must_use]
    pub const fn backoff(mut self, backoff: Option<Backoff>) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets whether a subscription starts with a snapshot of the last values. By default the hub
    /// sends one for symbols, but not for `"*"`.
    #[must_use]
    pub const fn snapshot(mut self, snapshot: bool) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Sets what the hub does when the application reads too slowly for delivery `every`; by
    /// default it closes the connection. With [`OnLag::Latest`] the session continues with the
    /// newest tick of each topic, and [`Event::Lagged`](crate::Event::Lagged) reports the ticks
    /// that were lost.
    #[must_use]
    pub const fn on_lag(mut self, on_lag: OnLag) -> Self {
        self.on_lag = Some(on_lag);
        self
    }

    /// Sets the most messages of the hub to buffer for the application; 16 by default, at least 1.
    /// A message has at most 64 KiB. When the buffer is full, the client stops reading from the
    /// socket, and the hub buffers.
    #[must_use]
    pub const fn buffer_messages(mut self, buffer_messages: usize) -> Self {
        self.buffer_messages = buffer_messages;
        self
    }

    /// Connects to the hub. Must be called within a tokio runtime, which then runs the client's
    /// task.
    ///
    /// The first attempt must succeed. The client reconnects by itself when the connection is lost
    /// later, unless that cannot help ([`Disconnect::is_final`](crate::Disconnect::is_final)).
    ///
    /// # Cancel safety
    /// Dropping the future gives up the attempt.
    ///
    /// # Errors
    /// Fails if a setting is not valid, or the hub cannot be reached or refuses the connection.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let given = &self.hub;
        let hub =
            given.parse().map_err(|source| ConnectError::Url { given: given.clone(), source })?;
        let connector = TcpConnector {
            hub,
            feed: Feed::new(&self.feed).map_err(ConnectError::Feed)?,
            encoding: self.encoding,
            token: self.token.clone().transpose()?,
            tls: self.tls.clone(),
            timeout: self.connect_timeout,
        };
        Client::connect(self, connector).await
    }

    /// Returns how long the hub may be silent before the client gives up the connection.
    pub(crate) fn silence_max(&self) -> Duration {
        /// The length of a tolerated silence, in heartbeat intervals.
        const HEARTBEATS_MISSED_MAX: f64 = 2.5;
        self.heartbeat.mul_f64(HEARTBEATS_MISSED_MAX)
    }

    /// Returns the capacity of the queue of events, in messages of the hub.
    pub(crate) fn queue_len(&self) -> usize {
        self.buffer_messages.max(1)
    }
}
