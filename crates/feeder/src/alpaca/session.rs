//! What is said with an upstream, without the connection: frames in, frames and ticks out.
//!
//! It lives over all connections. Who drives it says when one is open ([`Session::opened`]), gives it
//! what comes ([`Session::hear`]), calls [`Session::due`] a few times a second, sends what
//! [`Session::take_outbox`] has after each of these, and after the connection asks how long to stay
//! away ([`Session::ended`]).

mod silence;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tickwire_protocol::{
    Command, Control, Credentials, Element, Encoding, ErrorCode, Seq, SourceReport, Tick,
    UnixNanos, decode_alpaca_stream,
};

use super::hours::MarketHours;
use super::names::NameSet;
use super::retry::{End, Retry};
use super::subscriber::Subscriber;
use silence::Silence;
use status::Status;

/// How long the upstream may take to greet, and to answer a login.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// After a ping something has to come within this time.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// So many unreadable messages in a row are not an accident.
const GARBAGE_MAX: u32 = 10;

/// What came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frame<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
    /// A ping or a pong: somebody is there.
    Sign,
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Say {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Away,
    /// Open since then: the upstream has to greet.
    Greeted(UnixNanos),
    /// The login was sent then.
    LoggingIn(UnixNanos),
    /// Logged in since then.
    Ready(UnixNanos),
}

/// When an upstream is taken for dead, and who logs in.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) upstream: String,
    pub(super) credentials: Credentials,
    /// Silence for so long, while the market is open, ends a connection; `None`: it never does.
    pub(super) data_timeout: Option<Duration>,
    pub(super) hours: MarketHours,
}

/// The relay's side of the protocol.
#[derive(Debug)]
pub(super) struct Session {
    credentials: Credentials,
    subscriber: Subscriber,
    stage: Stage,
    /// How commands are spelled: as the upstream has spoken.
    encoding: Encoding,
    outbox: Vec<Say>,
    pinged: Option<UnixNanos>,
    next_ping: UnixNanos,
    silence: Silence,
    garbage: u32,
    retry: Retry,
    status: Status,
}

impl Session {
    pub(super) fn new(rules: Rules, subscriber: Subscriber) -> Self {
        Self {
            status: Status::new(&rules.upstream),
            silence: Silence::new(rules.data_timeout, rules.hours),
            credentials: rules.credentials,
            subscriber,
            stage: Stage::Away,
            encoding: Encoding::MsgpackMap,
            outbox: Vec::new(),
            pinged: None,
            next_ping: UnixNanos(0),
            garbage: 0,
            retry: Retry::new(),
        }
    }

    /// A connection is open.
    pub(super) fn opened(&mut self, now: UnixNanos) {
        self.stage = Stage::Greeted(now);
        self.encoding = Encoding::MsgpackMap;
        self.outbox.clear();
        self.pinged = None;
        self.next_ping = now + PING_INTERVAL;
        self.garbage = 0;
        self.subscriber.begin();
        self.status.opened();
    }

    /// The hub's subscribers want these names.
    pub(super) fn want(&mut self, demanded: &NameSet, now: UnixNanos) {
        self.subscriber.want(demanded, now);
    }

    /// Takes what the upstream says; returns the ticks in it.
    pub(super) fn hear(&mut self, frame: Frame<'_>, now: UnixNanos) -> Result<Vec<Tick>, End> {
        self.pinged = None;
        let (bytes, encoding) = match frame {
            Frame::Text(bytes) => (bytes, Encoding::Json),
            Frame::Binary(bytes) => (bytes, Encoding::MsgpackMap),
            Frame::Sign => return Ok(Vec::new()),
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
        let said = format!("{GARBAGE_MAX} messages in a row cannot be read; the last: {problem}");
        Err(End::Lost(said))
    }

    fn control(&mut self, control: Control, encoding: Encoding, now: UnixNanos) -> Result<(), End> {
        match control {
            Control::Connected { .. } if matches!(self.stage, Stage::Greeted(_)) => {
                self.encoding = encoding;
                self.stage = Stage::LoggingIn(now);
                self.say(&Command::Auth(self.credentials.clone()));
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
        if matches!(self.stage, Stage::Greeted(_) | Stage::LoggingIn(_)) {
            self.stage = Stage::Ready(now);
            self.silence.begin(now);
            self.ask(now);
        }
    }

    fn fault(&mut self, code: ErrorCode, detail: Option<&str>, now: UnixNanos) -> Result<(), End> {
        use ErrorCode as E;
        let ready = matches!(self.stage, Stage::Ready(_));
        let more = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
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
                End::Refused(format!("the key is not allowed this feed {said}"))
            }
            E::InsufficientScope => {
                End::Refused(format!("the token is not allowed to stream {said}"))
            }
            E::ConnectionLimit => {
                End::Occupied(format!("somebody else holds this key's only connection {said}"))
            }
            E::SlowClient => End::Lost(format!("this relay reads too slowly {said}")),
            _ if ready => End::Lost(format!("the upstream ended it {said}")),
            _ => End::Lost(format!("the upstream refused the login {said}")),
        })
    }

    /// What time brings: pings, requests, and the end of an upstream that does not answer.
    pub(super) fn due(&mut self, now: UnixNanos) -> Result<(), End> {
        let late = |since: UnixNanos| now.since(since) >= ANSWER_TIMEOUT;
        let seconds = ANSWER_TIMEOUT.as_secs();
        match self.stage {
            Stage::Away => return Ok(()),
            Stage::Greeted(since) if late(since) => {
                return Err(End::Lost(format!("no greeting within {seconds} s")));
            }
            Stage::LoggingIn(since) if late(since) => {
                return Err(End::Lost(format!("no answer to the login within {seconds} s")));
            }
            Stage::Greeted(_) | Stage::LoggingIn(_) => {}
            Stage::Ready(_) => {
                if self.subscriber.is_overdue(now) {
                    let said = "no answer to a change of what is subscribed";
                    return Err(End::Lost(said.to_owned()));
                }
                self.ask(now);
                let quiet = self.silence.check(&self.subscriber, now).map_err(End::Lost)?;
                self.status.set_quiet(quiet);
            }
        }
        self.ping(now)
    }

    fn ping(&mut self, now: UnixNanos) -> Result<(), End> {
        if self.pinged.is_some_and(|pinged| now.since(pinged) >= PONG_TIMEOUT) {
            let seconds = PONG_TIMEOUT.as_secs();
            return Err(End::Lost(format!("no answer to a ping within {seconds} s")));
        }
        if now >= self.next_ping && self.pinged.is_none() {
            self.pinged = Some(now);
            self.next_ping = now + PING_INTERVAL;
            self.outbox.push(Say::Ping);
        }
        Ok(())
    }

    /// Asks for what is not subscribed yet, unless an answer is still to come.
    fn ask(&mut self, now: UnixNanos) {
        if let Some(command) = self.subscriber.ask(now) {
            self.say(&command);
        }
        if !self.subscriber.is_waiting() {
            self.status.settled();
        }
        self.status.set_detail(self.subscriber.describe());
    }

    fn say(&mut self, command: &Command) {
        let mut bytes = Vec::new();
        self.outbox.push(if self.encoding.is_binary() {
            command.write_msgpack(&mut bytes);
            Say::Binary(bytes)
        } else {
            command.write_json(&mut bytes);
            Say::Text(bytes)
        });
    }

    /// What is to be sent, in order.
    pub(super) fn take_outbox(&mut self) -> Vec<Say> {
        std::mem::take(&mut self.outbox)
    }

    /// There is no connection, or no longer. Returns how long to stay away; `chance` is uniform from 0
    /// to 1.
    pub(super) fn ended(&mut self, end: &End, now: UnixNanos, chance: f64) -> Duration {
        let ready = match self.stage {
            Stage::Ready(since) => Some(since),
            _ => None,
        };
        self.stage = Stage::Away;
        let wait = self.retry.wait(end, ready, now, chance);
        self.status.ended(end.reason(), wait);
        wait
    }

    /// How it is now, for people and the hub.
    pub(super) fn report(&self) -> SourceReport {
        self.status.report()
    }

    /// The same, if it is time to tell.
    pub(super) fn news(&mut self, now: UnixNanos) -> Option<SourceReport> {
        self.status.news(now)
    }

    /// How many names the upstream does not give; `None` while that is being found out.
    pub(super) fn refused(&self) -> Option<usize> {
        (!self.subscriber.is_waiting()).then(|| self.subscriber.refused())
    }
}
