//! Reads only symbol, sequence number and time of each tick in a MessagePack data message. The
//! clients share the machine with the hub, so they must use little CPU.

/// An element of a data message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Tick { symbol: &'a [u8], seq: u64, time_ns: u64 },
    Position(u64),
}

/// Whether a message consists of arrays, which are ticks and a position. Control elements are maps.
pub(crate) fn is_data(message: &[u8]) -> bool {
    let first = match message {
        [0x91..=0x9f, rest @ ..] | [0xdc, _, _, rest @ ..] => rest.first(),
        _ => None,
    };
    matches!(first, Some(0x90..=0x9f | 0xdc))
}

/// Calls `each` for every item of a data message. Returns `None` if the message is not valid.
pub(crate) fn walk<'a>(message: &'a [u8], mut each: impl FnMut(Item<'a>)) -> Option<()> {
    let mut walker = Walker(message);
    for _ in 0..walker.array()? {
        let fields = walker.array()?;
        let kind = walker.str()?;
        if kind == b"p" {
            each(Item::Position(walker.uint()?));
            continue;
        }
        let symbol = walker.str()?;
        let seq = walker.uint()?;
        let time_ns = walker.uint()?;
        for _ in 4..fields {
            walker.skip()?;
        }
        each(Item::Tick { symbol, seq, time_ns });
    }
    walker.0.is_empty().then_some(())
}

struct Walker<'a>(&'a [u8]);

impl<'a> Walker<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a big-endian number of `len` bytes.
    fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn len(&mut self, bytes: usize) -> Option<usize> {
        usize::try_from(self.number(bytes)?).ok()
    }

    fn array(&mut self) -> Option<usize> {
        match self.byte()? {
            head @ 0x90..=0x9f => Some(usize::from(head & 15)),
            0xdc => self.len(2),
            _ => None,
        }
    }

    fn str(&mut self) -> Option<&'a [u8]> {
        let len = match self.byte()? {
            head @ 0xa0..=0xbf => usize::from(head & 31),
            0xd9 => self.len(1)?,
            _ => return None,
        };
        self.take(len)
    }

    fn uint(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ 0..=0x7f => Some(small.into()),
            head @ 0xcc..=0xcf => self.number(1 << (head - 0xcc)),
            _ => None,
        }
    }

    /// Skips a number, a string or an array of strings.
    fn skip(&mut self) -> Option<()> {
        match *self.0.first()? {
            0..=0x7f | 0xcc..=0xcf => self.uint().map(drop),
            0xcb => self.take(9).map(drop),
            0x90..=0x9f | 0xdc => {
                for _ in 0..self.array()? {
                    self.skip()?;
                }
                Some(())
            }
            _ => self.str().map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use tickwire_feeder::{SimConfig, Simulator};
    use tickwire_protocol::{Encoding, MessageBuf, Seq};

    use super::*;

    #[test]
    fn encoded_ticks_are_read() {
        let mut message = MessageBuf::new(Encoding::MsgpackArray);
        let number = |(seq, mut tick): (usize, tickwire_protocol::Tick)| {
            tick.seq = Seq(seq as u64 * 1_000);
            tick
        };
        let ticks: Vec<_> =
            Simulator::new(SimConfig::default()).take(500).enumerate().map(number).collect();
        ticks.iter().for_each(|tick| message.push(tick));
        message.push_position(70_000);
        let bytes = message.finish();
        assert!(is_data(bytes));
        let mut read = Vec::new();
        walk(bytes, |item| read.push(item)).unwrap();
        assert_eq!(read.pop(), Some(Item::Position(70_000)));
        for (tick, item) in ticks.iter().zip(&read) {
            let symbol = tick.symbol.as_str().as_bytes();
            assert_eq!(*item, Item::Tick { symbol, seq: tick.seq.0, time_ns: tick.time.0 });
        }
        assert_eq!(read.len(), ticks.len());
    }

    #[test]
    fn truncated_messages_are_invalid() {
        let mut message = MessageBuf::new(Encoding::MsgpackArray);
        Simulator::new(SimConfig::default()).take(3).for_each(|tick| message.push(&tick));
        let bytes = message.finish();
        for len in 0..bytes.len() {
            assert_eq!(walk(&bytes[..len], |_| {}), None, "{len}");
        }
        assert!(!is_data(&[0x91, 0x83, 0xa1, b'T']));
    }
}
