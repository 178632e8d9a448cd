//! Ticks in the encoding that the publisher of each server uses.

use std::ops::Range;

use crate::clock::Schedule;
use crate::frame::{self, Opcode};
use crate::tick;
use crate::workload::{Peer, symbol};

/// Maximum of ticks per message, for servers whose messages hold several.
const MESSAGE_TICKS_MAX: u16 = 500;

/// The length of the payload in the NATS protocol, between subject and payload.
const NATS_LENGTH: &[u8] = b" 38\r\n";
/// The MessagePack header of a string with the length of the payload.
const MSGPACK_LENGTH: &[u8] = b"\xd9\x26";
const _: () = assert!(tick::PAYLOAD_LEN == 38, "both constants encode 38");

/// Encodes ticks for one server. Allocates nothing once its buffers have grown.
#[derive(Debug)]
pub(crate) struct TickEncoder {
    peer: Peer,
    /// The names of all symbols; never empty.
    symbols: Vec<String>,
    payload: Vec<u8>,
    body: Vec<u8>,
}

impl TickEncoder {
    pub(crate) fn new(peer: Peer, symbols: usize) -> Self {
        let symbols = (0..symbols).map(symbol).collect();
        Self { peer, symbols, payload: Vec::new(), body: Vec::new() }
    }

    /// Appends the ticks with these numbers, in the bytes that go over the connection.
    pub(crate) fn write(&mut self, numbers: Range<u64>, schedule: &Schedule, out: &mut Vec<u8>) {
        if matches!(self.peer, Peer::Tickwire | Peer::TickwireV2) {
            let mut from = numbers.start;
            while from < numbers.end {
                let to = numbers.end.min(from + u64::from(MESSAGE_TICKS_MAX));
                self.trades(from..to, schedule, out);
                from = to;
            }
            return;
        }
        for number in numbers {
            self.message(number, schedule.stamp_ns(number), out);
        }
    }

    /// Returns the symbol of a tick. Consecutive ticks have symbols far apart.
    fn symbol(&self, number: u64) -> &str {
        let count = self.symbols.len() as u64;
        let index = usize::try_from(number % count * 31 % count).expect("it was a length");
        &self.symbols[index]
    }

    /// Appends a message with one tick.
    fn message(&mut self, number: u64, stamp_ns: u64, out: &mut Vec<u8>) {
        self.payload.clear();
        tick::write_payload(stamp_ns, &mut self.payload);
        let mut body = std::mem::take(&mut self.body);
        let symbol = self.symbol(number).as_bytes();
        let payload = &self.payload[..];
        if self.peer == Peer::Nats {
            for piece in [b"PUB ", symbol, NATS_LENGTH, payload, b"\r\n"] {
                out.extend_from_slice(piece);
            }
            self.body = body;
            return;
        }
        let pieces: [&[u8]; 5] = match self.peer {
            Peer::Socketio => [b"42[\"pub\",\"", symbol, b"\",\"", payload, b"\"]"],
            _ => [b"{\"s\":\"", symbol, b"\",\"d\":\"", payload, b"\"}"],
        };
        body.clear();
        pieces.iter().for_each(|piece| body.extend_from_slice(piece));
        frame::write(Opcode::Text, &body, out);
        self.body = body;
    }

    /// Appends a message of a Tickwire publisher with at most [`MESSAGE_TICKS_MAX`] ticks.
    fn trades(&mut self, numbers: Range<u64>, schedule: &Schedule, out: &mut Vec<u8>) {
        let count = u16::try_from(numbers.end - numbers.start).unwrap_or(MESSAGE_TICKS_MAX);
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.push(0xdc);
        body.extend_from_slice(&count.to_be_bytes());
        for number in numbers {
            write_trade(self.symbol(number), number, schedule.stamp_ns(number), &mut body);
        }
        frame::write(Opcode::Binary, &body, out);
        self.body = body;
    }
}

/// Appends a trade in MessagePack, `["t", S, seq, t, i, x, p, s, c, z]`. Its only condition is the
/// payload.
fn write_trade(symbol: &str, number: u64, stamp_ns: u64, out: &mut Vec<u8>) {
    let price = 100.0 + (number % 1_000) as f64 / 100.0;
    out.extend_from_slice(b"\x9a\xa1t\xa7");
    out.extend_from_slice(symbol.as_bytes());
    out.extend_from_slice(b"\x00\xcf");
    out.extend_from_slice(&stamp_ns.to_be_bytes());
    out.push(0xcf);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(b"\xa1V\xcb");
    out.extend_from_slice(&price.to_be_bytes());
    out.extend_from_slice(b"\x64\x91");
    out.extend_from_slice(MSGPACK_LENGTH);
    tick::write_payload(stamp_ns, out);
    out.extend_from_slice(b"\xa1C");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::tick::{TickFinder, read_stamp};
    use tickwire_protocol::{Element, Encoding, decode_message};

    /// Returns the messages of these ticks, without their masks.
    fn encoded(peer: Peer, symbols: usize, numbers: Range<u64>) -> (Vec<Vec<u8>>, Schedule) {
        let schedule = Schedule::start(1_000);
        let mut bytes = Vec::new();
        TickEncoder::new(peer, symbols).write(numbers, &schedule, &mut bytes);
        let mut messages = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let header = match rest[1] & 0x7f {
                126 => 4,
                _ => 2,
            };
            // The decoder is for frames without a mask. The mask is zero, so it is just left out.
            let unmasked = [&[rest[0], rest[1] & 0x7f], &rest[2..header], &rest[header + 4..]];
            let unmasked = unmasked.concat();
            let Some((Frame::Data(body), len)) = frame::first(&unmasked) else {
                panic!("{rest:?}")
            };
            messages.push(body.to_vec());
            rest = &rest[len + 4..];
        }
        (messages, schedule)
    }

    #[test]
    fn hub_can_decode_the_trades() {
        let (messages, schedule) = encoded(Peer::Tickwire, 500, 0..1_200);
        let mut ticks = Vec::new();
        for message in &messages {
            for element in decode_message(message, Encoding::MsgpackArray).unwrap() {
                let Element::Tick(tick) = element else { panic!("{element:?}") };
                ticks.push(tick);
            }
        }
        assert_eq!((messages.len(), ticks.len()), (3, 1_200));
        assert_eq!(ticks[1].symbol.as_str(), "SYM0031");
        assert_eq!(ticks[1_199].time.0, schedule.stamp_ns(1_199));
    }

    #[test]
    fn every_encoding_has_one_stamp_per_tick() {
        let finder = TickFinder::new();
        for peer in [Peer::Tickwire, Peer::TickwireV2, Peer::Uws, Peer::Ws, Peer::Socketio] {
            let (messages, schedule) = encoded(peer, 10, 5..8);
            let all = messages.concat();
            let stamps: Vec<_> = finder.find(&all).map(read_stamp).collect();
            let expected: Vec<_> = (5..8).map(|number| Some(schedule.stamp_ns(number))).collect();
            assert_eq!(stamps, expected, "{peer:?}");
        }
    }

    #[test]
    fn nats_messages_have_the_length_of_the_payload() {
        let mut out = Vec::new();
        TickEncoder::new(Peer::Nats, 1).write(0..1, &Schedule::start(1), &mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, rest) = text.split_once("\r\n").unwrap();
        assert_eq!(head, "PUB SYM0000 38");
        assert_eq!(rest.len(), 38 + 2);
    }
}
