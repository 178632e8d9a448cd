//! Encodes the state of a [`BarMaker`] for the checkpoints of the log on disk.
//!
//! ```text
//! version u8 (1), time zone and session: each length u8 and text
//! feeds:   count u8;  each: newest u64, seen u64, supplied u8 (1 minutes, 2 days)
//! series:  count u32; each: feed u8, symbol (length u8, text), start of its day u64,
//!                     folded: aggregate, folded until u64, day reported u8
//! minutes: count u32; each: series u32, start u64, flags u8 (1 open, 2 reported, 4 trades kept),
//!                     minute and day: aggregate each,
//!                     trades: count u32; each: time u64, id u64, exchange 8 bytes, price i64,
//!                     size u64, effects u8
//! aggregate: flags u8 (1 open, 2 close), open and close: time u64 and price i64 each,
//!            high i64, low i64, volume u64, trades u64, weighted i128, weight u64
//! ```
//!
//! All integers are little-endian. Only the newest minutes carry their trades, so that a checkpoint
//! stays small.

use tickwire_protocol::{Symbol, UnixNanos};

use super::aggregate::{Aggregate, Timed};
use super::conditions::Effects;
use super::series::{KeptTrade, Minute, Series, TradeKey};
use super::{BarConfig, BarMaker, MINUTE, SuppliedBars};
use crate::fanout::FeedId;

const VERSION: u8 = 1;
/// Approximate limit in bytes for the minutes and trades of a checkpoint.
const MINUTES_BYTES_MAX: usize = 8 << 20;
/// Approximate encoded size of a minute without its trades.
const MINUTE_BYTES: usize = 220;
/// Encoded size of a trade.
const TRADE_BYTES: usize = 41;

/// Why a saved state cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadState {
    /// The bytes are damaged or were written by another version.
    #[error("not a state of bars of version {VERSION}")]
    Malformed,
    /// The time zone or session differs from the config.
    #[error("made for another time zone or session")]
    OtherCalendar,
}

impl BarMaker {
    /// Appends the encoded state. Minutes beyond the size limit are folded into their days.
    pub fn save_state(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_text(out, &self.config.time_zone);
        put_text(out, &self.config.session);
        out.push(u8::try_from(self.feeds.len()).unwrap_or(u8::MAX));
        for feed in &self.feeds {
            put(out, feed.newest);
            put(out, feed.seen);
            out.push(u8::from(feed.supplied.minutes) | (u8::from(feed.supplied.days) << 1));
        }
        let minutes = self.minutes_to_save();
        self.save_series(&minutes, out);
        put_count(out, minutes.len());
        for (id, minute) in minutes {
            out.extend_from_slice(&id.to_le_bytes());
            save_minute(minute, out);
        }
    }

    /// Returns the newest minutes that fit the limit and all open ones, in the order of creation.
    fn minutes_to_save(&self) -> Vec<(u32, &Minute)> {
        let mut left = MINUTES_BYTES_MAX;
        let mut minutes = Vec::new();
        for &(id, start) in self.kept.iter().rev() {
            let series = &self.series[id as usize];
            let Some(minute) = series.minute(start) else { continue };
            let bytes = MINUTE_BYTES + minute.trades.as_ref().map_or(0, Vec::len) * TRADE_BYTES;
            left = left.saturating_sub(bytes);
            if left > 0 || minute.open {
                minutes.push((id, minute));
            }
        }
        minutes.reverse();
        minutes
    }

    fn save_series(&self, minutes: &[(u32, &Minute)], out: &mut Vec<u8>) {
        let mut saved: Vec<Aggregate> = vec![Aggregate::default(); self.series.len()];
        let mut folded_until: Vec<u64> = self.series.iter().map(|s| s.folded_until).collect();
        let mut kept = minutes.iter().map(|(id, minute)| (*id, minute.start)).collect::<Vec<_>>();
        kept.sort_unstable();
        for (id, (series, sum)) in (0..).zip(self.series.iter().zip(&mut saved)) {
            *sum = series.folded;
            for minute in &series.minutes {
                if kept.binary_search(&(id, minute.start)).is_err() {
                    sum.merge(&minute.day);
                    let until = &mut folded_until[id as usize];
                    *until = (*until).max(minute.start + MINUTE);
                }
            }
        }
        put_count(out, self.series.len());
        for (series, (folded, until)) in self.series.iter().zip(saved.iter().zip(folded_until)) {
            out.push(series.feed.0);
            put_text(out, series.symbol.as_str());
            put(out, series.day.start);
            save_aggregate(folded, out);
            put(out, until);
            out.push(u8::from(series.day_reported));
        }
    }

    /// Replaces the state with one written by [`save_state`](Self::save_state). A state that cannot
    /// be used is logged and ignored. `feeds` maps each feed id in the state to its current id.
    pub fn restore(&mut self, saved: &[u8], feeds: &[FeedId]) {
        if saved.is_empty() {
            return; // the hub that wrote the checkpoint made no bars
        }
        match Self::restore_state(self.config.clone(), saved, feeds) {
            Ok(restored) => *self = restored,
            Err(error) => {
                tracing::warn!(%error, "bars start without the state of the previous run");
            }
        }
    }

    /// Creates a maker from a saved state. `feeds` maps each feed id in the state to its current
    /// id.
    ///
    /// # Errors
    /// Fails if the bytes are damaged, or belong to another time zone or session.
    pub fn restore_state(
        config: BarConfig,
        bytes: &[u8],
        feeds: &[FeedId],
    ) -> Result<Self, BadState> {
        let mut reader = Reader { bytes, feeds };
        if reader.u8() != Some(VERSION) {
            return Err(BadState::Malformed);
        }
        let zone = reader.text().ok_or(BadState::Malformed)?;
        let session = reader.text().ok_or(BadState::Malformed)?;
        if (zone, session) != (&config.time_zone, &config.session) {
            return Err(BadState::OtherCalendar);
        }
        let mut maker = Self::new(config).ok_or(BadState::OtherCalendar)?;
        maker.read(&mut reader).filter(|()| reader.bytes.is_empty()).ok_or(BadState::Malformed)?;
        Ok(maker)
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        for feed in 0..reader.u8()? {
            let newest = reader.time()?;
            let seen = reader.time()?;
            let supplied = reader.u8()?;
            // A hub with a larger limit may have saved a clock that is further ahead.
            let latest = UnixNanos(seen) + self.config.ahead_max;
            let clock = self.clock(*reader.feeds.get(usize::from(feed))?);
            clock.newest = newest.min(latest.0);
            clock.seen = seen;
            clock.supplied = SuppliedBars { minutes: supplied & 1 != 0, days: supplied & 2 != 0 };
        }
        for id in 0..reader.u32()? {
            self.read_series(id, reader)?;
        }
        for _ in 0..reader.u32()? {
            self.read_minute(reader)?;
        }
        for series in &mut self.series {
            series.sum_closed();
        }
        Some(())
    }

    fn read_series(&mut self, id: u32, reader: &mut Reader<'_>) -> Option<()> {
        let feed = *reader.feeds.get(usize::from(reader.u8()?))?;
        let symbol = Symbol::new(reader.text()?).ok()?;
        let start = reader.time()?;
        let day = self.calendar.day(start);
        let mut series = Series::new(feed, symbol, day);
        series.folded = reader.aggregate()?;
        series.folded_until = reader.time()?;
        series.day_reported = reader.u8()? != 0;
        let new = self.by_symbol.insert((feed, symbol), id).is_none();
        let valid = new && day.start == start && usize::from(feed.0) < self.feeds.len();
        self.series.push(series);
        valid.then_some(())
    }

    fn read_minute(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let id = reader.u32()?;
        let start = reader.time()?;
        let flags = reader.u8()?;
        let mut minute = Minute::new(start, flags & 1 != 0);
        minute.reported = flags & 2 != 0;
        minute.minute = reader.aggregate()?;
        minute.day = reader.aggregate()?;
        for _ in 0..reader.u32()? {
            let kept = reader.trade()?;
            (kept.time - kept.time % MINUTE == start).then_some(())?;
            minute.keep(kept);
        }
        if flags & 4 == 0 {
            minute.trades = None;
        }
        let series = self.series.get_mut(id as usize)?;
        let index = series.minutes.binary_search_by_key(&start, |minute| minute.start).err()?;
        let in_day = series.day.start <= start + MINUTE && start < series.day.end;
        (start % MINUTE == 0 && in_day).then_some(())?;
        let open = minute.open;
        let bytes = minute.bytes();
        let feed = series.feed;
        series.minutes.insert(index, minute);
        // Only the last minute may be open.
        let last = series.minutes.len() - 1;
        series.minutes.iter().take(last).all(|minute| !minute.open).then_some(())?;
        self.kept_bytes += bytes;
        self.keep(id, start);
        if open {
            self.clock(feed).open.entry(start).or_default().push(id);
        }
        Some(())
    }
}

fn save_minute(minute: &Minute, out: &mut Vec<u8>) {
    put(out, minute.start);
    let kept = u8::from(minute.trades.is_some());
    out.push(u8::from(minute.open) | (u8::from(minute.reported) << 1) | (kept << 2));
    save_aggregate(&minute.minute, out);
    save_aggregate(&minute.day, out);
    put_count(out, minute.trades.as_ref().map_or(0, Vec::len));
    for kept in minute.trades.iter().flatten() {
        put(out, kept.time);
        put(out, kept.key.id);
        out.extend_from_slice(&kept.key.exchange);
        out.extend_from_slice(&kept.key.price.to_le_bytes());
        put(out, kept.key.size);
        out.push(kept.effects.0);
    }
}

fn save_aggregate(aggregate: &Aggregate, out: &mut Vec<u8>) {
    out.push(u8::from(aggregate.open.is_some()) | (u8::from(aggregate.close.is_some()) << 1));
    for timed in [aggregate.open, aggregate.close] {
        let (time, price) = timed.map_or((0, 0), |timed| (timed.time, timed.price));
        put(out, time);
        out.extend_from_slice(&price.to_le_bytes());
    }
    out.extend_from_slice(&aggregate.high.to_le_bytes());
    out.extend_from_slice(&aggregate.low.to_le_bytes());
    put(out, aggregate.volume);
    put(out, aggregate.trades);
    out.extend_from_slice(&aggregate.weighted.to_le_bytes());
    put(out, aggregate.weight);
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// Appends a text of at most 255 bytes. Symbols have at most 24 bytes, and names of zones are
/// short.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

/// The unread rest of an encoded state. Each method returns `None` if the bytes end early.
struct Reader<'a> {
    bytes: &'a [u8],
    feeds: &'a [FeedId],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*array)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn time(&mut self) -> Option<u64> {
        self.u64().filter(|&time| time <= UnixNanos::MAX.0)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        std::str::from_utf8(text).ok()
    }

    fn timed(&mut self, there: bool) -> Option<Option<Timed>> {
        let timed = Timed { time: self.time()?, price: self.i64()? };
        Some(there.then_some(timed))
    }

    fn aggregate(&mut self) -> Option<Aggregate> {
        let flags = self.u8()?;
        Some(Aggregate {
            open: self.timed(flags & 1 != 0)?,
            close: self.timed(flags & 2 != 0)?,
            high: self.i64()?,
            low: self.i64()?,
            volume: self.u64()?,
            trades: self.u64()?,
            weighted: self.array().map(i128::from_le_bytes)?,
            weight: self.u64()?,
        })
    }

    fn trade(&mut self) -> Option<KeptTrade> {
        let time = self.time()?;
        let key = TradeKey {
            id: self.u64()?,
            exchange: self.array()?,
            price: self.i64()?,
            size: self.u64()?,
        };
        Some(KeptTrade { key, time, effects: Effects(self.u8()?) })
    }
}
