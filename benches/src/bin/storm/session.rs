//! One client: builds its commands and checks what the hub sends. Does no I/O: bytes in, bytes out.

use std::time::Duration;

use tickwire_client::load::{MessageKind, TickScanner, scan_message};
use tickwire_protocol::{
    Control, Element, Encoding, ResumeOutcome, decode_message, requested_delay,
};
use tickwire_testkit::frames::{self, CLOSE, OPEN_BINARY, OPEN_TEXT, PING, PONG, first_frame};

use crate::universe::Universe;

/// Counts over all clients of a thread.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) ticks: u64,
    pub(crate) missing: u64,
    pub(crate) repeated: u64,
    pub(crate) gaps: u64,
    /// Number of resumes by outcome: complete, with gaps, new epoch.
    pub(crate) resumed: [u64; 3],
    /// Connections that the hub or an error ended.
    pub(crate) ended: u64,
    /// Delay of each tick after the time at which it was due, in nanoseconds, if delays are
    /// measured.
    pub(crate) delays_ns: Option<Vec<u64>>,
}

impl Tally {
    /// Adds the counts of another tally to this one, and resets the other.
    pub(crate) fn merge(&mut self, other: &mut Self) {
        let delays_ns = other.delays_ns.as_ref().map(|_| Vec::new());
        let Self { ticks, missing, repeated, gaps, resumed, ended, delays_ns: theirs } =
            std::mem::replace(other, Self { delays_ns, ..Self::default() });
        self.ticks += ticks;
        self.missing += missing;
        self.repeated += repeated;
        self.gaps += gaps;
        self.ended += ended;
        self.resumed.iter_mut().zip(resumed).for_each(|(sum, more)| *sum += more);
        if let Some(theirs) = theirs {
            self.delays_ns.get_or_insert_default().extend(theirs);
        }
    }
}

/// Progress of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    AwaitingEpoch,
    AwaitingAck,
    Streaming,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The hub drains and requests this delay before a reconnect.
    Drained(Duration),
    /// The connection ended in any other way.
    Broken,
}

/// One client over all its connections.
#[derive(Debug)]
pub(crate) struct Session {
    client: usize,
    stage: Stage,
    epoch: String,
    position: Option<u64>,
    /// Sequence number of the last tick of each symbol, 0 before the first.
    last: Box<[u64]>,
    /// Time of the last acknowledgement.
    acked_ns: u64,
    /// Whether a tick newer than the acknowledgement has arrived, so the client has caught up.
    live: bool,
    snapshot: bool,
    /// Bytes to be sent.
    pub(crate) out: Vec<u8>,
}

impl Session {
    pub(crate) fn new(client: usize, universe: &Universe) -> Self {
        Self {
            client,
            stage: Stage::Handshake,
            epoch: String::new(),
            position: None,
            last: vec![0; universe.names()].into(),
            acked_ns: 0,
            live: false,
            snapshot: false,
            out: Vec::new(),
        }
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.live
    }

    /// Notes that the connection has ended.
    pub(crate) const fn disconnected(&mut self) {
        self.live = false;
    }

    /// Starts a new connection: queues the handshake.
    pub(crate) fn connect(&mut self, hub: &str) {
        self.stage = Stage::Handshake;
        self.live = false;
        self.snapshot = false;
        self.out = format!(
            "GET /ws HTTP/1.1\r\nHost: {hub}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {}\r\n\r\n",
            Encoding::MSGPACK_SUBPROTOCOL,
        )
        .into_bytes();
    }

    /// Processes bytes received at `now_ns` and returns how many it consumed.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        universe: &Universe,
        tally: &mut Tally,
    ) -> Result<usize, End> {
        let mut used = 0;
        if self.stage == Stage::Handshake {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(0);
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                return Err(End::Broken);
            }
            self.stage = Stage::AwaitingEpoch;
            used = end + 4;
        }
        while let Some((first_byte, payload)) = first_frame(&bytes[used..]) {
            let message = &bytes[used..][payload.clone()];
            used += payload.end;
            match first_byte {
                OPEN_BINARY => match scan_message(message).map_err(|_malformed| End::Broken)? {
                    MessageKind::Ticks(ticks) => self.ticks(ticks, now_ns, universe, tally)?,
                    MessageKind::Control => self.control(message, now_ns, universe, tally)?,
                },
                CLOSE => return Err(closed(message)),
                PING => frames::write(PONG, message, &mut self.out),
                _ => {}
            }
        }
        Ok(used)
    }

    fn ticks(
        &mut self,
        mut ticks: TickScanner<'_>,
        now_ns: u64,
        universe: &Universe,
        tally: &mut Tally,
    ) -> Result<(), End> {
        while let Some(tick) = ticks.next_tick().map_err(|_malformed| End::Broken)? {
            tally.ticks += 1;
            let Some(name) = universe.name_of(self.client, tick.symbol) else {
                tally.repeated += 1; // a symbol of another client
                continue;
            };
            let last = std::mem::replace(&mut self.last[name], tick.seq);
            if self.snapshot {
                continue;
            }
            match tick.seq.checked_sub(last + 1) {
                Some(missing) => tally.missing += missing,
                None => tally.repeated += 1,
            }
            self.live |= tick.time > self.acked_ns;
            if let Some(delays_ns) = tally.delays_ns.as_mut().filter(|_| self.live) {
                delays_ns.push(now_ns.saturating_sub(tick.time));
            }
        }
        self.position = ticks.position().or(self.position);
        Ok(())
    }

    fn control(
        &mut self,
        message: &[u8],
        now_ns: u64,
        universe: &Universe,
        tally: &mut Tally,
    ) -> Result<(), End> {
        let elements =
            decode_message(message, Encoding::MsgpackArray).map_err(|_error| End::Broken)?;
        for element in elements {
            match element {
                Element::Control(Control::Connected { epoch }) => {
                    self.subscribe(epoch.unwrap_or_default(), universe);
                }
                Element::Control(Control::Subscription { pos, resumed, .. }) => {
                    self.stage = Stage::Streaming;
                    self.acked_ns = now_ns;
                    self.position = pos;
                    match resumed {
                        Some(ResumeOutcome::Complete) => tally.resumed[0] += 1,
                        Some(ResumeOutcome::Gap) => tally.resumed[1] += 1,
                        Some(ResumeOutcome::NewEpoch) => tally.resumed[2] += 1,
                        None => {}
                    }
                }
                Element::Control(Control::Gap { symbol, to, .. }) => {
                    tally.gaps += 1;
                    let name = universe.name_of(self.client, symbol.as_str().as_bytes());
                    if let (Some(name), Some(to)) = (name, to) {
                        self.last[name] = to;
                    }
                }
                Element::Control(Control::Snapshot { .. }) => self.snapshot = true,
                Element::Control(Control::Live) => self.snapshot = false,
                Element::Control(Control::Error { .. }) => return Err(End::Broken),
                _ => {}
            }
        }
        Ok(())
    }

    /// Queues the subscribe command, which resumes after the last position if there is one.
    fn subscribe(&mut self, epoch: String, universe: &Universe) {
        self.stage = Stage::AwaitingAck;
        let resume = self.position.map_or_else(String::new, |position| {
            format!(r#","resume":{{"epoch":"{}","pos":{position}}}"#, self.epoch)
        });
        let names = universe.names_of(self.client);
        let command = format!(r#"{{"action":"subscribe","quotes":[{names}],"pos":true{resume}}}"#);
        frames::write(OPEN_TEXT, command.as_bytes(), &mut self.out);
        self.epoch = epoch;
    }
}

fn closed(payload: &[u8]) -> End {
    let reason = payload.get(2..).and_then(|reason| std::str::from_utf8(reason).ok());
    reason.and_then(requested_delay).map_or(End::Broken, End::Drained)
}
