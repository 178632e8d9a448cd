//! The client as its application sees it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use rustls::ClientConfig;
use tickwire_protocol::{Delivery, Encoding, Feed, OnLag, Replay, ReplaySpeed, SubscriptionSet};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::connect::{Connector, Tcp};
use crate::driver::Driver;
use crate::session::{COMMAND_BYTES_MAX, Change, Request, Session, command_bytes};
use crate::wanted::{How, Start};
use crate::{Backoff, ConnectError, Ended, Event, Position, ReplayError, Token, TokenError};

/// Requests that wait for the task behind the client.
const REQUESTS_MAX: usize = 16;

/// How many heartbeats may be missed.
const HEARTBEATS_MISSED_MAX: f64 = 2.5;

/// How to connect to a hub.
#[derive(Debug, Clone)]
pub struct Builder {
    hub: String,
    feed: String,
    encoding: Encoding,
    token: Option<Result<Token, TokenError>>,
    tls: Option<Arc<ClientConfig>>,
    heartbeat: Duration,
    connect_within: Duration,
    backoff: Option<Backoff>,
    snapshot: Option<bool>,
    on_lag: Option<OnLag>,
    buffer_messages: usize,
}

impl Builder {
    fn new(hub: &str) -> Self {
        Self {
            hub: hub.to_owned(),
            feed: Feed::DEFAULT.to_owned(),
            encoding: Encoding::MsgpackArray,
            token: None,
            tls: None,
            heartbeat: Duration::from_secs(15),
            connect_within: Duration::from_secs(10),
            backoff: Some(Backoff::new(Duration::from_millis(500), Duration::from_secs(30))),
            snapshot: None,
            on_lag: None,
            buffer_messages: 16,
        }
    }

    /// The market; `main` by default.
    #[must_use]
    pub fn feed(mut self, feed: &str) -> Self {
        feed.clone_into(&mut self.feed);
        self
    }

    /// How ticks travel; [`Encoding::MsgpackArray`] by default, which is smaller and faster.
    #[must_use]
    pub const fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// The key that lets the client in, `ID:SECRET`; none by default, which open hubs need none of.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.parse());
        self
    }

    /// How TLS is spoken with a hub at `wss://`: whom it trusts, above all. By default those whom the system
    /// trusts.
    #[must_use]
    pub fn tls(mut self, tls: Arc<ClientConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How often the hub says something at least; 15 s by default, as hubs do. A connection is given
    /// up when nothing was heard for 2.5 times as long.
    #[must_use]
    pub const fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// How long an attempt to connect may take; 10 s by default.
    #[must_use]
    pub const fn connect_within(mut self, connect_within: Duration) -> Self {
        self.connect_within = connect_within;
        self
    }

    /// How long to wait between attempts to get a lost connection back; by default up to 0.5 s at first
    /// and up to 30 s later. `None` does not reconnect: the stream ends with the connection.
    #[must_use]
    pub const fn backoff(mut self, backoff: Option<Backoff>) -> Self {
        self.backoff = backoff;
        self
    }

    /// Whether last values come first when names are subscribed to; if it is not said, the hub sends them
    /// for names and not for `"*"`.
    #[must_use]
    pub const fn snapshot(mut self, snapshot: bool) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// What becomes of the session when the application reads too slowly for delivery `every`; if it is
    /// not said, the hub closes it. With [`OnLag::Latest`] it goes on with the newest tick of each topic, and
    /// [`Event::Lagged`] tells what was lost.
    #[must_use]
    pub const fn on_lag(mut self, on_lag: OnLag) -> Self {
        self.on_lag = Some(on_lag);
        self
    }

    /// How many messages of the hub wait for the application at most, 1 or more; 16 by default, each of
    /// 64 KiB or less. When they are there, the client stops reading, and the hub waits.
    #[must_use]
    pub const fn buffer_messages(mut self, buffer_messages: usize) -> Self {
        self.buffer_messages = buffer_messages;
        self
    }

    /// Connects. The first attempt must succeed; a connection lost later comes back by itself, unless the
    /// hub does not take the token any more: then the stream ends.
    ///
    /// Must be called within a tokio runtime. Dropping the future gives up.
    ///
    /// # Errors
    /// Says what was wrong with the address, or how far it got.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let given = &self.hub;
        let hub =
            given.parse().map_err(|source| ConnectError::Url { given: given.clone(), source })?;
        let connector = Tcp {
            hub,
            feed: Feed::new(&self.feed).map_err(ConnectError::Feed)?,
            encoding: self.encoding,
            token: self.token.clone().transpose()?,
            tls: self.tls.clone(),
            within: self.connect_within,
        };
        self.connect_by(connector).await
    }

    pub(crate) async fn connect_by<C: Connector>(
        self,
        connector: C,
    ) -> Result<Client, ConnectError> {
        let opened = connector.connect().await?;
        let (requests_in, requests) = mpsc::channel(REQUESTS_MAX);
        let (events, events_out) = mpsc::channel(self.buffer_messages.max(1));
        let driver = Driver {
            connector,
            session: Session::new(self.snapshot, self.on_lag),
            backoff: self.backoff,
            silence_max: self.heartbeat.mul_f64(HEARTBEATS_MISSED_MAX),
            requests,
            events,
            undelivered: Vec::new(),
        };
        let task = tokio::spawn(driver.run(opened));
        Ok(Client {
            requests: requests_in,
            events: events_out,
            message: Vec::new().into_iter(),
            requested: 0,
            task,
        })
    }
}

/// A subscriber: a stream of [`Event`]s.
///
/// It is a [`Stream`]; [`Client::next`] does the same without a trait. What the hub sends waits in a
/// small buffer until it is read. An application that does not read makes the client stop reading, and
/// in the end the hub closes the connection for being too far behind; nothing grows meanwhile.
///
/// Dropping the client ends the connection in the background; [`Client::close`] waits for it.
#[derive(Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    events: mpsc::Receiver<Vec<Event>>,
    /// The rest of the message being read.
    message: std::vec::IntoIter<Event>,
    requested: u64,
    task: JoinHandle<()>,
}

impl Client {
    /// Begins to describe a connection to the hub at `hub`: `ws://HOST[:PORT][/PREFIX]`, or
    /// `wss://…` for TLS.
    #[must_use]
    pub fn builder(hub: &str) -> Builder {
        Builder::new(hub)
    }

    /// The next event; `None` when the stream has ended: the connection was lost and reconnecting is
    /// off. By default it never ends.
    ///
    /// # Cancel safety
    /// Safe: dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.message.next() {
                return Poll::Ready(Some(event));
            }
            match ready!(self.events.poll_recv(context)) {
                Some(message) => self.message = message.into_iter(),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Asks for every tick of names from now on. A connection that is lost is made again and goes on
    /// behind the last tick. Returns a number that comes back in [`Event::Subscribed`], once for every 20,000
    /// names, or in [`Event::Error`].
    ///
    /// ```no_run
    /// # async fn example(client: &mut tickwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tickwire_client::{Channel, names};
    ///
    /// client.subscribe(names(&[Channel::Trades], ["AAPL", "MSFT"])?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Safe: if the future is dropped before it is ready, nothing was asked for.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn subscribe(&mut self, names: SubscriptionSet) -> Result<u64, Ended> {
        self.subscribe_as(names, Delivery::Every).await
    }

    /// Asks for names, now and after every reconnect, delivered in this way. Names that are subscribed to
    /// already change their delivery; a name beats `"*"`. Returns a number as [`Client::subscribe`] does.
    ///
    /// ```no_run
    /// # async fn example(client: &mut tickwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tickwire_client::{Channel, Delivery, MaxRate, names};
    ///
    /// // A screen that shows four values a second does not need more.
    /// let max_rate = Some(MaxRate::per_second(4.0)?);
    /// let quotes = names(&[Channel::Quotes], ["*"])?;
    /// client.subscribe_as(quotes, Delivery::Latest { max_rate }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Safe: if the future is dropped before it is ready, nothing was asked for.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn subscribe_as(
        &mut self,
        names: SubscriptionSet,
        delivery: Delivery,
    ) -> Result<u64, Ended> {
        self.request(Change::Subscribe(How { delivery, start: Start::Now }), names).await
    }

    /// Asks for every tick of names behind a position that [`Event::Position`] has told, perhaps to
    /// another client: an application that restarts continues where it was. What the hub no longer has is
    /// told by [`Event::Gap`]; if the epoch is another one, the names begin with their last values. Returns a
    /// number as [`Client::subscribe`] does. Names that are subscribed to already go on as they are;
    /// of those that came by `"*"`, what has been given does not come again.
    ///
    /// ```no_run
    /// # async fn example(client: &mut tickwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tickwire_client::{Channel, Event, names};
    ///
    /// let names = names(&[Channel::Trades], ["AAPL", "MSFT"])?;
    /// match std::fs::read_to_string("position") {
    ///     Ok(position) => client.resume(names, &position.parse()?).await?,
    ///     Err(_) => client.subscribe(names).await?,
    /// };
    /// while let Some(event) = client.next().await {
    ///     match event {
    ///         Event::Tick { tick, .. } => println!("{} {}", tick.symbol, tick.seq.0),
    ///         // Kept together with what the ticks led to, so that none counts twice.
    ///         Event::Position(position) => std::fs::write("position", position.to_string())?,
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Safe: if the future is dropped before it is ready, nothing was asked for.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn resume(
        &mut self,
        names: SubscriptionSet,
        position: &Position,
    ) -> Result<u64, Ended> {
        self.request_every(names, Start::Behind(position.clone())).await
    }

    /// Asks for what the hub's history has of names, and then for every tick, without gap or
    /// repetition between them. At a finite speed the client may have no other names of which it gets every tick;
    /// those of the replay are asked for in one command, so that they play together;
    /// if the connection is lost meanwhile, the rest comes as fast as it can. Returns a number as
    /// [`Client::subscribe`] does; [`Event::Subscribed`] tells where the replay really begins.
    ///
    /// ```no_run
    /// # async fn example(client: &mut tickwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tickwire_client::{Channel, Replay, ReplaySpeed, names};
    ///
    /// // The last five minutes, twenty times as fast as they were.
    /// let replay = Replay { from: "-5m".parse()?, speed: ReplaySpeed::factor(20.0)? };
    /// client.subscribe_from(names(&[Channel::Trades], ["AAPL"])?, replay).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Safe: if the future is dropped before it is ready, nothing was asked for.
    ///
    /// # Errors
    /// If the client has ended, or the names are too many for a replay at a finite speed.
    pub async fn subscribe_from(
        &mut self,
        names: SubscriptionSet,
        replay: Replay,
    ) -> Result<u64, ReplayError> {
        if replay.speed != ReplaySpeed::Max {
            let (bytes, bytes_max) = (command_bytes(&names), COMMAND_BYTES_MAX);
            if bytes > bytes_max {
                return Err(ReplayError::TooLong { names: names.total(), bytes, bytes_max });
            }
        }
        Ok(self.request_every(names, Start::Replay(replay)).await?)
    }

    async fn request_every(&mut self, names: SubscriptionSet, start: Start) -> Result<u64, Ended> {
        let delivery = Delivery::Every;
        self.request(Change::Subscribe(How { delivery, start }), names).await
    }

    /// Asks for names no more. Returns a number as [`Client::subscribe`] does. Ticks that are on their way
    /// still come.
    ///
    /// # Cancel safety
    /// Safe: if the future is dropped before it is ready, nothing was asked for.
    ///
    /// # Errors
    /// If the client has ended.
    pub async fn unsubscribe(&mut self, names: SubscriptionSet) -> Result<u64, Ended> {
        self.request(Change::Unsubscribe, names).await
    }

    async fn request(&mut self, change: Change, names: SubscriptionSet) -> Result<u64, Ended> {
        let room = self.requests.reserve().await.map_err(|_| Ended)?;
        self.requested += 1;
        room.send(Request { id: self.requested, change, names });
        Ok(self.requested)
    }

    /// Closes the connection properly and waits for its end, a second at most.
    pub async fn close(self) {
        let Self { requests, events, task, .. } = self;
        drop((requests, events));
        // The task has nothing to return; if it panicked, there is nothing left to end.
        let _ = task.await;
    }
}

impl Stream for Client {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(context)
    }
}
