//! One connection of the load generator, without its socket: bytes in, bytes out, counts.

use rand::Rng;
use tickwire_protocol::{Channel, Control, Delivery, Element, Encoding, Symbol, decode_message};

use crate::load::Plan;
use crate::load::frame::{self, Frame, Opcode};
use crate::load::handshake::{Answer, Handshake};
use crate::load::tally::{Arrival, Tally, low_half};
use crate::load::topics::Topics;
use crate::load::walk::{Contents, Ticks, contents};

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// `None` once the connection is open.
    handshake: Option<Handshake>,
    /// Index of its first symbol.
    first: usize,
    /// The last number of each topic, its low half; 0 is none yet.
    seqs: Box<[u32]>,
    in_snapshot: bool,
    /// Whether the hub may leave out ticks: asked for, or since the connection lagged.
    latest: bool,
    /// Live ticks while measured.
    pub(crate) ticks: u64,
    /// What has to be sent.
    pub(crate) out: Vec<u8>,
}

/// Why a connection ended, by the text it is counted under.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It never opened.
    Refused(String),
    /// It was open.
    Closed(String),
}

impl Peer {
    pub(crate) fn new(number: usize, plan: &Plan, topics: &Topics) -> Self {
        let mut out = Vec::new();
        let handshake = Some(Handshake::start(plan, &mut out));
        let seqs = vec![0; topics.slots()].into_boxed_slice();
        let (first, in_snapshot) = (topics.first(number), false);
        let latest = plan.delivery != Delivery::Every;
        Self { handshake, first, seqs, in_snapshot, latest, ticks: 0, out }
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.handshake.is_none()
    }

    /// Takes bytes that came; returns how many were whole frames. The rest must come again, with more
    /// behind it.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        arrival: Arrival,
        topics: &Topics,
        tally: &mut Tally,
    ) -> Result<usize, End> {
        let mut used = 0;
        if let Some(handshake) = &self.handshake {
            match handshake.answer(bytes) {
                Answer::Incomplete => return Ok(0),
                Answer::Refused(why) => return Err(End::Refused(why)),
                Answer::Accepted(len) => used = len,
            }
            self.handshake = None;
            self.send(Opcode::Text, &topics.command(self.first));
        }
        let broken = |problem: &dyn std::fmt::Display| End::Closed(problem.to_string());
        while let Some((frame, len)) =
            frame::first(&bytes[used..]).map_err(|error| broken(&error))?
        {
            used += len;
            match frame {
                Frame::Data(payload) => {
                    tally.message(len, arrival);
                    match contents(payload).map_err(|error| broken(&error))? {
                        Contents::Ticks(ticks) => self.ticks(ticks, arrival, topics, tally)?,
                        Contents::Control => self.control(payload, topics, tally)?,
                    }
                }
                Frame::Ping(payload) => self.send(Opcode::Pong, payload),
                Frame::Pong => {}
                Frame::Close(code) => {
                    return Err(End::Closed(
                        code.map_or_else(|| "no code".to_owned(), |code| code.to_string()),
                    ));
                }
            }
        }
        Ok(used)
    }

    fn ticks(
        &mut self,
        mut ticks: Ticks<'_>,
        arrival: Arrival,
        topics: &Topics,
        tally: &mut Tally,
    ) -> Result<(), End> {
        while let Some(head) = ticks.next().map_err(|error| End::Closed(error.to_string()))? {
            let Some(place) = topics.place(self.first, head.letter, head.symbol) else {
                tally.faults.unasked += 1;
                continue;
            };
            let last = &mut self.seqs[place.slot];
            if self.in_snapshot {
                *last = low_half(head.seq);
                continue;
            }
            let latest = self.latest && is_conflated(head.letter);
            tally.check(last, head.seq, latest, arrival.measured);
            tally.live_tick(place.topic, head.seq, head.time, arrival);
            self.ticks += u64::from(arrival.measured);
        }
        Ok(())
    }

    fn control(&mut self, payload: &[u8], topics: &Topics, tally: &mut Tally) -> Result<(), End> {
        let elements = decode_message(payload, Encoding::MsgpackArray)
            .map_err(|error| End::Closed(format!("not understood: {error}")))?;
        for element in elements {
            match element {
                Element::Control(Control::Snapshot { .. }) => self.in_snapshot = true,
                Element::Control(Control::Live) => self.in_snapshot = false,
                Element::Control(Control::Error { code, .. }) => {
                    let cause = format!("{} {}", code.code(), code.msg());
                    *tally.faults.errors.entry(cause).or_default() += 1;
                }
                Element::Control(Control::Gap { channel, symbol, from, to, .. }) => {
                    self.gap((channel, symbol), from, to, topics, tally);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The hub names ticks that will not come: the connection has lagged and is latest from now on.
    fn gap(
        &mut self,
        (channel, symbol): (Channel, Symbol),
        from: Option<u64>,
        to: Option<u64>,
        topics: &Topics,
        tally: &mut Tally,
    ) {
        self.latest = true;
        let letter = channel.letter().as_bytes()[0];
        let Some(place) = topics.place(self.first, letter, symbol.as_bytes()) else {
            tally.faults.unasked += 1;
            return;
        };
        tally.faults.named_gaps += 1;
        let last = &mut self.seqs[place.slot];
        let Some(to) = to else {
            *last = 0;
            return;
        };
        // Without a number of its own the gap begins behind the last, of which the low half is known.
        let ahead = low_half(to).wrapping_sub(*last);
        let is_ahead = *last == 0 || ahead <= u32::MAX / 2;
        let missing = match from {
            Some(from) => to.saturating_sub(from).saturating_add(1),
            None if *last != 0 && is_ahead => u64::from(ahead),
            None => 0,
        };
        tally.faults.named_gap_ticks = tally.faults.named_gap_ticks.saturating_add(missing);
        if is_ahead {
            *last = low_half(to);
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        self.send(Opcode::Close, &1000_u16.to_be_bytes());
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = rand::rng().next_u32().to_ne_bytes();
        frame::write(opcode, payload, mask, &mut self.out);
    }
}

/// Whether ticks of a channel may be left out in delivery latest.
const fn is_conflated(letter: u8) -> bool {
    // The letters of corrections and cancels, which are always delivered every.
    !matches!(letter, b'c' | b'x')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::tests::plan;
    use tickwire_protocol::{ErrorCode, MessageBuf, Seq, Symbol, Tick, TickData, Trade, UnixNanos};

    const ARRIVAL: Arrival = Arrival { unix_ns: 2_000_000, measured: true };

    fn server_frame(payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [&[0x82, 126, len[0], len[1]], payload].concat()
    }

    fn ticks(ticks: &[(&str, u64)]) -> Vec<u8> {
        let mut message = MessageBuf::new(Encoding::MsgpackArray);
        for (symbol, seq) in ticks {
            let (symbol, time) = (Symbol::new(symbol).unwrap(), UnixNanos(1_000_000));
            let data = TickData::Trade(Trade::default());
            message.push(&Tick { symbol, seq: Seq(*seq), time, data });
        }
        server_frame(message.finish())
    }

    fn control(control: &Control) -> Vec<u8> {
        let mut bytes = Vec::new();
        control.write_message(Encoding::MsgpackArray, &mut bytes);
        server_frame(&bytes)
    }

    /// An open connection to all of ten symbols.
    fn open() -> (Peer, Topics, Tally) {
        open_to(&plan(10, 10))
    }

    fn open_to(plan: &Plan) -> (Peer, Topics, Tally) {
        let topics = Topics::new(plan);
        let mut peer = Peer::new(0, plan, &topics);
        peer.handshake = None;
        peer.out.clear();
        (peer, topics, Tally::default())
    }

    #[test]
    fn stream_cut_at_any_byte_gives_the_same_counts() {
        let stream = [
            control(&Control::Connected { epoch: Some("one".to_owned()) }),
            control(&Control::Snapshot { ticks: 1 }),
            ticks(&[("SYM0001", 7)]),
            control(&Control::Live),
            ticks(&[("SYM0001", 8), ("SYM0002", 1), ("SYM0001", 11), ("SYM0001", 11)]),
            vec![0x89, 2, b'h', b'i'],
            control(&Control::Error { code: ErrorCode::SlowClient, detail: None, id: None }),
        ]
        .concat();
        for cut in 0..=stream.len() {
            let (mut peer, topics, mut tally) = open();
            let used = peer.receive(&stream[..cut], ARRIVAL, &topics, &mut tally).unwrap();
            assert!(used <= cut);
            let rest = peer.receive(&stream[used..], ARRIVAL, &topics, &mut tally).unwrap();
            assert_eq!(used + rest, stream.len());
            assert_eq!((tally.interval.ticks, peer.ticks), (4, 4), "cut at {cut}");
            assert_eq!((tally.faults.gaps, tally.faults.gap_ticks), (1, 2));
            assert_eq!(tally.faults.duplicates, 1);
            assert_eq!(tally.faults.errors.get("407 slow client"), Some(&1));
            assert_eq!(tally.interval.messages, 6);
            assert_eq!(peer.out.len(), 2 + 4 + 2, "a pong is owed");
        }
    }

    #[test]
    fn close_is_told_by_its_code_after_what_came_before() {
        let (mut peer, topics, mut tally) = open();
        let stream = [ticks(&[("SYM0001", 1)]), vec![0x88, 2, 3, 0xf0]].concat();
        let end = peer.receive(&stream, ARRIVAL, &topics, &mut tally);
        assert_eq!(end, Err(End::Closed("1008".to_owned())));
        assert_eq!(tally.interval.ticks, 1);
    }

    #[test]
    fn jumps_of_latest_are_counted_as_left_out_and_repetitions_as_faults() {
        let (mut peer, topics, mut tally) =
            open_to(&Plan { delivery: Delivery::Latest { max_rate: None }, ..plan(10, 10) });
        let stream = ticks(&[("SYM0001", 1), ("SYM0001", 5), ("SYM0001", 5), ("SYM0002", 7)]);
        peer.receive(&stream, ARRIVAL, &topics, &mut tally).unwrap();
        assert_eq!((tally.interval.skipped, tally.faults.gaps, tally.faults.duplicates), (3, 0, 1));
    }

    #[test]
    fn named_gaps_are_no_faults_and_what_follows_is_latest() {
        let (mut peer, topics, mut tally) = open();
        let gap = |symbol: &str, from, to| {
            let symbol = Symbol::new(symbol).unwrap();
            control(&Control::Gap { channel: Channel::Trades, symbol, from, to, lagged: true })
        };
        let stream = [
            ticks(&[("SYM0001", 1), ("SYM0002", 4)]),
            gap("SYM0001", Some(2), Some(9)),
            gap("SYM0002", None, Some(6)),
            gap("SYM0003", None, None),
            ticks(&[("SYM0001", 11), ("SYM0002", 7), ("SYM0003", 3), ("SYM0002", 9)]),
            ticks(&[("SYM0001", 10)]),
        ]
        .concat();
        peer.receive(&stream, ARRIVAL, &topics, &mut tally).unwrap();
        let faults = tally.faults;
        assert_eq!((faults.named_gaps, faults.named_gap_ticks), (3, 8 + 2));
        assert_eq!((faults.gaps, faults.duplicates, faults.unasked), (0, 1, 0));
        assert_eq!(tally.interval.skipped, 1 + 1);
    }

    #[test]
    fn letters_that_are_never_conflated_are_those_of_the_protocol() {
        for channel in Channel::ALL {
            let latest = Delivery::Latest { max_rate: None };
            let conflated = latest.for_channel(channel) == latest;
            assert_eq!(is_conflated(channel.letter().as_bytes()[0]), conflated, "{channel}");
        }
    }

    #[test]
    fn ticks_nobody_asked_for_are_counted_apart() {
        let (mut peer, topics, mut tally) = open();
        peer.receive(&ticks(&[("OTHER", 1)]), ARRIVAL, &topics, &mut tally).unwrap();
        assert_eq!((tally.interval.ticks, tally.faults.unasked), (0, 1));
    }

    #[test]
    fn open_connection_has_subscribed() {
        let plan = plan(10, 3);
        let topics = Topics::new(&plan);
        let mut peer = Peer::new(1, &plan, &topics);
        let request = String::from_utf8(std::mem::take(&mut peer.out)).unwrap();
        let key =
            request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {}\r\n\
             Sec-WebSocket-Protocol: tickwire.v1.msgpack\r\n\r\n",
            tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes())
        );
        let mut tally = Tally::default();
        let used = peer.receive(answer.as_bytes(), ARRIVAL, &topics, &mut tally).unwrap();
        assert_eq!(used, answer.len());
        assert!(peer.is_open());
        assert_eq!(peer.out[0], 0x81, "a text frame");
    }
}
