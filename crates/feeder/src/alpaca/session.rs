//! The protocol with an upstream, without I/O: frames in, frames and ticks out.
//!
//! One session spans all connections. Its driver calls [`Session::opened`] for each new connection,
//! [`Session::on_frame`] for each received frame and [`Session::on_timer`] a few times a second.
//! After each of these it sends the frames of [`Session::take_outbox`]. At the end of a connection
//! [`Session::ended`] returns the delay before the next one.

mod silence;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tickwire_protocol::{
    Command, Control, Credentials, Element, Encoding, ErrorCode, Printable, Seq, SourceReport,
    Tick, UnixNanos, decode_alpaca_stream,
};

use super::hours::MarketHours;
use super::names::Demand;
use super::retry::{End, Retry};
use super::subscriber::Subscriber;
use silence::Silence;
use status::Status;

/// Time limit for the upstream's greeting and its answer to the login.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Least time between two runs of the timer that means that the process was suspended.
const SUSPENSION_MIN: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Time limit for the next frame of any kind after a ping was sent.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of consecutive malformed messages after which the connection is replaced.
const GARBAGE_MAX: u32 = 10;

/// A received frame.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frame<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
    /// A ping or a pong, which shows that the peer is alive.
    KeepAlive,
}

/// A frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outbound {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping,
}

/// The stage of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Disconnected,
    /// Open since this time; the upstream has not sent its greeting yet.
    AwaitingGreeting(UnixNanos),
    /// The login was sent at this time.
    LoggingIn(UnixNanos),
    /// Authenticated since this time.
    Ready(UnixNanos),
}

/// Settings of a session.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) upstream: String,
    pub(super) credentials: Credentials,
    /// Time without ticks, while the market is open, after which the connection is replaced;
    /// `None`: never.
    pub(super) data_timeout: Option<Duration>,
    pub(super) hours: MarketHours,
}

/// The relay's side of the protocol with the upstream, across all connections.
#[derive(Debug)]
pub(super) struct Session {
    credentials: Credentials,
    subscriber: Subscriber,
    stage: Stage,
    /// Encoding of the commands that the relay sends: the encoding of the upstream's greeting.
    encoding: Encoding,
    outbox: Vec<Outbound>,
    pinged: Option<UnixNanos>,
    next_ping: UnixNanos,
    silence: Silence,
    garbage: u32,
    retry: Retry,
    status: Status,
    /// When the timer ran last.
    timer_ran: UnixNanos,
}

impl Session {
    pub(super) fn new(rules: Rules, subscriber: Subscriber) -> Self {
        Self {
            status: Status::new(&rules.upstream),
            silence: Silence::new(rules.data_timeout, rules.hours),
            credentials: rules.credentials,
            subscriber,
            stage: Stage::Disconnected,
            encoding: Encoding::MsgpackMap,
            outbox: Vec::new(),
            pinged: None,
            next_ping: UnixNanos(0),
            garbage: 0,
            retry: Retry::new(),
            timer_ran: UnixNanos(0),
        }
    }

    /// Handles a new connection.
    pub(super) fn opened(&mut self, now: UnixNanos) {
        self.stage = Stage::AwaitingGreeting(now);
        self.timer_ran = now;
        self.encoding = Encoding::MsgpackMap;
        self.outbox.clear();
        self.pinged = None;
        self.next_ping = now + PING_INTERVAL;
        self.garbage = 0;
        self.subscriber.begin();
        self.status.opened();
    }

    /// Replaces the names that the hub's subscribers demand.
    pub(super) fn set_demand(&mut self, demand: &Demand, now: UnixNanos) {
        self.subscriber.set_demand(&demand.names, now);
        self.subscriber.set_clients(&demand.clients);
    }

    /// Handles a received frame. Returns the ticks that it contains.
    pub(super) fn on_frame(&mut self, frame: Frame<'_>, now: UnixNanos) -> Result<Vec<Tick>, End> {
        self.pinged = None;
        let (bytes, encoding) = match frame {
            Frame::Text(bytes) => (bytes, Encoding::Json),
            Frame::Binary(bytes) => (bytes, Encoding::MsgpackMap),
            Frame::KeepAlive => return Ok(Vec::new()),
        };
        let elements = match decode_alpaca_stream(bytes, encoding) {
            Ok(elements) => elements,
            Err(error) => return self.unreadable(&error.to_string()).map(|()| Vec::new()),
        };
        if let Some(Err(error)) = elements.first()
            && elements.iter().all(Result::is_err)
        {
            return self.unreadable(&error.to_string()).map(|()| Vec::new());
        }
        self.garbage = 0;
        let mut ticks = Vec::with_capacity(elements.len());
        for element in elements {
            match element {
                Ok(Element::Tick(tick)) => ticks.push(Tick { seq: Seq(0), ..tick }),
                Ok(Element::Control(control)) => self.control(control, encoding, now)?,
                Err(_) => self.status.count_error(),
            }
        }
        if !ticks.is_empty() {
            self.silence.ticked(now);
            self.status.ticked(ticks.len());
        }
        Ok(ticks)
    }

    fn unreadable(&mut self, problem: &str) -> Result<(), End> {
        self.status.count_error();
        self.garbage += 1;
        if self.garbage < GARBAGE_MAX {
            return Ok(());
        }
        let said =
            format!("{GARBAGE_MAX} consecutive messages are unreadable; the last one: {problem}");
        Err(End::Lost(said))
    }

    fn control(&mut self, control: Control, encoding: Encoding, now: UnixNanos) -> Result<(), End> {
        match control {
            Control::Connected { .. } if matches!(self.stage, Stage::AwaitingGreeting(_)) => {
                self.encoding = encoding;
                self.stage = Stage::LoggingIn(now);
                self.push_command(&Command::Auth(self.credentials.clone()));
            }
            Control::Authenticated => self.logged_in(now),
            Control::Subscription { names, .. } if matches!(self.stage, Stage::Ready(_)) => {
                self.subscriber.confirmed(&names, now);
                self.ask(now);
            }
            Control::Error { code, detail, .. } => {
                return self.fault(code, detail.as_deref(), now);
            }
            _ => {}
        }
        Ok(())
    }

    fn logged_in(&mut self, now: UnixNanos) {
        if matches!(self.stage, Stage::AwaitingGreeting(_) | Stage::LoggingIn(_)) {
            self.stage = Stage::Ready(now);
            self.silence.begin(now);
            self.ask(now);
        }
    }

    fn fault(&mut self, code: ErrorCode, detail: Option<&str>, now: UnixNanos) -> Result<(), End> {
        use ErrorCode as E;
        let ready = matches!(self.stage, Stage::Ready(_));
        let more = detail.map(|detail| format!(": {}", Printable(detail))).unwrap_or_default();
        let said = format!("({} {}){more}", code.code(), code.msg());
        match code {
            E::AlreadyAuthenticated => {
                self.logged_in(now);
                return Ok(());
            }
            E::InvalidSyntax | E::SymbolLimit | E::InvalidAction if ready => {
                self.status.count_error();
                if self.subscriber.denied(code) {
                    self.ask(now);
                }
                return Ok(());
            }
            _ => {}
        }
        Err(match code {
            E::AuthFailed => End::Refused(format!("the upstream does not accept the key {said}")),
            E::InsufficientSubscription | E::PublisherReplaced => {
                End::Refused(format!("the key may not read this feed {said}"))
            }
            E::InsufficientScope => End::Refused(format!("the token may not stream {said}")),
            E::ConnectionLimit => End::Occupied(format!("another connection uses this key {said}")),
            E::SlowClient => End::Lost(format!("this relay reads too slowly {said}")),
            _ if ready => End::Lost(format!("the upstream ended the connection {said}")),
            _ => End::Lost(format!("the upstream refused the login {said}")),
        })
    }

    /// Handles the timer: sends pings and requests, and detects an upstream that does not answer.
    pub(super) fn on_timer(&mut self, now: UnixNanos) -> Result<(), End> {
        if now.since(self.timer_ran) >= SUSPENSION_MIN {
            self.on_suspension(now);
        }
        self.timer_ran = now;
        let late = |since: UnixNanos| now.since(since) >= ANSWER_TIMEOUT;
        let seconds = ANSWER_TIMEOUT.as_secs();
        match self.stage {
            Stage::Disconnected => return Ok(()),
            Stage::AwaitingGreeting(since) if late(since) => {
                return Err(End::Lost(format!("no greeting within {seconds} s")));
            }
            Stage::LoggingIn(since) if late(since) => {
                return Err(End::Lost(format!("no answer to the login within {seconds} s")));
            }
            Stage::AwaitingGreeting(_) | Stage::LoggingIn(_) => {}
            Stage::Ready(_) => {
                if self.subscriber.is_overdue(now) {
                    let said = "no answer to a change of subscriptions";
                    return Err(End::Lost(said.to_owned()));
                }
                self.ask(now);
                let quiet = self.silence.check(&self.subscriber, now).map_err(End::Lost)?;
                self.status.set_quiet(quiet);
            }
        }
        self.ping(now)
    }

    /// Restarts all waits. The process was suspended, such as in a paused container: what the
    /// upstream sent meanwhile is still to be read.
    fn on_suspension(&mut self, now: UnixNanos) {
        match &mut self.stage {
            Stage::AwaitingGreeting(since) | Stage::LoggingIn(since) => *since = now,
            Stage::Disconnected | Stage::Ready(_) => {}
        }
        self.pinged = self.pinged.map(|_| now);
        self.subscriber.on_suspension(now);
        self.silence.on_suspension(now);
    }

    fn ping(&mut self, now: UnixNanos) -> Result<(), End> {
        if self.pinged.is_some_and(|pinged| now.since(pinged) >= PONG_TIMEOUT) {
            let seconds = PONG_TIMEOUT.as_secs();
            return Err(End::Lost(format!("no answer to a ping within {seconds} s")));
        }
        if now >= self.next_ping && self.pinged.is_none() {
            self.pinged = Some(now);
            self.next_ping = now + PING_INTERVAL;
            self.outbox.push(Outbound::Ping);
        }
        Ok(())
    }

    /// Sends the next request to subscribe or unsubscribe, unless an answer is outstanding.
    fn ask(&mut self, now: UnixNanos) {
        if let Some(command) = self.subscriber.ask(now) {
            self.push_command(&command);
        }
        if !self.subscriber.is_waiting() {
            self.status.settled(self.subscriber.is_full());
        }
        self.status.set_detail(self.subscriber.describe());
    }

    fn push_command(&mut self, command: &Command) {
        let mut bytes = Vec::new();
        self.outbox.push(if self.encoding.is_binary() {
            command.write_msgpack(&mut bytes);
            Outbound::Binary(bytes)
        } else {
            command.write_json(&mut bytes);
            Outbound::Text(bytes)
        });
    }

    /// Takes the frames to send, in order.
    pub(super) fn take_outbox(&mut self) -> Vec<Outbound> {
        std::mem::take(&mut self.outbox)
    }

    /// Handles the end or failure of a connection. Returns the delay before the next one. `chance`
    /// is uniform from 0 to 1.
    pub(super) fn ended(&mut self, end: &End, now: UnixNanos, chance: f64) -> Duration {
        let ready = match self.stage {
            Stage::Ready(since) => Some(since),
            _ => None,
        };
        self.stage = Stage::Disconnected;
        let wait = self.retry.wait(end, ready, now, chance);
        self.status.ended(end.reason(), wait);
        wait
    }

    /// Returns the current report on the upstream.
    pub(super) fn report(&self) -> SourceReport {
        self.status.report()
    }

    /// Returns a report if one is due.
    pub(super) fn take_report(&mut self, now: UnixNanos) -> Option<SourceReport> {
        self.status.take_report(now)
    }

    /// Returns the number of names that the upstream refuses, or `None` while an answer is
    /// outstanding.
    pub(super) fn refused(&self) -> Option<usize> {
        (!self.subscriber.is_waiting()).then(|| self.subscriber.refused())
    }
}
