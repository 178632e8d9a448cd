//! The attacks, in the order of the table.

mod connections;
mod floods;
mod messages;
mod names;
mod replace;
mod replays;
mod snapshots;

use std::time::Duration;

use crate::attack::Attack;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All attacks.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "replays",
        about: "1,000 sessions replay the last hour at its original speed",
        quoted_symbols: 0,
        launch_time: seconds(3),
        start: replays::start_paced,
    },
    Attack {
        name: "unknown-replays",
        about: "8 sessions replay the last hour of names that never existed",
        quoted_symbols: 0,
        launch_time: seconds(1),
        start: replays::start_unknown,
    },
    Attack {
        name: "symbols",
        about: "32 connections search 100,000 symbols",
        quoted_symbols: 100_000,
        launch_time: seconds(1),
        start: floods::start_symbols,
    },
    Attack {
        name: "metrics",
        about: "64 connections request /metrics",
        quoted_symbols: 0,
        launch_time: seconds(1),
        start: floods::start_metrics,
    },
    Attack {
        name: "handshakes",
        about: "64 connections at a time send a TLS ClientHello and leave",
        quoted_symbols: 0,
        launch_time: seconds(1),
        start: floods::start_handshakes,
    },
    Attack {
        name: "headers",
        about: "8,000 sessions send the header of a frame of 1 MiB",
        quoted_symbols: 0,
        launch_time: seconds(6),
        start: messages::start_headers,
    },
    Attack {
        name: "fragments",
        about: "8,000 sessions send a first fragment of one byte and pongs",
        quoted_symbols: 0,
        launch_time: seconds(6),
        start: messages::start_fragments,
    },
    Attack {
        name: "messages",
        about: "300 sessions send a message of 1 MiB without its last byte",
        quoted_symbols: 0,
        launch_time: seconds(2),
        start: messages::start_messages,
    },
    Attack {
        name: "names",
        about: "two sessions subscribe to 300,000 and 200,000 names that never existed",
        quoted_symbols: 0,
        launch_time: seconds(3),
        start: names::start_invented,
    },
    Attack {
        name: "publishers",
        about: "256 publishers are silent",
        quoted_symbols: 0,
        launch_time: seconds(1),
        start: connections::start_publishers,
    },
    Attack {
        name: "idle-http",
        about: "1,100 HTTP connections are idle",
        quoted_symbols: 0,
        launch_time: seconds(2),
        start: connections::start_idle,
    },
    Attack {
        name: "snapshot",
        about: "one session requests the last values of 100,000 symbols, again and again",
        quoted_symbols: 100_000,
        launch_time: seconds(1),
        start: snapshots::start_one,
    },
    Attack {
        name: "snapshots",
        about: "40 sessions request the last values of 100,000 symbols, again and again",
        quoted_symbols: 100_000,
        launch_time: seconds(2),
        start: snapshots::start_many,
    },
    Attack {
        name: "churn",
        about: "a session subscribes to 112,000 names and unsubscribes, again and again",
        quoted_symbols: 100_000,
        launch_time: seconds(1),
        start: names::start_churn,
    },
    Attack {
        name: "replace",
        about: "200 sessions of a key replace each other",
        quoted_symbols: 0,
        launch_time: seconds(1),
        start: replace::start,
    },
];
