//! A publisher's WebSocket session.
//!
//! It decodes and counts the publisher's messages, hands their ticks to the router, and sends
//! acknowledgements, errors and demand.

mod demand_reporter;
mod end;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tickwire_protocol::{
    Command, Control, Encoding, ErrorCode, Printable, PublishRequest, PublishedMessage,
    SourceReport, decode_publish,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::access::admission::{PublisherLimiter, PublisherSlot};
use crate::access::keys::{Grant, KeySession};
use crate::clock;
use crate::config::Config;
use crate::fanout::{CloseReason, FeedId, PublisherToken};
use crate::ingest::handle::IngestHandle;
use crate::ingest::message::{Ingest, MessageNumber, Progress};
use crate::ingest::publisher_id::PublisherId;
use crate::metrics::{HubMetrics, Refused};
use crate::state::feeds::Feeds;
use crate::state::lifecycle::Lifecycle;
use crate::state::publisher_sessions::PublisherSessionId;
use crate::state::topic_registry::TopicRegistry;
use crate::suspension::IdleTimeout;
use crate::websocket::{
    CloseFrame, Message, MessageBudget, MessageError, Opcode, Payload, StreamError, WebSocket,
    write_close, write_frame,
};
use demand_reporter::{DemandReporter, due};

/// Time between acknowledgements while there is something to acknowledge; the contract allows 50
/// ms.
const ACK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a publisher may take to read a message.
const SEND_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a publisher may take for the closing handshake.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// The result of a step of a session: an error ends the session.
type Result<T, E = CloseReason> = std::result::Result<T, E>;

/// Handles to the parts of the hub that publisher sessions use.
#[derive(Debug)]
pub(crate) struct PublisherContext {
    pub(crate) config: Arc<Config>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) topics: Arc<TopicRegistry>,
    pub(crate) ingest: IngestHandle,
    pub(crate) limiter: Arc<PublisherLimiter>,
    /// The runtime of publisher sessions.
    pub(crate) runtime: Handle,
    pub(crate) metrics: Arc<HubMetrics>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) message_budget: Arc<MessageBudget>,
}

/// Serves a publisher until it leaves, is replaced or revoked, or the hub closes. Frees the
/// publisher slot then.
pub(crate) async fn run<S>(
    context: Arc<PublisherContext>,
    feed: FeedId,
    ws: WebSocket<S>,
    slot: PublisherSlot,
    grant: Grant,
    key: KeySession,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let status = context.feeds.get(feed);
    let listed = status.publishers.add(clock::wall());
    context.metrics.publishers.add(1);
    let (progress_sender, progress) = watch::channel(Progress::default());
    let mut session = Session {
        context: context.clone(),
        feed,
        listed,
        grant,
        key,
        slot,
        is_silent: true,
        ws,
        encoding: Encoding::Json,
        acknowledged: None,
        demand_reporter: None,
        no_bars: false,
        progress_sender,
        progress,
        reported: Progress::default(),
    };
    let reason = session.serve().await;
    tracing::info!(feed = %status.name, end = reason.label(), "publisher left");
    session.end(reason).await;
    context.metrics.publishers.sub(1);
    status.publishers.remove(listed);
}

struct Session<S> {
    context: Arc<PublisherContext>,
    feed: FeedId,
    /// This session in the list of the feed's publishers.
    listed: PublisherSessionId,
    /// The rights of the publisher's key.
    grant: Grant,
    /// This session in the list of its key's sessions.
    key: KeySession,
    /// This session's place among the publishers of the hub.
    slot: PublisherSlot,
    /// Whether the publisher has sent no message so far.
    is_silent: bool,
    ws: WebSocket<S>,
    /// Encoding of answers: that of the publisher's last message.
    encoding: Encoding,
    /// Set once the publisher has asked for acknowledgements.
    acknowledged: Option<Acknowledged>,
    /// Set once the publisher has asked for demand.
    demand_reporter: Option<DemandReporter>,
    /// Whether the publisher has asked that no bars are made.
    no_bars: bool,
    progress_sender: watch::Sender<Progress>,
    progress: watch::Receiver<Progress>,
    /// Progress that the publisher has been sent.
    reported: Progress,
}

/// State of acknowledged publishing.
struct Acknowledged {
    id: PublisherId,
    token: PublisherToken,
    /// Number of the last data message received.
    number: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Exchanges messages with the publisher until the session ends.
    async fn serve(&mut self) -> CloseReason {
        match self.serve_until_end().await {
            Ok(never) => match never {},
            Err(reason) => reason,
        }
    }

    async fn serve_until_end(&mut self) -> Result<Infallible> {
        let closing = self.context.lifecycle.closing().clone();
        let config = &self.context.config;
        let now = clock::monotonic();
        let mut idle = IdleTimeout::new(config.idle_timeout, config.ping_interval, now);
        let mut ping = tokio::time::interval(config.ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        loop {
            tokio::select! {
                message = self.ws.read() => {
                    idle.on_input(clock::monotonic());
                    self.on_message(message).await?;
                }
                changed = self.progress.changed() => {
                    changed.map_err(|_| CloseReason::Shutdown)?;
                    self.send_progress().await?;
                    // One acknowledgement covers the progress made meanwhile.
                    self.read_for(ACK_INTERVAL, &mut idle).await?;
                }
                () = due(self.demand_reporter.as_ref()) => self.send_demand_changes().await?,
                _ = ping.tick() => {
                    idle.on_input(self.ws.last_received());
                    if idle.check(clock::monotonic()) {
                        return Err(CloseReason::Silent);
                    }
                    self.send(Opcode::Ping, &[]).await?;
                }
                () = closing.cancelled() => return Err(CloseReason::Shutdown),
                () = self.key.until_closed() => return Err(CloseReason::Revoked),
                () = self.slot.taken() => return Err(CloseReason::TooManyPublishers),
            }
        }
    }

    /// Reads messages for the duration `time` without sending progress, so that acknowledgements
    /// gather.
    async fn read_for(&mut self, time: Duration, idle: &mut IdleTimeout) -> Result<()> {
        let pause = tokio::time::sleep(time);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                message = self.ws.read() => {
                    idle.on_input(clock::monotonic());
                    self.on_message(message).await?;
                }
            }
        }
    }

    async fn on_message(&mut self, message: Result<Message, StreamError>) -> Result<()> {
        match message {
            Ok(Message::Text(payload)) => {
                self.encoding = Encoding::Json;
                self.on_payload(payload).await
            }
            Ok(Message::Binary(payload)) => {
                self.encoding = Encoding::MsgpackArray;
                self.on_payload(payload).await
            }
            Ok(Message::Ping(payload)) => self.send(Opcode::Pong, &payload).await,
            Ok(Message::Pong) => Ok(()),
            Ok(Message::Close(frame)) => {
                self.answer_close(frame.as_ref()).await;
                Err(CloseReason::PeerClosed)
            }
            Err(StreamError::Ended(error)) => {
                tracing::debug!(%error, "the connection of a publisher ended");
                Err(CloseReason::PeerClosed)
            }
            Err(StreamError::Message(error)) => {
                self.context.metrics.refuse(refused(error), 1);
                Err(error.into())
            }
        }
    }

    /// Answers the publisher's close frame. The publisher leaves, whether it reads the answer or
    /// not.
    async fn answer_close(&mut self, frame: Option<&CloseFrame>) {
        let mut bytes = Vec::new();
        write_close(frame, &mut bytes);
        let _gone = tokio::time::timeout(CLOSE_TIME_MAX, self.ws.write(&bytes)).await;
    }

    async fn on_payload(&mut self, payload: Payload) -> Result<()> {
        if std::mem::take(&mut self.is_silent) {
            self.slot.note_message();
        }
        let bytes = &payload.bytes;
        self.context.metrics.publisher_bytes.add(bytes.len() as u64);
        if is_command(bytes, self.encoding) {
            return self.on_command(bytes).await;
        }
        let decoded = decode_publish(bytes, self.encoding, self.context.config.publish_ticks_max);
        drop(payload); // the router may make the publisher wait
        let published = match decoded {
            Ok(published) => published,
            Err(error) => {
                // The message is lost but counted: both sides number every data message.
                self.hand_to_router(PublishedMessage::default()).await?;
                return self.refuse(ErrorCode::InvalidSyntax, error.to_string()).await;
            }
        };
        if let Err(detail) = self.grant.check_published(&published.ticks) {
            // Lost but counted, like a malformed message.
            self.hand_to_router(PublishedMessage::default()).await?;
            self.context.metrics.refuse(Refused::Token, 1);
            return self.refuse(ErrorCode::SymbolLimit, detail).await;
        }
        self.hand_to_router(published).await
    }

    async fn hand_to_router(&mut self, published: PublishedMessage) -> Result<()> {
        let permit = self.reserve(published.ticks.len()).await?;
        let PublishedMessage { ticks, mark, lost } = published;
        let numbered = self.acknowledged.as_mut().map(|session| {
            session.number += 1;
            MessageNumber {
                id: session.id.clone(),
                token: session.token,
                number: session.number,
                mark,
            }
        });
        let progress = numbered.is_none().then(|| self.progress_sender.clone());
        let feed = self.feed;
        let message = Ingest::Ticks { feed, ticks, lost, numbered, progress, done: None, permit };
        Ok(self.context.ingest.send(message).await?)
    }

    /// Waits until the router can take some more ticks. This wait is the back-pressure on
    /// publishers; progress is sent meanwhile.
    async fn reserve(&mut self, ticks: usize) -> Result<OwnedSemaphorePermit> {
        let context = self.context.clone();
        let reserved = context.ingest.reserve(ticks);
        tokio::pin!(reserved);
        loop {
            tokio::select! {
                permit = &mut reserved => return Ok(permit?),
                changed = self.progress.changed() => {
                    changed.map_err(|_| CloseReason::Shutdown)?;
                    self.send_progress().await?;
                }
            }
        }
    }

    async fn on_command(&mut self, bytes: &[u8]) -> Result<()> {
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
                let detail = "a report must follow the publish command".to_owned();
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

    /// Starts acknowledged publishing.
    async fn open(&mut self, publish: PublishRequest) -> Result<()> {
        let name: Arc<str> = publish.publisher.into();
        let status = self.context.feeds.get(self.feed);
        let id = PublisherId::new(&status.name, &name);
        let (opened, answer) = oneshot::channel();
        let progress = self.progress_sender.clone();
        let owner = self.grant.owner();
        let message = Ingest::Open { id: id.clone(), owner, progress, opened };
        self.context.ingest.send(message).await?;
        let opened =
            answer.await.map_err(|_| match self.context.lifecycle.closing().is_cancelled() {
                true => CloseReason::Shutdown,
                false => CloseReason::TooManyPublishers,
            })?;
        let Ok(opened) = opened else {
            self.context.metrics.refuse(Refused::Token, 1);
            let detail =
                "this publisher id belongs to another key: expected that key or another id";
            self.refuse(ErrorCode::InsufficientSubscription, detail.to_owned()).await?;
            return Err(CloseReason::NotAllowed);
        };
        tracing::info!(feed = %status.name, publisher = %Printable(&name), last = opened.last, "publisher starts");
        status.publishers.set_publisher(self.listed, &name);
        self.acknowledged = Some(Acknowledged { id, token: opened.token, number: opened.last });
        self.reported.up_to = opened.last;
        self.send_control(&Control::Publishing { last: opened.last, mark: opened.mark }).await?;
        if publish.demand { self.start_demand_reports().await } else { Ok(()) }
    }

    /// Stores the publisher's report about its upstream.
    async fn report(&mut self, report: SourceReport) -> Result<()> {
        let feed = self.feed;
        let no_bars = report.no_bars;
        if let Some(reporter) = &mut self.demand_reporter {
            reporter.set_full(report.is_full);
        }
        self.context.feeds.get(feed).publishers.set_report(self.listed, report, clock::wall());
        if no_bars && !std::mem::replace(&mut self.no_bars, true) {
            // Through the queue of ticks: it applies to the ticks sent after the report.
            let message = Ingest::NoBars { feed };
            self.context.ingest.send(message).await?;
        }
        Ok(())
    }

    /// Sends the progress since the last call: refused ticks, and an acknowledgement.
    async fn send_progress(&mut self) -> Result<()> {
        let progress = *self.progress.borrow_and_update();
        if progress.refused > self.reported.refused {
            let limit = self.context.config.topics_max;
            let count = progress.refused - self.reported.refused;
            let detail =
                format!("{count} ticks refused: the hub has {limit} topics, the most allowed");
            self.refuse(ErrorCode::SymbolLimit, detail).await?;
        }
        if progress.up_to > self.reported.up_to {
            self.send_control(&Control::Ack {
                up_to: progress.up_to,
                durable: self.context.ingest.is_durable(),
            })
            .await?;
        }
        self.reported = progress;
        if progress.fenced { Err(CloseReason::Replaced) } else { Ok(()) }
    }

    /// Sends an error.
    async fn refuse(&mut self, code: ErrorCode, detail: String) -> Result<()> {
        if code == ErrorCode::InvalidSyntax {
            self.context.metrics.refuse(Refused::Syntax, 1);
        }
        self.send_control(&Control::Error { code, detail: Some(detail), id: None }).await
    }

    async fn send_control(&mut self, control: &Control) -> Result<()> {
        let mut bytes = Vec::new();
        control.write_message(self.encoding, &mut bytes);
        let opcode = if self.encoding.is_binary() { Opcode::Binary } else { Opcode::Text };
        self.send(opcode, &bytes).await
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 10);
        write_frame(opcode, payload, &mut frame);
        match tokio::time::timeout(SEND_TIME_MAX, self.ws.write(&frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CloseReason::PeerClosed),
            Err(_) => Err(CloseReason::Silent),
        }
    }
}

/// Returns how an error in a publisher's messages is counted.
const fn refused(error: MessageError) -> Refused {
    match error {
        MessageError::Protocol | MessageError::NotUtf8 => Refused::Syntax,
        MessageError::TooBig => Refused::TooBig,
        MessageError::Overdue => Refused::MessageTimeout,
        MessageError::Evicted => Refused::MessageMemory,
    }
}

/// Returns whether a message is a command, which is a map. Data messages are arrays.
fn is_command(bytes: &[u8], encoding: Encoding) -> bool {
    match encoding {
        Encoding::MsgpackArray | Encoding::MsgpackMap => {
            matches!(bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf))
        }
        Encoding::Json => bytes.trim_ascii_start().first() == Some(&b'{'),
    }
}
