//! Configuration of the hub: every setting with its default and its limits.

#[macro_use]
mod setting;

mod byte_size;
mod check;
mod cidr;
mod duration;
mod error;
mod feeds;
mod file;
mod fsync;
mod open_files;
mod template;
mod views;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tickwire_protocol::{Feed, TICK_BYTES_MAX};

use crate::bars::BarConfig;
pub use byte_size::{ByteSize, ByteSizeError};
pub use cidr::{Cidr, CidrError};
pub use duration::{DurationError, format_duration, parse_duration};
pub use error::ConfigError;
pub use file::closest;
pub use fsync::{Fsync, FsyncError};
pub use setting::Setting;
pub use views::ViewConfig;
pub(crate) use views::{NamedView, TIMELINES_MAX};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Longest time that the log may be configured to cover.
const LOG_AGE_MAX: Duration = Duration::from_secs(3_650 * 86_400);
/// Shortest interval between periodic actions of a session.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Shortest time that a client is given to act.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// A message that holds the largest tick in any encoding.
const LARGEST_TICK: ByteSize = ByteSize::bytes(TICK_BYTES_MAX as u64 + 4);

settings! {
    /// Settings of the hub. The defaults suit one machine; [`Config::check`] checks the range of
    /// each setting and the relations between settings.
    ///
    /// A name ends in `_max` if the setting is a limit at which the hub refuses, closes or waits.
    /// The doc comments of the fields also are the text of `tickwire config`, of the flags of
    /// `tickwire hub`, and of `docs/configuration.md`.
    #[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {
        section "Network" {
            /// IP address and port to listen on.
            ///
            /// Port 0 takes a free port. An address other than loopback requires `keys` or `open`.
            listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));

            /// Threads that serve subscribers; 0 means one per core but one.
            ///
            /// Each thread (a shard) owns an equal share of the sessions. The remaining core is
            /// left to the router, the publishers and the kernel.
            shards: usize = 0, in 0..=256;

            /// Origins of web pages that may connect, in addition to the hub's own page: scheme and
            /// host, without a path.
            ///
            /// The hub's own page may connect if its origin equals `Host`, and the host is one that
            /// `allowed_hosts` describes.
            allow_origins: Vec<String> = Vec::new();

            /// Host names, without a port, under which the hub's own page and clients without a key
            /// may use the hub, in addition to `localhost`, IP addresses, names without a dot and
            /// the hosts of `allow_origins`.
            ///
            /// The hub checks the `Host` header of pages and of requests that need no key, so that
            /// no website can use it by resolving its own name to the hub's address. Pages that a
            /// proxy serves over HTTPS from a plain connection need no entry.
            allowed_hosts: Vec<String> = Vec::new();

            /// Networks of reverse proxies, such as `10.0.0.0/8`, that name the addresses of their
            /// clients in `X-Forwarded-For` or by the PROXY protocol, version 1 or 2.
            ///
            /// Limits and delays by address then apply to the clients. From other addresses the
            /// header is ignored, and a connection that starts with the PROXY protocol is refused.
            trusted_proxy: Vec<Cidr> = Vec::new();

            /// File with the TLS certificate and its intermediates (PEM). With it, clients may
            /// connect with `https://` and `wss://` as well, on the same port.
            ///
            /// Requires `tls_key`. A changed file applies without a restart.
            tls_cert: Option<PathBuf> = None, example "\"hub.pem\"";

            /// File with the private key of the TLS certificate (PEM).
            tls_key: Option<PathBuf> = None, example "\"hub.key\"";

            /// Refuse connections without TLS: their requests are answered with status 426.
            ///
            /// Requires `tls_cert`.
            tls_only: bool = false;
        }

        section "Access" {
            /// File with the API keys that open the hub; `tickwire keys add` creates it. Without
            /// it, clients need no key.
            ///
            /// Changes of the file apply within two seconds, without a restart.
            keys: Option<PathBuf> = None, example "\"keys.toml\"";

            /// Serve other machines although clients need no key.
            ///
            /// A hub with neither `keys` nor `open` listens on loopback only. The two exclude each
            /// other.
            open: bool = false;

            /// Token that publishers may send in place of a key. Without `publish_token` and
            /// `keys`, every client that reaches the hub may publish.
            ///
            /// At least 8 visible ASCII characters. It is sent as `Authorization: Bearer TOKEN`.
            /// Other users of the machine can see flags, so prefer the config file or the
            /// environment.
            publish_token: Option<String> = None, example "\"change-this-token\"";

            /// Token that administrators may send in place of a key. Without `admin_token` and
            /// `keys`, the hub refuses `POST /api/drain`.
            ///
            /// At least 8 visible ASCII characters. It is sent as `Authorization: Bearer TOKEN`.
            /// Other users of the machine can see flags, so prefer the config file or the
            /// environment.
            admin_token: Option<String> = None, example "\"change-this-token-too\"";
        }

        section "Feeds and views" {
            /// Names of the feeds, at most 64. The first feed is the default of publishers and
            /// subscribers that name none.
            feeds: Vec<String> = vec![Feed::DEFAULT.to_owned()];

            /// Views: additional names under which subscribers reach feeds, live or with a delay.
            ///
            /// Each view has a `feed` and optionally a `delay` of at most 7 days, which must be
            /// shorter than the history (`log_age`, or `disk_age` with `data_dir`). The names
            /// `sip`, `iex` and `delayed_sip` (15 minutes later) stand for the first feed unless
            /// they are redefined here. There may be at most 7 different delays, that of
            /// `delayed_sip` included; each takes a log in memory and two threads.
            views: BTreeMap<String, ViewConfig> = BTreeMap::new(),
                example "{ delayed = { feed = \"main\", delay = \"5m\" } }";

            /// Whether the hub adds a feed `test` with one symbol, FAKEPACA, whose ticks it makes
            /// itself.
            ///
            /// It cannot be turned off while the log in `data_dir` holds ticks of that feed.
            test_feed: bool = true;
        }

        section "Bars" {
            /// Whether the hub makes bars from trades where a feed does not supply them.
            bars: bool = true;

            /// Time zone in which the days of daily bars begin and end: a name of the tz database.
            bars_time_zone: String = "America/New_York".to_owned();

            /// Part of the day whose prices make the daily bar, as `HH:MM-HH:MM`.
            ///
            /// Trades outside of it are treated as if they were marked as trades of extended hours.
            bars_session: String = "00:00-24:00".to_owned();

            /// Memory for the trades and minutes that late corrections need. Beyond it, the oldest
            /// minutes can no longer be corrected.
            bars_size: ByteSize = ByteSize::mib(128), in ByteSize::bytes(0)..=ByteSize::tib(1);

            /// Time by which a trade may be ahead of the hub's clock and still advance the clock of
            /// its feed, which closes minutes.
            ///
            /// A trade further ahead is published and counts for the bars of its own symbol. It is
            /// counted in `tickwire_feed_trades_ahead_total` and logged.
            #[serde(with = "duration")]
            bars_ahead_max: Duration = Duration::from_secs(5),
                in INTERVAL_MIN..=Duration::from_secs(3_600);
        }

        section "History in memory" {
            /// Memory for the log, the newest ticks from which all subscribers are served.
            ///
            /// The oldest ticks are dropped when the log exceeds its size, its number of ticks or
            /// its age. A tick takes about 520 bytes. Each delay of a view takes a log of its own
            /// of at most this size.
            log_size: ByteSize = ByteSize::mib(256), in ByteSize::mib(1)..=ByteSize::tib(1);

            /// Maximum number of ticks in the log.
            log_ticks: usize = 8_000_000, in 1..=1 << 31;

            /// Age at which ticks are dropped from the log, counted from their receipt by the hub.
            #[serde(with = "duration")]
            log_age: Duration = DAY, in INTERVAL_MIN..=LOG_AGE_MAX;
        }

        section "History on disk" {
            /// Folder of a log on disk. With it, history, sequence numbers and publishers' progress
            /// survive restarts; without it, they end with the process.
            data_dir: Option<PathBuf> = None, example "\"/var/lib/tickwire\"";

            /// When the log is forced to the disk, to survive a failure of the machine: `never`,
            /// once a second (`1s`), or before publishers receive their acknowledgement (`ack`).
            ///
            /// The log survives the end of the process in any case. Requires `data_dir`.
            fsync: Fsync = Fsync::EverySecond;

            /// Disk space for the log, without checkpoints. Beyond it, the oldest segments are
            /// deleted.
            ///
            /// Requires `data_dir`.
            disk_size: ByteSize = ByteSize::gib(8), in ByteSize::mib(1)..=ByteSize::tib(1_024);

            /// Age at which segments of the log on disk are deleted, counted back from the newest
            /// tick.
            ///
            /// Requires `data_dir`.
            #[serde(with = "duration")]
            disk_age: Duration = Duration::from_secs(7 * 86_400),
                in Duration::from_secs(1)..=LOG_AGE_MAX;
        }

        section "Connections" {
            /// Maximum number of subscriber sessions.
            ///
            /// The default is lowered to fit the open-file limit.
            sessions_max: usize = 20_000, in 1..=1_000_000;

            /// Maximum number of sessions from one address: an IPv4 address or an IPv6 network of
            /// 64 bits. Loopback is not limited.
            sessions_per_address_max: usize = 1_000, in 1..=1_000_000;

            /// Maximum number of HTTP connections that have not become sessions, a quarter of them
            /// from one address.
            ///
            /// Beyond it, a new connection takes the place of the one that has been idle for
            /// longest. The default is lowered to fit the open-file limit.
            http_connections_max: usize = 1_024, in 1..=100_000;

            /// Maximum number of publisher sessions, and of publisher ids whose progress is kept.
            ///
            /// Half of the sessions may belong to one key, and half may come from one address other
            /// than loopback. Beyond a limit, a new session takes the place of the oldest one that
            /// has sent nothing.
            publishers_max: usize = 256, in 1..=10_000;
        }

        section "Subscriptions" {
            /// Maximum number of subscriptions of one session. A subscription is a symbol, or `*`,
            /// in a channel.
            subscriptions_per_session_max: usize = 300_000, in 1..=10_000_000;

            /// Maximum number of subscriptions of all sessions together. Each delay of views has
            /// this limit separately.
            ///
            /// Every shard gets an equal part, which must be at least
            /// `subscriptions_per_session_max`. A client (a key, or an address without one) may
            /// hold half of what others leave.
            subscriptions_max: usize = 20_000_000, in 1..=1 << 31;

            /// Maximum number of topics per shard that have subscribers but have never ticked. A
            /// client (a key, or an address without one) may hold half of what others leave.
            waiting_topics_max: usize = 600_000, in 1..=1 << 28;

            /// Maximum number of topics that tick. A topic is a symbol in a channel of a feed.
            topics_max: usize = 2_000_000, in 1..=1 << 28;
        }

        section "Messages" {
            /// Largest command of a subscriber.
            command_size_max: ByteSize = ByteSize::mib(1), in ByteSize::kib(1)..=ByteSize::mib(64);

            /// Largest payload of a message with ticks to a subscriber.
            message_size_max: ByteSize = ByteSize::bytes(65_535),
                in LARGEST_TICK..=ByteSize::bytes(65_535);

            /// Largest message of a publisher.
            publish_size_max: ByteSize = ByteSize::mib(1), in LARGEST_TICK..=ByteSize::mib(64);

            /// Memory for messages of subscribers and publishers that have not ended or are not
            /// handled yet, of all clients together. The first 16 KiB of a message do not count.
            ///
            /// Beyond it, the hub closes sessions of the address that holds the most, and first
            /// those whose messages are large and have not grown for long. At least
            /// `command_size_max` and `publish_size_max`.
            incomplete_messages_size_max: ByteSize = ByteSize::mib(64),
                in ByteSize::kib(64)..=ByteSize::tib(1);

            /// Maximum number of ticks in one message of a publisher. At most `ingest_ticks_max`.
            publish_ticks_max: usize = 16_384, in 1..=1 << 31;

            /// Maximum number of ticks received from publishers and not yet numbered. Beyond it,
            /// publishers wait. At most `log_ticks`.
            ingest_ticks_max: usize = 65_536, in 1..=1 << 31;
        }

        section "Slow subscribers" {
            /// Maximum number of ticks pending for a session. Beyond it, the session counts as slow
            /// and is closed, or continues with the newest values only if it asked for that.
            ///
            /// At most `log_ticks`. A pending tick takes 4 bytes.
            backlog_ticks_max: usize = 500_000, in 1..=1 << 31;

            /// Maximum number of ticks pending for all sessions together. Beyond it, the slowest
            /// sessions count as slow. Each delay of views has this limit separately.
            ///
            /// At least `backlog_ticks_max`.
            total_backlog_ticks_max: usize = 100_000_000, in 1..=1 << 36;

            /// Age of the oldest pending tick at which a session counts as slow.
            #[serde(with = "duration")]
            backlog_age_max: Duration = Duration::from_secs(10), in INTERVAL_MIN..=DAY;

            /// Time that a slow session has to read its error before its connection is cut.
            #[serde(with = "duration")]
            slow_grace: Duration = Duration::from_secs(1), in Duration::from_millis(1)..=MINUTE;
        }

        section "Log" {
            /// What the hub logs to standard error: a level (`error`, `warn`, `info`, `debug`,
            /// `trace`, `off`), or levels of modules such as `info,tickwire_hub::http=debug`.
            ///
            /// A hub that receives SIGHUP applies a changed value of the config file.
            log: String = "info".to_owned();
        }

        section "Timing" {
            /// Time for which an answer to `/metrics` is given to other requests too, so that many
            /// requests cost little more than one.
            #[serde(with = "duration")]
            metrics_age_max: Duration = Duration::from_millis(250), in Duration::ZERO..=MINUTE;

            /// Time between two pings to a session.
            #[serde(with = "duration")]
            ping_interval: Duration = Duration::from_secs(15), in INTERVAL_MIN..=DAY;

            /// Time without a byte from a client, pongs included, after which its session is
            /// closed. Longer than `ping_interval`.
            ///
            /// Bytes of a message that has not ended count for at most `message_timeout`.
            #[serde(with = "duration")]
            idle_timeout: Duration = Duration::from_secs(60),
                in INTERVAL_MIN..=Duration::from_secs(24 * 86_400);

            /// Time without any message to a session after which the session is sent a heartbeat.
            #[serde(with = "duration")]
            heartbeat_interval: Duration = Duration::from_secs(15), in INTERVAL_MIN..=DAY;

            /// Time without ticks after which a feed is reported as stale.
            #[serde(with = "duration")]
            feed_stale_after: Duration = Duration::from_secs(10), in INTERVAL_MIN..=DAY;

            /// Time that a client has for its TLS handshake and for sending a request.
            #[serde(with = "duration")]
            handshake_timeout: Duration = Duration::from_secs(10), in TIMEOUT_MIN..=MINUTE;

            /// Time that a client has for a message, from its first byte to its last. Pings and
            /// pongs in between do not extend it.
            #[serde(with = "duration")]
            message_timeout: Duration = Duration::from_secs(30), in TIMEOUT_MIN..=DAY;

            /// Time that a session has to authenticate.
            #[serde(with = "duration")]
            auth_timeout: Duration = Duration::from_secs(10), in TIMEOUT_MIN..=MINUTE;

            /// Time over which sessions are closed at shutdown, one after the other.
            ///
            /// It spreads the load of reconnecting clients. Without sessions the hub exits at once.
            #[serde(with = "duration")]
            drain_duration: Duration = Duration::from_secs(5), in Duration::ZERO..=MINUTE;
        }
    }
}

impl Config {
    /// Returns the number of shards to start.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        match self.shards {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().max(2) - 1),
            shards => shards,
        }
    }

    /// Returns the settings of bars, or `None` if the hub makes none.
    pub(crate) fn bars(&self) -> Option<BarConfig> {
        self.bars.then(|| BarConfig {
            time_zone: self.bars_time_zone.clone(),
            session: self.bars_session.clone(),
            bytes_max: self.bars_size.as_usize(),
            ahead_max: self.bars_ahead_max,
        })
    }
}
