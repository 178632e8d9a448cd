//! Metrics of feeds and of the upstreams of their publishers.

use std::fmt;
use std::sync::Arc;

use prometheus_client::metrics::MetricType;
use tickwire_protocol::{FeedState, SourceReport};

use super::{Output, Scrape};

const STATES: [FeedState; 3] = [FeedState::Live, FeedState::Stale, FeedState::Down];

/// A publisher that reports about its upstream.
struct Reporting<'a> {
    feed: &'a str,
    publisher: Arc<str>,
    report: SourceReport,
}

impl Reporting<'_> {
    fn labels(&self) -> [(&'static str, &str); 2] {
        [("feed", self.feed), ("publisher", &self.publisher)]
    }
}

impl Scrape {
    pub(super) fn feeds(&self, out: &mut Output<'_>) -> fmt::Result {
        let feeds = self.0.feeds.all();
        let states: Vec<_> = feeds
            .iter()
            .flat_map(|feed| {
                let (now, _) = feed.state();
                STATES.map(|state| {
                    let labels = [("feed", feed.name.as_str()), ("state", state.name())];
                    (labels, u64::from(state == now))
                })
            })
            .collect();
        let help = "State of a feed: 1 for the current state, 0 for the others";
        out.family("feed_state", help, MetricType::Gauge, &states)?;
        let by_feed = |of: fn(&crate::state::feeds::FeedStatus) -> u64| -> Vec<_> {
            feeds.iter().map(|feed| (("feed", feed.name.as_str()), of(feed))).collect()
        };
        let ticks = by_feed(|feed| feed.ticks());
        out.counters("feed_ticks_in", "Ticks received from the publishers of a feed", &ticks)?;
        let lost = by_feed(|feed| feed.lost());
        out.counters(
            "feed_lost_ticks",
            "Ticks that publishers of a feed dropped at their sources",
            &lost,
        )?;
        let ahead = by_feed(|feed| feed.trades_ahead());
        let help = "Trades further ahead of the hub's clock than bars_ahead_max";
        out.counters("feed_trades_ahead", help, &ahead)?;
        self.upstreams(out)
    }

    /// Writes the metrics of the upstreams, as publishers report them.
    fn upstreams(&self, out: &mut Output<'_>) -> fmt::Result {
        let sources = self.0.feeds.all().iter().flat_map(|feed| {
            let reporting = |(publisher, source): (
                Arc<str>,
                crate::state::publisher_sessions::PublisherSession,
            )| {
                Some(Reporting { feed: feed.name.as_str(), publisher, report: source.report? })
            };
            feed.publishers.named().into_iter().filter_map(reporting)
        });
        let sources: Vec<Reporting<'_>> = sources.collect();
        let states: Vec<_> = sources
            .iter()
            .flat_map(|source| {
                let [feed, publisher] = source.labels();
                STATES.map(|state| {
                    let is = u64::from(state == source.report.state);
                    ([feed, publisher, ("state", state.name())], is)
                })
            })
            .collect();
        let help = "State of a publisher's upstream: 1 for the current state, 0 for the others";
        out.family("upstream_state", help, MetricType::Gauge, &states)?;
        let mut counters = |name, help, of: fn(&SourceReport) -> u64| {
            let values: Vec<_> =
                sources.iter().map(|source| (source.labels(), of(&source.report))).collect();
            out.family(name, help, MetricType::Counter, &values)
        };
        let connects = "Connections of a publisher to its upstream";
        counters("upstream_connects", connects, |report| report.connects)?;
        counters("upstream_errors", "Errors of a publisher's upstream", |report| report.errors)?;
        counters(
            "upstream_ticks",
            "Ticks that a publisher has received from its upstream",
            |report| report.ticks,
        )
    }
}
