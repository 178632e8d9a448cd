//! One subscriber of the load generator, without its socket: bytes in, bytes out, counts.

use rand::Rng;
use tickwire_protocol::{
    Channel, Control, Delivery, Element, Encoding, Printable, Symbol, decode_message,
};

use crate::load::Plan;
use crate::load::counters::{Arrival, Counters, low_half};
use crate::load::frame::{self, Frame, Opcode};
use crate::load::handshake::{Handshake, Response};
use crate::load::tick_scanner::{MessageKind, TickScanner, scan_message};
use crate::load::topic_layout::TopicLayout;

/// The protocol state of one connection.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// `None` once the connection is open.
    handshake: Option<Handshake>,
    /// Index of the connection's first symbol ([`TopicLayout::first_symbol`]).
    first_symbol: usize,
    /// By slot of [`TopicLayout::slot`]: the low half of the topic's last sequence number, 0 before
    /// its first tick.
    seqs: Box<[u32]>,
    in_snapshot: bool,
    /// Whether the hub may leave out ticks, because the plan requests `latest` or the connection
    /// lagged.
    is_latest: bool,
    /// Live ticks during the measurement.
    pub(crate) ticks: u64,
    /// Bytes to send to the hub.
    pub(crate) out: Vec<u8>,
}

/// Why a connection ended. The cause is short, since connections are counted by it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// The connection never opened.
    Refused(String),
    /// The connection was open.
    Closed(String),
}

impl Subscriber {
    /// Creates the subscriber with this number, from 0. Its handshake is ready to be sent.
    pub(crate) fn new(number: usize, plan: &Plan, layout: &TopicLayout) -> Self {
        let mut out = Vec::new();
        let handshake = Some(Handshake::start(plan, &mut out));
        Self {
            handshake,
            first_symbol: layout.first_symbol(number),
            seqs: vec![0; layout.slots()].into_boxed_slice(),
            in_snapshot: false,
            is_latest: plan.delivery != Delivery::Every,
            ticks: 0,
            out,
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.handshake.is_none()
    }

    /// Handles received bytes. Returns how many of them belong to whole frames. The caller must
    /// pass the remaining bytes again, followed by the bytes that arrive next.
    ///
    /// # Errors
    /// Fails if the hub refuses or closes the connection, or breaks the protocol.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        arrival: Arrival,
        layout: &TopicLayout,
        counters: &mut Counters,
    ) -> Result<usize, ConnectionEnd> {
        let mut used = 0;
        if let Some(handshake) = &self.handshake {
            match handshake.response(bytes) {
                Response::Incomplete => return Ok(0),
                Response::Refused(cause) => return Err(ConnectionEnd::Refused(cause)),
                Response::Accepted(len) => used = len,
            }
            self.handshake = None;
            self.send(Opcode::Text, &layout.subscribe_command(self.first_symbol));
        }
        while let Some((frame, len)) = frame::parse(&bytes[used..]).map_err(broken)? {
            used += len;
            match frame {
                Frame::Data(payload) => {
                    counters.count_message(len, arrival);
                    match scan_message(payload).map_err(broken)? {
                        MessageKind::Ticks(ticks) => {
                            self.receive_ticks(ticks, arrival, layout, counters)?;
                        }
                        MessageKind::Control => self.receive_control(payload, layout, counters)?,
                    }
                }
                Frame::Ping(payload) => self.send(Opcode::Pong, payload),
                Frame::Pong => {}
                Frame::Close(code) => {
                    let cause = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                    return Err(ConnectionEnd::Closed(cause));
                }
            }
        }
        Ok(used)
    }

    fn receive_ticks(
        &mut self,
        mut ticks: TickScanner<'_>,
        arrival: Arrival,
        layout: &TopicLayout,
        counters: &mut Counters,
    ) -> Result<(), ConnectionEnd> {
        while let Some(header) = ticks.next_tick().map_err(broken)? {
            let Some(topic) = layout.slot(self.first_symbol, header.letter, header.symbol) else {
                counters.faults.unasked += 1;
                continue;
            };
            let last = &mut self.seqs[topic.slot];
            if self.in_snapshot {
                *last = low_half(header.seq);
                continue;
            }
            let latest = self.is_latest && is_conflated(header.letter);
            counters.check(last, header.seq, latest, arrival.measured);
            counters.count_tick(topic.topic, header.seq, header.time, arrival);
            self.ticks += u64::from(arrival.measured);
        }
        Ok(())
    }

    fn receive_control(
        &mut self,
        payload: &[u8],
        layout: &TopicLayout,
        counters: &mut Counters,
    ) -> Result<(), ConnectionEnd> {
        let elements = decode_message(payload, Encoding::MsgpackArray)
            .map_err(|error| ConnectionEnd::Closed(format!("not understood: {error}")))?;
        for element in elements {
            match element {
                Element::Control(Control::Snapshot { .. }) => self.in_snapshot = true,
                Element::Control(Control::Live) => self.in_snapshot = false,
                Element::Control(Control::Error { code, .. }) => {
                    let cause = format!("{} {}", code.code(), code.msg());
                    *counters.faults.errors.entry(cause).or_default() += 1;
                }
                Element::Control(Control::Gap { channel, symbol, from, to, .. }) => {
                    self.receive_gap((channel, symbol), from, to, layout, counters);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Handles a gap that the hub announces: the connection has lagged, and its delivery is
    /// `latest` from now on.
    fn receive_gap(
        &mut self,
        (channel, symbol): (Channel, Symbol),
        from: Option<u64>,
        to: Option<u64>,
        layout: &TopicLayout,
        counters: &mut Counters,
    ) {
        self.is_latest = true;
        let letter = channel.letter().as_bytes()[0];
        let Some(topic) = layout.slot(self.first_symbol, letter, symbol.as_bytes()) else {
            counters.faults.unasked += 1;
            return;
        };
        counters.faults.named_gaps += 1;
        let last = &mut self.seqs[topic.slot];
        let Some(to) = to else {
            *last = 0;
            return;
        };
        // A gap without a first number begins after the last tick, of which the low half is known.
        let ahead = low_half(to).wrapping_sub(*last);
        let is_ahead = *last == 0 || ahead <= u32::MAX / 2;
        let missing = match from {
            Some(from) => to.saturating_sub(from).saturating_add(1),
            None if *last != 0 && is_ahead => u64::from(ahead),
            None => 0,
        };
        counters.faults.named_gap_ticks = counters.faults.named_gap_ticks.saturating_add(missing);
        if is_ahead {
            *last = low_half(to);
        }
    }

    /// Sends a close frame.
    pub(crate) fn close(&mut self) {
        self.send(Opcode::Close, &1000_u16.to_be_bytes());
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = rand::rng().next_u32().to_ne_bytes();
        frame::write(opcode, payload, mask, &mut self.out);
    }
}

fn broken(problem: impl std::fmt::Display) -> ConnectionEnd {
    ConnectionEnd::Closed(Printable(&problem.to_string()).to_string())
}

/// Returns whether delivery `latest` may leave out ticks of the channel with this letter.
const fn is_conflated(letter: u8) -> bool {
    // Corrections and cancels are always delivered in full.
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
            let symbol = Symbol::new(symbol).unwrap();
            let time = UnixNanos(1_000_000);
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

    /// Returns an open connection that has subscribed to all of ten symbols.
    fn open() -> (Subscriber, TopicLayout, Counters) {
        open_to(&plan(10, 10))
    }

    fn open_to(plan: &Plan) -> (Subscriber, TopicLayout, Counters) {
        let layout = TopicLayout::new(plan);
        let mut subscriber = Subscriber::new(0, plan, &layout);
        subscriber.handshake = None;
        subscriber.out.clear();
        (subscriber, layout, Counters::default())
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
            let (mut subscriber, layout, mut counters) = open();
            let used = subscriber.receive(&stream[..cut], ARRIVAL, &layout, &mut counters).unwrap();
            assert!(used <= cut);
            let rest =
                subscriber.receive(&stream[used..], ARRIVAL, &layout, &mut counters).unwrap();
            assert_eq!(used + rest, stream.len());
            assert_eq!((counters.interval.ticks, subscriber.ticks), (4, 4), "cut at {cut}");
            assert_eq!((counters.faults.gaps, counters.faults.gap_ticks), (1, 2));
            assert_eq!(counters.faults.duplicates, 1);
            assert_eq!(counters.faults.errors.get("407 slow client"), Some(&1));
            assert_eq!(counters.interval.messages, 6);
            assert_eq!(subscriber.out.len(), 2 + 4 + 2, "the pong");
        }
    }

    #[test]
    fn close_is_counted_by_its_code_after_the_ticks_before_it() {
        let (mut subscriber, layout, mut counters) = open();
        let stream = [ticks(&[("SYM0001", 1)]), vec![0x88, 2, 3, 0xf0]].concat();
        let end = subscriber.receive(&stream, ARRIVAL, &layout, &mut counters);
        assert_eq!(end, Err(ConnectionEnd::Closed("1008".to_owned())));
        assert_eq!(counters.interval.ticks, 1);
    }

    #[test]
    fn jumps_of_latest_are_skipped_ticks_and_repetitions_are_faults() {
        let (mut subscriber, layout, mut counters) =
            open_to(&Plan { delivery: Delivery::Latest { max_rate: None }, ..plan(10, 10) });
        let stream = ticks(&[("SYM0001", 1), ("SYM0001", 5), ("SYM0001", 5), ("SYM0002", 7)]);
        subscriber.receive(&stream, ARRIVAL, &layout, &mut counters).unwrap();
        assert_eq!(
            (counters.interval.skipped, counters.faults.gaps, counters.faults.duplicates),
            (3, 0, 1)
        );
    }

    #[test]
    fn named_gaps_are_no_faults_and_make_delivery_latest() {
        let (mut subscriber, layout, mut counters) = open();
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
        subscriber.receive(&stream, ARRIVAL, &layout, &mut counters).unwrap();
        let faults = counters.faults;
        assert_eq!((faults.named_gaps, faults.named_gap_ticks), (3, 8 + 2));
        assert_eq!((faults.gaps, faults.duplicates, faults.unasked), (0, 1, 0));
        assert_eq!(counters.interval.skipped, 1 + 1);
    }

    #[test]
    fn channels_that_are_never_conflated_are_those_of_the_protocol() {
        for channel in Channel::ALL {
            let latest = Delivery::Latest { max_rate: None };
            let conflated = latest.for_channel(channel) == latest;
            assert_eq!(is_conflated(channel.letter().as_bytes()[0]), conflated, "{channel}");
        }
    }

    #[test]
    fn ticks_without_a_subscription_are_counted_apart() {
        let (mut subscriber, layout, mut counters) = open();
        subscriber.receive(&ticks(&[("OTHER", 1)]), ARRIVAL, &layout, &mut counters).unwrap();
        assert_eq!((counters.interval.ticks, counters.faults.unasked), (0, 1));
    }

    #[test]
    fn connection_subscribes_as_soon_as_it_is_open() {
        let plan = plan(10, 3);
        let layout = TopicLayout::new(&plan);
        let mut subscriber = Subscriber::new(1, &plan, &layout);
        let request = String::from_utf8(std::mem::take(&mut subscriber.out)).unwrap();
        let key =
            request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {}\r\n\
             Sec-WebSocket-Protocol: tickwire.v1.msgpack\r\n\r\n",
            tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes())
        );
        let mut counters = Counters::default();
        let used = subscriber.receive(answer.as_bytes(), ARRIVAL, &layout, &mut counters).unwrap();
        assert_eq!(used, answer.len());
        assert!(subscriber.is_open());
        assert_eq!(subscriber.out[0], 0x81, "a text frame");
    }
}
