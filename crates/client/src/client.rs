//! The client as its application sees it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tickwire_protocol::{Delivery, Replay, ReplaySpeed, SubscriptionSet};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::connect::Connector;
use crate::driver::Driver;
use crate::session::{COMMAND_BYTES_MAX, Change, Request, Session, command_bytes};
use crate::subscriptions::{Start, SubscribeOptions};
use crate::{Builder, ClientEnded, ConnectError, Event, Position, ReplayError};

/// The most requests in the queue of the client's task.
const REQUESTS_MAX: usize = 16;

/// A subscriber: a stream of [`Event`]s.
///
/// It implements [`Stream`]; [`Client::next`] does the same without a trait. Messages of the hub
/// wait in a small buffer until the application reads them. If it does not read, the client stops
/// reading from the socket, and finally the hub handles the session as a slow one. Memory stays
/// bounded meanwhile.
///
/// Dropping the client ends the connection in the background; [`Client::close`] waits for the end.
#[derive(Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    events: mpsc::Receiver<Vec<Event>>,
    /// The remaining events of the message that is being read.
    message: std::vec::IntoIter<Event>,
    /// Number of requests so far.
    requested: u64,
    task: JoinHandle<()>,
}

impl Client {
    /// Returns the settings for a connection to the hub at this address:
    /// `http://HOST[:PORT][/PREFIX]`, or `https://` for TLS; `ws://` and `wss://` are equivalent.
    /// [`HubUrl`](crate::HubUrl) describes addresses.
    #[must_use]
    pub fn builder(hub: &str) -> Builder {
        Builder::new(hub)
    }

    /// Connects and starts the task that owns the connection.
    pub(crate) async fn connect<C: Connector>(
        builder: Builder,
        connector: C,
    ) -> Result<Self, ConnectError> {
        let connection = connector.connect().await?;
        let (request_sender, requests) = mpsc::channel(REQUESTS_MAX);
        let (event_sender, events) = mpsc::channel(builder.queue_len());
        let driver = Driver {
            connector,
            session: Session::new(builder.snapshot, builder.on_lag),
            silence_max: builder.silence_max(),
            backoff: builder.backoff,
            requests,
            events: event_sender,
            undelivered: Vec::new(),
        };
        let task = tokio::spawn(driver.run(connection));
        Ok(Self {
            requests: request_sender,
            events,
            message: Vec::new().into_iter(),
            requested: 0,
            task,
        })
    }

    /// Returns the next event, or `None` when the stream has ended: the connection was lost, and
    /// reconnecting is off or cannot help.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses no event.
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

    /// Subscribes to every tick of these names from now on. After a lost connection the client
    /// subscribes again and continues after the last tick.
    ///
    /// Returns the number of this request, which [`Event::Subscribed`] and [`Event::Error`] repeat.
    /// The hub answers once for every 20,000 names.
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
    /// Cancel safe: if the future is dropped before it completes, nothing has been requested.
    ///
    /// # Errors
    /// Fails if the client has ended.
    pub async fn subscribe(&mut self, names: SubscriptionSet) -> Result<u64, ClientEnded> {
        self.subscribe_as(names, Delivery::Every).await
    }

    /// Subscribes to these names with a delivery: every tick, or only the newest of each topic.
    /// Names that are subscribed to already change their delivery. A symbol takes precedence over
    /// `"*"`. Returns the number of this request, as [`Client::subscribe`] does.
    ///
    /// ```no_run
    /// # async fn example(client: &mut tickwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tickwire_client::{Channel, Delivery, MaxRate, names};
    ///
    /// // A screen that shows four values a second needs no more than that.
    /// let max_rate = Some(MaxRate::per_second(4.0)?);
    /// let quotes = names(&[Channel::Quotes], ["*"])?;
    /// client.subscribe_as(quotes, Delivery::Latest { max_rate }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped before it completes, nothing has been requested.
    ///
    /// # Errors
    /// Fails if the client has ended.
    pub async fn subscribe_as(
        &mut self,
        names: SubscriptionSet,
        delivery: Delivery,
    ) -> Result<u64, ClientEnded> {
        let options = SubscribeOptions { delivery, start: Start::Now };
        self.request(Change::Subscribe(options), names).await
    }

    /// Subscribes to every tick of these names after a position that [`Event::Position`] has
    /// reported, perhaps to an earlier run of the application.
    ///
    /// [`Event::Gap`] reports ticks that the hub no longer has. If the hub has a new epoch, the
    /// names start with a snapshot. A name that is already subscribed to does not change. For a
    /// symbol that only `"*"` covers so far, ticks that were already delivered are not delivered
    /// again. Returns the number of this request, as [`Client::subscribe`] does.
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
    ///         // Store it together with the results of the ticks, so that none counts twice.
    ///         Event::Position(position) => std::fs::write("position", position.to_string())?,
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped before it completes, nothing has been requested.
    ///
    /// # Errors
    /// Fails if the client has ended.
    pub async fn resume(
        &mut self,
        names: SubscriptionSet,
        position: &Position,
    ) -> Result<u64, ClientEnded> {
        self.request_every(names, Start::After(position.clone())).await
    }

    /// Replays what the hub's history has of these names and continues with every live tick,
    /// without gap or repetition in between.
    ///
    /// A replay at a finite speed requires that the client has no other names of delivery `every`.
    /// All its names are in one command, so that they are replayed together. If the connection is
    /// lost during the replay, the hub sends the rest at full speed. [`Event::Subscribed`] contains
    /// the time at which the replay really starts. Returns the number of this request, as
    /// [`Client::subscribe`] does.
    ///
    /// ```no_run
    /// # async fn example(client: &mut tickwire_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tickwire_client::{Channel, Replay, ReplaySpeed, names};
    ///
    /// // Replay five minutes at 20x, then continue live.
    /// let replay = Replay { from: "-5m".parse()?, speed: ReplaySpeed::factor(20.0)? };
    /// client.subscribe_from(names(&[Channel::Trades], ["AAPL"])?, replay).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped before it completes, nothing has been requested.
    ///
    /// # Errors
    /// Fails if the client has ended, or the names do not fit the one command of a replay at a
    /// finite speed.
    pub async fn subscribe_from(
        &mut self,
        names: SubscriptionSet,
        replay: Replay,
    ) -> Result<u64, ReplayError> {
        if replay.speed != ReplaySpeed::Max {
            let bytes = command_bytes(&names);
            let bytes_max = COMMAND_BYTES_MAX;
            if bytes > bytes_max {
                return Err(ReplayError::TooLong { names: names.total(), bytes, bytes_max });
            }
        }
        Ok(self.request_every(names, Start::Replay(replay)).await?)
    }

    async fn request_every(
        &mut self,
        names: SubscriptionSet,
        start: Start,
    ) -> Result<u64, ClientEnded> {
        let options = SubscribeOptions { delivery: Delivery::Every, start };
        self.request(Change::Subscribe(options), names).await
    }

    /// Unsubscribes from these names. Ticks that are on their way are still delivered. Returns the
    /// number of this request, as [`Client::subscribe`] does.
    ///
    /// # Cancel safety
    /// Cancel safe: if the future is dropped before it completes, nothing has been requested.
    ///
    /// # Errors
    /// Fails if the client has ended.
    pub async fn unsubscribe(&mut self, names: SubscriptionSet) -> Result<u64, ClientEnded> {
        self.request(Change::Unsubscribe, names).await
    }

    async fn request(
        &mut self,
        change: Change,
        names: SubscriptionSet,
    ) -> Result<u64, ClientEnded> {
        let room = self.requests.reserve().await.map_err(|_| ClientEnded)?;
        self.requested += 1;
        room.send(Request { id: self.requested, change, names });
        Ok(self.requested)
    }

    /// Closes the connection with a close frame and waits for its end, at most one second.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the closing to the client's task, as dropping the client does.
    pub async fn close(self) {
        let Self { requests, events, task, .. } = self;
        drop((requests, events));
        // The task returns nothing; if it has panicked, there is nothing left to close.
        let _ = task.await;
    }
}

impl Stream for Client {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(context)
    }
}
