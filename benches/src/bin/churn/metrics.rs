//! What the hub says of itself.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::Result;
use crate::session::ANSWER_WITHIN;

/// What the hub has counted so far, or between two looks.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    delivered: f64,
    turn_seconds_sum: f64,
    /// By upper bound in seconds, ascending, the last one infinite: turns that took no longer.
    turns: Vec<(f64, u64)>,
}

/// The bucket of a histogram that a turn is in.
#[derive(Debug, PartialEq)]
pub(crate) enum Bucket {
    /// There was none.
    Empty,
    /// It took no longer than so many seconds.
    UpTo(f64),
    /// It took longer than so many seconds, the largest bound there is.
    Above(f64),
}

impl Metrics {
    pub(crate) fn scrape(hub: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(hub)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {hub}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let metrics = Self::read(&answer);
        if metrics.turns.is_empty() {
            return Err(format!("{hub}/metrics has no tickwire_shard_turn_seconds").into());
        }
        Ok(metrics)
    }

    fn read(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let number = || value.parse().unwrap_or(0.0);
            match name {
                "tickwire_ticks_delivered_total" => metrics.delivered = number(),
                "tickwire_shard_turn_seconds_sum" => metrics.turn_seconds_sum = number(),
                _ => metrics.turns.extend(turn_bucket(name).zip(value.parse().ok())),
            }
        }
        metrics
    }

    /// What has come since an earlier look at the same hub.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let turns = self.turns.iter().zip(&earlier.turns);
        Self {
            delivered: self.delivered - earlier.delivered,
            turn_seconds_sum: self.turn_seconds_sum - earlier.turn_seconds_sum,
            turns: turns.map(|(now, then)| (now.0, now.1.saturating_sub(then.1))).collect(),
        }
    }

    pub(crate) const fn delivered(&self) -> f64 {
        self.delivered
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.last().map_or(0, |(_, turns)| *turns)
    }

    pub(crate) fn turn_mean_seconds(&self) -> f64 {
        self.turn_seconds_sum / self.turns().max(1) as f64
    }

    /// How many turns took longer than one of the bounds.
    pub(crate) fn turns_above(&self, bound: f64) -> u64 {
        let within = self.turns.iter().find(|(upper, _)| *upper >= bound);
        self.turns() - within.map_or(0, |(_, turns)| *turns)
    }

    /// Where the turn is that a share of all turns, from 0 to 1, do not exceed.
    pub(crate) fn turn_quantile(&self, share: f64) -> Bucket {
        let all = self.turns();
        let reached = |turns: u64| turns > 0 && turns as f64 >= share * all as f64;
        match self.turns.iter().position(|(_, turns)| reached(*turns)) {
            None => Bucket::Empty,
            Some(at) if self.turns[at].0.is_finite() => Bucket::UpTo(self.turns[at].0),
            Some(at) => Bucket::Above(at.checked_sub(1).map_or(0.0, |below| self.turns[below].0)),
        }
    }
}

/// The upper bound, if this is a bucket of the turns of shards.
fn turn_bucket(name: &str) -> Option<f64> {
    let label = name.strip_prefix("tickwire_shard_turn_seconds_bucket{le=\"")?;
    match label.strip_suffix("\"}")? {
        "+Inf" => Some(f64::INFINITY),
        bound => bound.parse().ok(),
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("none"),
            Self::UpTo(seconds) => write!(f, "up to {} ms", seconds * 1e3),
            Self::Above(seconds) => write!(f, "above {} ms", seconds * 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(up_to_1_ms: u64, up_to_5_ms: u64, all: u64) -> Metrics {
        Metrics::read(&format!(
            "HTTP/1.0 200 OK\r\n\r\n# TYPE tickwire_shard_turn_seconds histogram\n\
             tickwire_ticks_delivered_total 7\n\
             tickwire_router_turn_seconds_bucket{{le=\"0.001\"}} 99\n\
             tickwire_shard_turn_seconds_sum 0.5\n\
             tickwire_shard_turn_seconds_bucket{{le=\"0.001\"}} {up_to_1_ms}\n\
             tickwire_shard_turn_seconds_bucket{{le=\"0.005\"}} {up_to_5_ms}\n\
             tickwire_shard_turn_seconds_bucket{{le=\"+Inf\"}} {all}\n"
        ))
    }

    #[test]
    fn turns_between_two_looks_are_found_in_their_buckets() {
        let meanwhile = metrics(110, 119, 120).since(&metrics(20, 20, 20));
        assert_eq!(meanwhile.turns(), 100);
        assert_eq!(meanwhile.turn_quantile(0.5), Bucket::UpTo(0.001));
        assert_eq!(meanwhile.turn_quantile(0.99), Bucket::UpTo(0.005));
        assert_eq!(meanwhile.turn_quantile(1.0), Bucket::Above(0.005));
        assert_eq!((meanwhile.turns_above(0.001), meanwhile.turns_above(0.005)), (10, 1));
    }

    #[test]
    fn no_turns_are_in_no_bucket() {
        let meanwhile = metrics(5, 6, 7).since(&metrics(5, 6, 7));
        assert_eq!((meanwhile.turns(), meanwhile.turn_quantile(1.0)), (0, Bucket::Empty));
    }
}
