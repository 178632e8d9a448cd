//! A publisher's session: reads, checks and counts its messages, hands the ticks to the router, and
//! tells the publisher how far they have come.

mod demanding;
mod end;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tickwire_protocol::{
    Command, Control, Encoding, ErrorCode, PublishRequest, PublishedMessage, SourceReport,
    decode_publish,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tungstenite::{Error, Message};

use crate::access::keys::KeySession;
use crate::clock;
use crate::config::Config;
use crate::fanout::{FeedId, PublisherToken};
use crate::ingest::handle::IngestHandle;
use crate::ingest::message::{Ingest, MessageNumber, Progress};
use crate::ingest::publisher_id::PublisherId;
use crate::metrics::{HubMetrics, Refused};
use crate::state::feeds::Feeds;
use crate::state::lifecycle::Lifecycle;
use crate::state::sources::SourceId;
use crate::state::topic_registry::TopicRegistry;
use demanding::{Demanding, due};
use end::End;

/// Time between acknowledgements while there is something to acknowledge; the contract allows 50 ms.
const ACK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a publisher may take to read what it is told.
const SEND_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a publisher may take over the closing handshake.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);

/// What publisher sessions share with the rest of the hub.
#[derive(Debug)]
pub(crate) struct PublisherContext {
    pub(crate) config: Arc<Config>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) topics: Arc<TopicRegistry>,
    pub(crate) ingest: IngestHandle,
    pub(crate) metrics: Arc<HubMetrics>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

/// Serves a publisher until it leaves, is replaced, or the hub stops; then its place is free again.
pub(crate) async fn run<S>(
    context: Arc<PublisherContext>,
    feed: FeedId,
    ws: WebSocketStream<S>,
    slot: OwnedSemaphorePermit,
    key: KeySession,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let status = context.feeds.get(feed);
    let source = status.sources.enter(clock::wall());
    context.metrics.publishers.add(1);
    let (progress_sender, progress) = watch::channel(Progress::default());
    let mut session = Session {
        context: context.clone(),
        feed,
        source,
        key,
        ws,
        encoding: Encoding::Json,
        acknowledged: None,
        demanding: None,
        no_bars: false,
        progress_sender,
        progress,
        told: Progress::default(),
    };
    let end = session.serve().await;
    tracing::info!(feed = %status.name, end = end.label(), "publisher left");
    session.leave(end).await;
    drop(slot);
    context.metrics.publishers.sub(1);
    status.sources.leave(source);
}

struct Session<S> {
    context: Arc<PublisherContext>,
    feed: FeedId,
    /// Its place among the publishers of the feed.
    source: SourceId,
    /// Its place at its key.
    key: KeySession,
    ws: WebSocketStream<S>,
    /// What it is answered in: that of its last message.
    encoding: Encoding,
    /// Set once it has asked for acknowledged publishing.
    acknowledged: Option<Acknowledged>,
    /// Set once it has asked to be told what is wanted.
    demanding: Option<Demanding>,
    /// Whether it has said that no bars are to be made.
    no_bars: bool,
    progress_sender: watch::Sender<Progress>,
    progress: watch::Receiver<Progress>,
    /// What it has been told of its progress.
    told: Progress,
}

struct Acknowledged {
    id: PublisherId,
    token: PublisherToken,
    /// Number of the last data message received.
    number: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn serve(&mut self) -> End {
        match self.exchange().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn exchange(&mut self) -> Result<std::convert::Infallible, End> {
        let closing = self.context.lifecycle.closing().clone();
        let config = &self.context.config;
        let (ping_interval, silent_max) = (config.ping_interval, config.idle_timeout);
        let mut heard = clock::monotonic();
        let mut ping = tokio::time::interval(ping_interval);
        ping.reset();
        loop {
            tokio::select! {
                message = self.ws.next() => {
                    heard = clock::monotonic();
                    self.message(message).await?;
                }
                changed = self.progress.changed() => {
                    changed.map_err(|_| End::Shutdown)?;
                    self.tell_progress().await?;
                    // Progress made meanwhile is told in one acknowledgement.
                    self.read_for(ACK_INTERVAL, &mut heard).await?;
                }
                () = due(self.demanding.as_ref()) => self.tell_changed_demand().await?,
                _ = ping.tick() => {
                    if clock::monotonic() - heard > silent_max {
                        return Err(End::Silent);
                    }
                    self.send(Message::Ping(Vec::new().into())).await?;
                }
                () = closing.cancelled() => return Err(End::Shutdown),
                () = self.key.until_closed() => return Err(End::Revoked),
            }
        }
    }

    /// Goes on reading for a while without telling progress.
    async fn read_for(&mut self, time: Duration, heard: &mut Instant) -> Result<(), End> {
        let pause = tokio::time::sleep(time);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                message = self.ws.next() => {
                    *heard = clock::monotonic();
                    self.message(message).await?;
                }
            }
        }
    }

    async fn message(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => {
                self.encoding = Encoding::Json;
                self.take(text.as_bytes()).await
            }
            Some(Ok(Message::Binary(bytes))) => {
                self.encoding = Encoding::MsgpackArray;
                self.take(&bytes).await
            }
            Some(Ok(Message::Close(_))) => {
                let answered = tokio::time::timeout(LEAVE_TIME_MAX, self.ws.flush());
                let _gone = answered.await; // it wants to leave in any case
                Err(End::Left)
            }
            None => Err(End::Left),
            Some(Ok(_)) => Ok(()),
            Some(Err(Error::Capacity(_))) => {
                self.context.metrics.refuse(Refused::TooBig, 1);
                Err(End::TooBig)
            }
            Some(Err(
                Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
                | Error::Io(_)
                | Error::ConnectionClosed,
            )) => Err(End::Left),
            Some(Err(error)) => {
                self.context.metrics.refuse(Refused::Syntax, 1);
                Err(if matches!(error, Error::Utf8(_)) { End::NotUtf8 } else { End::Protocol })
            }
        }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.context.metrics.publisher_bytes.add(bytes.len() as u64);
        if is_command(bytes, self.encoding) {
            return self.command(bytes).await;
        }
        let decoded = decode_publish(bytes, self.encoding, self.context.config.publish_ticks_max);
        let published = match decoded {
            Ok(published) => published,
            Err(error) => {
                // The message is lost, but it counts: both sides number every data message.
                self.hand_to_router(PublishedMessage::default()).await?;
                return self.refuse(ErrorCode::InvalidSyntax, error.to_string()).await;
            }
        };
        self.hand_to_router(published).await
    }

    async fn hand_to_router(&mut self, published: PublishedMessage) -> Result<(), End> {
        let permit = self.wait_for_room(published.ticks.len()).await?;
        let PublishedMessage { ticks, mark, lost } = published;
        let numbered = self.acknowledged.as_mut().map(|session| {
            session.number += 1;
            let (id, token, number) = (session.id.clone(), session.token, session.number);
            MessageNumber { id, token, number, mark }
        });
        let progress = numbered.is_none().then(|| self.progress_sender.clone());
        let feed = self.feed;
        let message = Ingest::Ticks { feed, ticks, lost, numbered, progress, done: None, permit };
        Ok(self.context.ingest.send(message).await?)
    }

    /// Waits for the router, telling progress meanwhile: that wait is what slows a publisher down.
    async fn wait_for_room(&mut self, ticks: usize) -> Result<OwnedSemaphorePermit, End> {
        let context = self.context.clone();
        let reserved = context.ingest.reserve(ticks);
        tokio::pin!(reserved);
        loop {
            tokio::select! {
                permit = &mut reserved => return Ok(permit?),
                changed = self.progress.changed() => {
                    changed.map_err(|_| End::Shutdown)?;
                    self.tell_progress().await?;
                }
            }
        }
    }

    async fn command(&mut self, bytes: &[u8]) -> Result<(), End> {
        let command = match self.encoding {
            Encoding::Json => Command::from_json(bytes),
            Encoding::MsgpackArray | Encoding::MsgpackMap => Command::from_msgpack(bytes),
        };
        match command {
            Ok(Command::Publish(_)) if self.acknowledged.is_some() => {
                self.refuse(ErrorCode::InvalidSyntax, "already publishing".to_owned()).await
            }
            Ok(Command::Publish(publish)) => self.open(publish).await,
            Ok(Command::Report(_)) if self.acknowledged.is_none() => {
                let detail = "a report comes behind the publisher's id".to_owned();
                self.refuse(ErrorCode::InvalidSyntax, detail).await
            }
            Ok(Command::Report(report)) => self.report(report).await,
            Ok(_) => {
                let detail = "subscribers connect to /ws".to_owned();
                self.refuse(ErrorCode::InvalidSyntax, detail).await
            }
            Err(error) => self.refuse(ErrorCode::InvalidSyntax, error.to_string()).await,
        }
    }

    async fn open(&mut self, publish: PublishRequest) -> Result<(), End> {
        let name: Arc<str> = publish.publisher.into();
        let status = self.context.feeds.get(self.feed);
        let id = PublisherId::new(&status.name, &name);
        let (opened, answer) = oneshot::channel();
        let progress = self.progress_sender.clone();
        let message = Ingest::Open { id: id.clone(), progress, opened };
        self.context.ingest.send(message).await?;
        let opened =
            answer.await.map_err(|_| match self.context.lifecycle.closing().is_cancelled() {
                true => End::Shutdown,
                false => End::TooManyPublishers,
            })?;
        tracing::info!(feed = %status.name, publisher = ?name, last = opened.last, "publisher begins");
        status.sources.name(self.source, &name);
        self.acknowledged = Some(Acknowledged { id, token: opened.token, number: opened.last });
        self.told.up_to = opened.last;
        self.tell(&Control::Publishing { last: opened.last, mark: opened.mark }).await?;
        if publish.demand { self.tell_demand().await } else { Ok(()) }
    }

    /// Takes note of how the place is where the ticks come from.
    async fn report(&mut self, report: SourceReport) -> Result<(), End> {
        let (feed, no_bars) = (self.feed, report.no_bars);
        self.context.feeds.get(feed).sources.report(self.source, report, clock::wall());
        if no_bars && !std::mem::replace(&mut self.no_bars, true) {
            // On the way of its ticks: those behind the report come after it.
            let message = Ingest::NoBars { feed };
            self.context.ingest.send(message).await?;
        }
        Ok(())
    }

    async fn tell_progress(&mut self) -> Result<(), End> {
        let progress = *self.progress.borrow_and_update();
        if progress.refused > self.told.refused {
            let limit = self.context.config.topics_max;
            let count = progress.refused - self.told.refused;
            let detail =
                format!("{count} ticks refused: the hub has {limit} topics, as many as it may");
            self.refuse(ErrorCode::SymbolLimit, detail).await?;
        }
        if progress.up_to > self.told.up_to {
            self.tell(&Control::Ack {
                up_to: progress.up_to,
                durable: self.context.ingest.is_durable(),
            })
            .await?;
        }
        self.told = progress;
        if progress.fenced { Err(End::Replaced) } else { Ok(()) }
    }

    async fn refuse(&mut self, code: ErrorCode, detail: String) -> Result<(), End> {
        if code == ErrorCode::InvalidSyntax {
            self.context.metrics.refuse(Refused::Syntax, 1);
        }
        self.tell(&Control::Error { code, detail: Some(detail), id: None }).await
    }

    async fn tell(&mut self, control: &Control) -> Result<(), End> {
        let mut bytes = Vec::new();
        control.write_message(self.encoding, &mut bytes);
        let message = match (self.encoding, String::from_utf8(bytes)) {
            (Encoding::Json, Ok(text)) => Message::Text(text.into()),
            (_, Ok(text)) => Message::Binary(text.into_bytes().into()),
            (_, Err(bytes)) => Message::Binary(bytes.into_bytes().into()),
        };
        self.send(message).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match tokio::time::timeout(SEND_TIME_MAX, self.ws.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Left),
            Err(_) => Err(End::Silent),
        }
    }
}

/// Whether a message is a command: a map, where data is an array.
fn is_command(bytes: &[u8], encoding: Encoding) -> bool {
    match encoding {
        Encoding::MsgpackArray | Encoding::MsgpackMap => {
            matches!(bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf))
        }
        Encoding::Json => bytes.trim_ascii_start().first() == Some(&b'{'),
    }
}
