//! The hub's metrics, scraped before and after a measurement.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::Result;
use crate::session::ANSWER_WITHIN;

/// Values of the hub's metrics, or their growth between two scrapes.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Ticks delivered to subscribers.
    pub(crate) delivered: f64,
    /// Topics that have ticked.
    pub(crate) topics: f64,
    /// Turns of all shards.
    pub(crate) shards: Turns,
    /// Turns of the router.
    pub(crate) router: Turns,
}

/// A histogram of the times of turns.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    seconds_sum: f64,
    /// Turns that took no longer than each upper bound in seconds; ascending, the last bound
    /// infinite.
    buckets: Vec<(f64, u64)>,
}

/// The bucket of a histogram that a turn is in.
#[derive(Debug, PartialEq)]
pub(crate) enum Bucket {
    /// There was no turn.
    Empty,
    /// The turn took at most this many seconds.
    UpTo(f64),
    /// The turn took more than this many seconds, the largest bound of the histogram.
    Above(f64),
}

impl Metrics {
    /// Reads `/metrics` of a hub.
    pub(crate) fn scrape(hub: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(hub)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {hub}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let metrics = Self::read(&answer);
        if metrics.shards.buckets.is_empty() {
            return Err(format!("{hub}/metrics has no tickwire_shard_turn_seconds").into());
        }
        Ok(metrics)
    }

    fn read(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            match name {
                "tickwire_ticks_delivered_total" => {
                    metrics.delivered = value.parse().unwrap_or(0.0);
                }
                "tickwire_topics" => metrics.topics = value.parse().unwrap_or(0.0),
                _ => {
                    metrics.shards.read("tickwire_shard_turn_seconds", name, value);
                    metrics.router.read("tickwire_router_turn_seconds", name, value);
                }
            }
        }
        metrics
    }

    /// Returns the growth since an earlier scrape of the same hub.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            delivered: self.delivered - earlier.delivered,
            topics: self.topics - earlier.topics,
            shards: self.shards.since(&earlier.shards),
            router: self.router.since(&earlier.router),
        }
    }
}

impl Turns {
    /// Takes a line of the metrics if it belongs to the histogram of this name.
    fn read(&mut self, histogram: &str, name: &str, value: &str) {
        match name.strip_prefix(histogram) {
            Some("_sum") => self.seconds_sum = value.parse().unwrap_or(0.0),
            Some(rest) => self.buckets.extend(upper_bound(rest).zip(value.parse().ok())),
            None => {}
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let buckets = self.buckets.iter().zip(&earlier.buckets);
        Self {
            seconds_sum: self.seconds_sum - earlier.seconds_sum,
            buckets: buckets.map(|(now, then)| (now.0, now.1.saturating_sub(then.1))).collect(),
        }
    }

    /// Returns the number of turns.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, turns)| *turns)
    }

    /// Returns the time of all turns together.
    pub(crate) const fn seconds(&self) -> f64 {
        self.seconds_sum
    }

    /// Returns the time of the average turn.
    pub(crate) fn mean_seconds(&self) -> f64 {
        self.seconds_sum / self.count().max(1) as f64
    }

    /// Returns the number of turns that took longer than a bound of the histogram.
    pub(crate) fn above(&self, bound: f64) -> u64 {
        let within = self.buckets.iter().find(|(upper, _)| *upper >= bound);
        self.count() - within.map_or(0, |(_, turns)| *turns)
    }

    /// Returns the bucket that a share of all turns, from 0 to 1, does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Bucket {
        let all = self.count();
        let reached = |turns: u64| turns > 0 && turns as f64 >= share * all as f64;
        match self.buckets.iter().position(|(_, turns)| reached(*turns)) {
            None => Bucket::Empty,
            Some(at) if self.buckets[at].0.is_finite() => Bucket::UpTo(self.buckets[at].0),
            Some(at) => Bucket::Above(at.checked_sub(1).map_or(0.0, |below| self.buckets[below].0)),
        }
    }
}

/// Returns the upper bound of a bucket, by the end of its metric's name.
fn upper_bound(name_end: &str) -> Option<f64> {
    match name_end.strip_prefix("_bucket{le=\"")?.strip_suffix("\"}")? {
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
             tickwire_router_turn_seconds_sum 0.25\n\
             tickwire_router_turn_seconds_bucket{{le=\"0.001\"}} 99\n\
             tickwire_shard_turn_seconds_sum 0.5\n\
             tickwire_shard_turn_seconds_bucket{{le=\"0.001\"}} {up_to_1_ms}\n\
             tickwire_shard_turn_seconds_bucket{{le=\"0.005\"}} {up_to_5_ms}\n\
             tickwire_shard_turn_seconds_bucket{{le=\"+Inf\"}} {all}\n"
        ))
    }

    #[test]
    fn turns_between_two_scrapes_are_counted_by_bucket() {
        let meanwhile = metrics(110, 119, 120).since(&metrics(20, 20, 20)).shards;
        assert_eq!(meanwhile.count(), 100);
        assert_eq!(meanwhile.quantile(0.5), Bucket::UpTo(0.001));
        assert_eq!(meanwhile.quantile(0.99), Bucket::UpTo(0.005));
        assert_eq!(meanwhile.quantile(1.0), Bucket::Above(0.005));
        assert_eq!((meanwhile.above(0.001), meanwhile.above(0.005)), (10, 1));
    }

    #[test]
    fn turns_of_router_and_shards_are_separate() {
        let metrics = metrics(1, 2, 3);
        assert_eq!((metrics.router.count(), metrics.shards.count()), (99, 3));
        assert!((metrics.router.seconds() - 0.25).abs() < 1e-9);
    }

    #[test]
    fn no_turns_are_in_no_bucket() {
        let meanwhile = metrics(5, 6, 7).since(&metrics(5, 6, 7)).shards;
        assert_eq!((meanwhile.count(), meanwhile.quantile(1.0)), (0, Bucket::Empty));
    }
}
