//! Every limit of the hub, with its default and its check.

mod byte_size;
mod duration;
mod fsync;
mod views;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tickwire_protocol::{Feed, TICK_BYTES_MAX};

use crate::bars::{BarConfig, Calendar, CalendarError};
pub use byte_size::{ByteSize, ByteSizeError};
pub use duration::{DurationError, format_duration, parse_duration};
pub use fsync::{Fsync, FsyncError};
pub use views::ViewConfig;
pub(crate) use views::{NamedView, TIMELINES_MAX};

/// What the hub is told. The defaults suit one machine; [`Config::check`] holds the relations
/// between the limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Shards, each a thread with its share of the connections; 0 means one per core but one, which is
    /// left to the router, the publishers and the kernel.
    pub shards: usize,
    /// Names of the feeds that exist; the first is meant when none is named.
    pub feeds: Vec<String>,
    /// Names by which subscribers reach feeds beside those of the feeds themselves, with or without a delay.
    /// Without another meaning `sip` and `iex` are the first feed, and `delayed_sip` is that 15 minutes later.
    pub views: BTreeMap<String, ViewConfig>,
    /// Whether there is a feed `test` that ticks by itself, unless it is among the feeds.
    pub test_feed: bool,
    /// What publishers must show as `Authorization: Bearer …`; without it anyone may publish.
    pub publish_token: Option<String>,
    /// What administrators must show in the same way; without it nobody may drain the hub.
    pub admin_token: Option<String>,
    /// File of the keys that open the hub; without it no key is needed.
    pub keys: Option<PathBuf>,
    /// Whether others than this machine may reach a hub that needs no key.
    pub open: bool,
    /// Origins of web pages that may connect beside the hub's own, such as `https://example.com`.
    pub allow_origins: Vec<String>,
    /// File with the certificate for TLS and those between it and its authority (PEM). With it clients
    /// may connect with TLS, on the same port as those without.
    pub tls_cert: Option<PathBuf>,
    /// File with the key of the certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// Whether the hub makes bars of trades where no feed supplies them.
    pub bars: bool,
    /// Time zone in which the days of daily bars begin and end, a name of the tz database.
    pub bars_time_zone: String,
    /// The part of a day whose prices make the daily bar, `HH:MM-HH:MM`. Outside of it trades count as
    /// if they were marked as of extended hours.
    pub bars_session: String,
    /// Folder of the durable log; without it history is in memory only and ends with the process.
    pub data_dir: Option<PathBuf>,
    /// When what was logged on disk is made to survive a failure of the machine.
    pub fsync: Fsync,

    /// Most subscriber sessions.
    pub sessions_max: usize,
    /// Most sessions from one address; loopback is not limited.
    pub sessions_per_address_max: usize,
    /// Most HTTP connections that have not become sessions.
    pub http_connections_max: usize,
    /// Most publisher sessions, and most publisher ids that are remembered.
    pub publishers_max: usize,
    /// Most names one session may subscribe to.
    pub subscriptions_per_session_max: usize,
    /// Most names all sessions may subscribe to together; those of views with the same delay count by
    /// themselves.
    pub subscriptions_max: usize,
    /// Most names that are waited for and have never ticked, per shard.
    pub waiting_topics_max: usize,
    /// Most topics that tick.
    pub topics_max: usize,

    /// Largest command.
    pub command_size_max: ByteSize,
    /// Largest data message to a subscriber; payload alone.
    pub message_size_max: ByteSize,
    /// Largest message from a publisher.
    pub publish_size_max: ByteSize,
    /// Most ticks in one message from a publisher.
    pub publish_ticks_max: usize,
    /// Most ticks taken from publishers and not numbered yet; beyond it they have to wait.
    pub ingest_ticks_max: usize,

    /// Most bytes of minutes and their trades that are kept for bars to be corrected.
    pub bars_size: ByteSize,
    /// Most bytes of the log.
    pub log_size: ByteSize,
    /// Most ticks of the log.
    pub log_ticks: usize,
    /// Oldest that ticks of the log may be since the hub received them.
    #[serde(with = "duration")]
    pub log_age: Duration,
    /// Most bytes of the log on disk.
    pub disk_size: ByteSize,
    /// Oldest that ticks of the log on disk need to be kept.
    #[serde(with = "duration")]
    pub disk_age: Duration,
    /// Most ticks a session may have pending before it counts as slow.
    pub backlog_ticks_max: usize,
    /// Most ticks all sessions may have pending together; beyond it the slowest ones count as slow. Those of
    /// views with the same delay count by themselves.
    pub total_backlog_ticks_max: usize,
    /// Most time a session may be behind before it counts as slow.
    #[serde(with = "duration")]
    pub backlog_age_max: Duration,
    /// How long a slow session may take to fetch its error and close.
    #[serde(with = "duration")]
    pub slow_grace: Duration,

    /// Time between pings to a session.
    #[serde(with = "duration")]
    pub ping_interval: Duration,
    /// How long a session may send nothing at all, pongs included.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// A session that was sent nothing for so long gets a heartbeat.
    #[serde(with = "duration")]
    pub heartbeat_interval: Duration,
    /// A feed without ticks for so long is stale.
    #[serde(with = "duration")]
    pub feed_stale_after: Duration,
    /// How long a client may take over its request.
    #[serde(with = "duration")]
    pub handshake_timeout: Duration,
    /// How long a session may take to show its key.
    #[serde(with = "duration")]
    pub auth_timeout: Duration,
    /// How long sessions may take to fetch what is pending at shutdown.
    #[serde(with = "duration")]
    pub drain_duration: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            shards: 0,
            feeds: vec![Feed::DEFAULT.to_owned()],
            views: BTreeMap::new(),
            test_feed: true,
            publish_token: None,
            admin_token: None,
            keys: None,
            open: false,
            allow_origins: Vec::new(),
            tls_cert: None,
            tls_key: None,
            bars: true,
            bars_time_zone: "America/New_York".to_owned(),
            bars_session: "00:00-24:00".to_owned(),
            data_dir: None,
            fsync: Fsync::EverySecond,
            sessions_max: 20_000,
            sessions_per_address_max: 1_000,
            http_connections_max: 1_024,
            publishers_max: 256,
            subscriptions_per_session_max: 300_000,
            subscriptions_max: 20_000_000,
            waiting_topics_max: 500_000,
            topics_max: 2_000_000,
            command_size_max: ByteSize::mib(1),
            message_size_max: ByteSize::bytes(65_535),
            publish_size_max: ByteSize::mib(1),
            publish_ticks_max: 16_384,
            ingest_ticks_max: 65_536,
            bars_size: ByteSize::mib(128),
            log_size: ByteSize::mib(256),
            log_ticks: 8_000_000,
            log_age: DAY,
            disk_size: ByteSize::gib(8),
            disk_age: DAY * 7,
            backlog_ticks_max: 500_000,
            total_backlog_ticks_max: 100_000_000,
            backlog_age_max: Duration::from_secs(10),
            slow_grace: Duration::from_secs(1),
            ping_interval: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(15),
            feed_stale_after: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(10),
            drain_duration: Duration::from_secs(5),
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read config file {path}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("config file {path}, line {line}: {message}")]
    Parse {
        /// Its path.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A setting is out of its range.
    #[error("{name} is {given}: {allowed}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
}

/// Files a process needs beside those of its connections: listener, event queues, standard streams.
const OTHER_FILES: usize = 64;

/// Name of the feed that ticks by itself.
const TEST_FEED: &str = "test";

const DAY: Duration = Duration::from_secs(86_400);

impl Config {
    /// Reads a TOML file; what it does not name keeps its default.
    ///
    /// # Errors
    /// If it cannot be read, or names a setting that does not exist or has the wrong type.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
        // The whole error would show the line, and with it perhaps a token.
        toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: shown,
            line: line_of(&text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })
    }

    /// Checks every limit and the relations between them.
    ///
    /// # Errors
    /// Names the first setting that is out of its range, what was given and what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_delays()?;
        for origin in &self.allow_origins {
            if !(origin.starts_with("http://") || origin.starts_with("https://"))
                || origin.ends_with('/')
            {
                return Err(setting(
                    "allow_origins",
                    origin,
                    "expected a scheme and a host such as https://example.com, without a path",
                ));
            }
        }
        self.check_tokens()?;
        self.tls_files()?;
        self.check_keys()?;
        let ranges = [
            ("shards", self.shards, 0, 256),
            ("sessions_max", self.sessions_max, 1, 1_000_000),
            ("sessions_per_address_max", self.sessions_per_address_max, 1, 1_000_000),
            ("http_connections_max", self.http_connections_max, 1, 100_000),
            ("publishers_max", self.publishers_max, 1, 10_000),
            ("subscriptions_per_session_max", self.subscriptions_per_session_max, 1, 10_000_000),
            ("waiting_topics_max", self.waiting_topics_max, 1, 1 << 28),
            ("topics_max", self.topics_max, 1, 1 << 28),
            (
                "subscriptions_max",
                self.subscriptions_max,
                self.subscriptions_per_session_max * self.shard_count(),
                1 << 31,
            ),
            ("publish_ticks_max", self.publish_ticks_max, 1, self.ingest_ticks_max),
            ("ingest_ticks_max", self.ingest_ticks_max, 1, self.log_ticks),
            ("log_ticks", self.log_ticks, 1, 1 << 31),
            ("backlog_ticks_max", self.backlog_ticks_max, 1, self.log_ticks),
            (
                "total_backlog_ticks_max",
                self.total_backlog_ticks_max,
                self.backlog_ticks_max,
                1 << 36,
            ),
        ];
        for (name, given, least, most) in ranges {
            check_range(name, given, least..=most)?;
        }
        self.check_sizes()?;
        self.check_disk()?;
        self.check_bars()?;
        self.check_times()
    }

    fn check_bars(&self) -> Result<(), ConfigError> {
        Calendar::new(&self.bars_time_zone, &self.bars_session).map(drop).map_err(|error| {
            let (name, given) = match error {
                CalendarError::Zone => ("bars_time_zone", &self.bars_time_zone),
                CalendarError::Session => ("bars_session", &self.bars_session),
            };
            setting(name, format!("{given:?}"), error)
        })
    }

    /// What bars are to be like; `None` if the hub is to make none.
    pub(crate) fn bars(&self) -> Option<BarConfig> {
        self.bars.then(|| BarConfig {
            time_zone: self.bars_time_zone.clone(),
            session: self.bars_session.clone(),
            bytes_max: self.bars_size.as_usize(),
        })
    }

    /// The files of certificate and key, if there is to be TLS.
    ///
    /// # Errors
    /// If only one of them is given.
    pub(crate) fn tls_files(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(setting("tls_cert", "set", "expected tls_key (--tls-key) with it"))
            }
            (None, Some(_)) => {
                Err(setting("tls_key", "set", "expected tls_cert (--tls-cert) with it"))
            }
        }
    }

    fn check_tokens(&self) -> Result<(), ConfigError> {
        let sendable =
            |token: &str| token.len() >= 8 && token.bytes().all(|b| b.is_ascii_graphic());
        for (name, token) in
            [("publish_token", &self.publish_token), ("admin_token", &self.admin_token)]
        {
            if !token.as_deref().is_none_or(sendable) {
                let allowed = "expected 8 visible ASCII characters or more";
                return Err(setting(name, "not a token", allowed));
            }
        }
        Ok(())
    }

    /// A hub that needs no key must not be reached by others by mistake.
    fn check_keys(&self) -> Result<(), ConfigError> {
        if self.open && self.keys.is_some() {
            return Err(setting("open", true, "expected either open or keys (--keys)"));
        }
        if self.open || self.keys.is_some() || self.listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let allowed = "others could read and publish there without a key; expected --keys FILE \
            (`tickwire keys add` makes one), or an address of this machine only such as \
            127.0.0.1:8080, or --open if that is meant";
        Err(setting("listen", self.listen, allowed))
    }

    fn check_disk(&self) -> Result<(), ConfigError> {
        if self.data_dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            return Err(setting("data_dir", "empty", "expected the path of a folder"));
        }
        self.check_no_disk()
    }

    /// Whoever sets how the log on disk is kept must not believe that there is one.
    fn check_no_disk(&self) -> Result<(), ConfigError> {
        if self.data_dir.is_some() {
            return Ok(());
        }
        let default = Self::default();
        let set = [
            ("fsync", self.fsync != default.fsync),
            ("disk_size", self.disk_size != default.disk_size),
            ("disk_age", self.disk_age != default.disk_age),
        ];
        match set.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => Err(setting(name, "set", "expected data_dir with it")),
            None => Ok(()),
        }
    }

    fn check_sizes(&self) -> Result<(), ConfigError> {
        let tick = ByteSize::bytes(TICK_BYTES_MAX as u64 + 4);
        let ranges = [
            ("command_size_max", self.command_size_max, ByteSize::kib(1), ByteSize::mib(64)),
            ("message_size_max", self.message_size_max, tick, ByteSize::bytes(65_535)),
            ("publish_size_max", self.publish_size_max, tick, ByteSize::mib(64)),
            ("bars_size", self.bars_size, ByteSize::bytes(0), ByteSize::tib(1)),
            ("log_size", self.log_size, ByteSize::mib(1), ByteSize::tib(1)),
            ("disk_size", self.disk_size, ByteSize::mib(1), ByteSize::tib(1_024)),
        ];
        ranges
            .into_iter()
            .try_for_each(|(name, given, least, most)| check_range(name, given, least..=most))
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        const MILLISECOND: Duration = Duration::from_millis(1);
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        let ranges = [
            ("backlog_age_max", self.backlog_age_max, MILLISECOND * 100, DAY),
            ("slow_grace", self.slow_grace, MILLISECOND, MINUTE),
            ("ping_interval", self.ping_interval, MILLISECOND * 100, DAY),
            ("idle_timeout", self.idle_timeout, self.ping_interval + MILLISECOND, DAY * 24),
            ("heartbeat_interval", self.heartbeat_interval, MILLISECOND * 100, DAY),
            ("feed_stale_after", self.feed_stale_after, MILLISECOND * 100, DAY),
            ("handshake_timeout", self.handshake_timeout, MILLISECOND * 10, MINUTE),
            ("auth_timeout", self.auth_timeout, MILLISECOND * 10, MINUTE),
            ("drain_duration", self.drain_duration, Duration::ZERO, MINUTE),
            ("log_age", self.log_age, MILLISECOND * 100, DAY * 3_650),
            ("disk_age", self.disk_age, SECOND, DAY * 3_650),
        ];
        for (name, given, least, most) in ranges {
            if !(least..=most).contains(&given) {
                let [given, least, most] = [given, least, most].map(format_duration);
                return Err(setting(name, given, format!("expected {least} to {most}")));
            }
        }
        Ok(())
    }

    /// The feeds, in the order of their numbers; the one that ticks by itself is the last.
    ///
    /// # Errors
    /// If there is none, or too many, or a name that is none, or one twice.
    pub fn feeds(&self) -> Result<Vec<Feed>, ConfigError> {
        let mut feeds = Vec::new();
        for name in &self.feeds {
            let feed = Feed::new(name).map_err(|error| setting("feeds", name, error))?;
            if feeds.contains(&feed) {
                return Err(setting("feeds", name, "named twice"));
            }
            feeds.push(feed);
        }
        if !(1..=64).contains(&feeds.len()) {
            return Err(setting("feeds", format!("{} names", feeds.len()), "expected 1 to 64"));
        }
        if self.has_test_feed() {
            feeds.push(Feed::new(TEST_FEED).expect("it is the name of a feed"));
        }
        Ok(feeds)
    }

    /// Whether the hub itself feeds one of its feeds, which is the last one then.
    pub(crate) fn has_test_feed(&self) -> bool {
        self.test_feed && !self.feeds.iter().any(|name| name == TEST_FEED)
    }

    /// Fits the defaults of sessions and HTTP connections to the files the process may open.
    ///
    /// # Errors
    /// If a number of sessions that differs from the default does not fit.
    pub fn fit_files(&mut self, open_files_max: u64) -> Result<(), ConfigError> {
        let default = Self::default();
        let files = usize::try_from(open_files_max).unwrap_or(usize::MAX);
        if self.http_connections_max == default.http_connections_max {
            self.http_connections_max = default.http_connections_max.min((files / 64).max(1));
        }
        let other = OTHER_FILES + self.publishers_max.min(files / 64) + self.http_connections_max;
        let fits = files.saturating_sub(other).max(1);
        if self.sessions_max <= fits {
            return Ok(());
        }
        if self.sessions_max != default.sessions_max {
            let allowed = format!(
                "the process may open {files} files (ulimit -n), which leaves room for {fits} sessions"
            );
            return Err(setting("sessions_max", self.sessions_max, allowed));
        }
        self.sessions_max = fits;
        Ok(())
    }

    /// Shards to start.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        match self.shards {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().max(2) - 1),
            shards => shards,
        }
    }
}

/// The line of a text, from 1, in which a byte is.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn setting(
    name: &'static str,
    given: impl std::fmt::Display,
    allowed: impl std::fmt::Display,
) -> ConfigError {
    ConfigError::Setting { name, given: given.to_string(), allowed: allowed.to_string() }
}

fn check_range<T: PartialOrd + std::fmt::Display>(
    name: &'static str,
    given: T,
    allowed: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if allowed.contains(&given) {
        return Ok(());
    }
    Err(setting(name, given, format!("expected {} to {}", allowed.start(), allowed.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_all_relations() {
        Config::default().check().unwrap();
    }

    #[test]
    fn a_mistake_in_the_file_is_told_by_its_line_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.toml");
        for text in
            ["bars = true\npublish_token = supersecret", "\nadmin_token = [\"supersecret\"]"]
        {
            std::fs::write(&path, text).unwrap();
            let error = Config::from_file(&path).unwrap_err().to_string();
            assert!(error.contains("hub.toml, line 2: "), "{error}");
            assert!(!error.contains("supersecret"), "{error}");
        }
    }

    #[test]
    fn a_setting_out_of_range_is_named_with_what_is_allowed() {
        let config = Config { message_size_max: ByteSize::bytes(70_000), ..Config::default() };
        let text = config.check().unwrap_err().to_string();
        assert_eq!(text, "message_size_max is 70000B: expected 4100B to 65535B");
        let config = Config { idle_timeout: Duration::from_millis(10), ..Config::default() };
        assert!(config.check().unwrap_err().to_string().starts_with("idle_timeout is 10ms:"));
        let config = Config { disk_size: ByteSize::bytes(1_000), ..Config::default() };
        assert!(config.check().unwrap_err().to_string().starts_with("disk_size is 1000B:"));
        let config = Config { fsync: Fsync::Ack, ..Config::default() };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "fsync is set: expected data_dir with it"
        );
        let config = Config { admin_token: Some("short".into()), ..Config::default() };
        assert!(config.check().unwrap_err().to_string().starts_with("admin_token is not a token"));
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 8080));
        let config = Config { listen: everywhere, ..Config::default() };
        let text = config.check().unwrap_err().to_string();
        assert!(text.starts_with("listen is 0.0.0.0:8080: "), "{text}");
        for way in ["--keys FILE", "127.0.0.1", "--open"] {
            assert!(text.contains(way), "{text}");
        }
        Config { open: true, ..config.clone() }.check().unwrap();
        let keys = Some(PathBuf::from("keys.toml"));
        Config { keys: keys.clone(), ..config }.check().unwrap();
        let config = Config { keys, open: true, ..Config::default() };
        assert!(config.check().unwrap_err().to_string().starts_with("open is true: "));
        let config = Config { bars_session: "9-17".into(), ..Config::default() };
        let text = config.check().unwrap_err().to_string();
        assert!(text.starts_with("bars_session is \"9-17\": expected HH:MM-HH:MM"), "{text}");
        let config = Config { bars_time_zone: "Mars/Base".into(), ..Config::default() };
        assert!(config.check().unwrap_err().to_string().contains("America/New_York"));
        let config = Config { feeds: vec!["main".into(), "main".into()], ..Config::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "feeds is main: named twice");
    }

    #[test]
    fn unknown_settings_are_refused() {
        let error = toml::from_str::<Config>("sesions_max = 3").unwrap_err();
        assert!(error.to_string().contains("sesions_max"), "{error}");
    }

    #[test]
    fn sessions_are_fitted_to_the_open_files_only_by_default() {
        let mut config = Config::default();
        config.fit_files(10_000).unwrap();
        assert!(config.sessions_max < 10_000 && config.sessions_max > 8_000);
        let mut config = Config { sessions_max: 15_000, ..Config::default() };
        let text = config.fit_files(10_000).unwrap_err().to_string();
        assert!(text.contains("15000") && text.contains("10000"), "{text}");
    }
}
