//! What one client asks for and checks: pure, bytes in and bytes out.

use tickwire_benches::frames::{first_frame, write_frame};
use tickwire_protocol::{Control, Element, Encoding, ResumeOutcome, decode_message};

use crate::universe::Universe;
use crate::walk::{Item, is_data, walk};

/// What is counted over all clients of a thread.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) ticks: u64,
    pub(crate) missing: u64,
    pub(crate) repeated: u64,
    pub(crate) gaps: u64,
    /// Resumes by how they went: nothing missing, gaps, another epoch.
    pub(crate) resumed: [u64; 3],
    /// Connections that ended by themselves.
    pub(crate) ended: u64,
    /// How late ticks came after the time at which they were due, in nanoseconds, where that is wanted.
    pub(crate) late_ns: Option<Vec<u64>>,
}

impl Tally {
    /// Moves what another one has counted into this one.
    pub(crate) fn take_in(&mut self, other: &mut Self) {
        let late_ns = other.late_ns.as_ref().map(|_| Vec::new());
        let Self { ticks, missing, repeated, gaps, resumed, ended, late_ns: theirs } =
            std::mem::replace(other, Self { late_ns, ..Self::default() });
        self.ticks += ticks;
        self.missing += missing;
        self.repeated += repeated;
        self.gaps += gaps;
        self.ended += ended;
        self.resumed.iter_mut().zip(resumed).for_each(|(sum, more)| *sum += more);
        if let Some(theirs) = theirs {
            self.late_ns.get_or_insert_default().extend(theirs);
        }
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Greeting,
    Asked,
    Flowing,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The hub goes away, and says after how many milliseconds to come back.
    Drained { retry_ms: u64 },
    /// Anything else.
    Broken,
}

/// One client, over all its connections.
#[derive(Debug)]
pub(crate) struct Session {
    client: usize,
    stage: Stage,
    epoch: String,
    position: Option<u64>,
    /// Number of the last tick of each name, 0 before the first.
    last: Box<[u64]>,
    /// When the last command was answered.
    answered_ns: u64,
    /// Whether a tick has come that happened after that: it has everything.
    live: bool,
    snapshot: bool,
    /// What has to be sent.
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
            answered_ns: 0,
            live: false,
            snapshot: false,
            out: Vec::new(),
        }
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.live
    }

    /// The connection has ended.
    pub(crate) const fn disconnected(&mut self) {
        self.live = false;
    }

    /// A new connection to the hub.
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

    /// Takes what has come by `now_ns`; how many bytes of it are done with.
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
            self.stage = Stage::Greeting;
            used = end + 4;
        }
        while let Some((opcode, payload)) = first_frame(&bytes[used..]) {
            let message = &bytes[used..][payload.clone()];
            used += payload.end;
            match opcode {
                2 if is_data(message) => self.ticks(message, now_ns, universe, tally)?,
                2 => self.control(message, now_ns, universe, tally)?,
                8 => return Err(closed(message)),
                9 => self.pong(message),
                _ => {}
            }
        }
        Ok(used)
    }

    fn pong(&mut self, payload: &[u8]) {
        let begin = self.out.len();
        write_frame(payload, &mut self.out);
        self.out[begin] = 0x8a;
    }

    fn ticks(
        &mut self,
        message: &[u8],
        now_ns: u64,
        universe: &Universe,
        tally: &mut Tally,
    ) -> Result<(), End> {
        let read = walk(message, |item| match item {
            Item::Position(position) => self.position = Some(position),
            Item::Tick { symbol, seq, time_ns } => {
                tally.ticks += 1;
                let Some(name) = universe.name_of(self.client, symbol) else {
                    tally.repeated += 1; // of somebody else
                    return;
                };
                let last = std::mem::replace(&mut self.last[name], seq);
                if self.snapshot {
                    return;
                }
                match seq.checked_sub(last + 1) {
                    Some(missing) => tally.missing += missing,
                    None => tally.repeated += 1,
                }
                self.live |= time_ns > self.answered_ns;
                if let Some(late_ns) = tally.late_ns.as_mut().filter(|_| self.live) {
                    late_ns.push(now_ns.saturating_sub(time_ns));
                }
            }
        });
        read.ok_or(End::Broken)
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
                    self.ask(epoch.unwrap_or_default(), universe);
                }
                Element::Control(Control::Subscription { pos, resumed, .. }) => {
                    self.stage = Stage::Flowing;
                    self.answered_ns = now_ns;
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

    /// Asks for the names, behind the last position if there is one.
    fn ask(&mut self, epoch: String, universe: &Universe) {
        self.stage = Stage::Asked;
        let resume = self.position.map_or_else(String::new, |position| {
            format!(r#","resume":{{"epoch":"{}","pos":{position}}}"#, self.epoch)
        });
        let names = universe.names_of(self.client);
        let command = format!(r#"{{"action":"subscribe","quotes":[{names}],"pos":true{resume}}}"#);
        write_frame(command.as_bytes(), &mut self.out);
        self.epoch = epoch;
    }
}

fn closed(payload: &[u8]) -> End {
    let reason = payload.get(2..).and_then(|reason| std::str::from_utf8(reason).ok());
    let mut tokens = reason.unwrap_or_default().split_whitespace();
    let retry = tokens.find_map(|token| token.strip_prefix("retry_ms="));
    let retry_ms = retry.and_then(|retry| retry.parse().ok());
    retry_ms.map_or(End::Broken, |retry_ms| End::Drained { retry_ms })
}
