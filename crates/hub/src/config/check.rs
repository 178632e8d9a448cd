//! Checks of settings, and of the relations between them.

use std::path::Path;

use super::setting::check_at_most;
use super::{Config, ConfigError, format_duration};
use crate::bars::{Calendar, CalendarError};

/// Shortest token, in characters.
const TOKEN_CHARS_MIN: usize = 8;

impl Config {
    /// Checks the range of every setting and the relations between settings.
    ///
    /// # Errors
    /// Fails if a setting is not allowed. The error names the first such setting, its value and
    /// what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        self.check_feeds_and_views()?;
        self.check_origins()?;
        self.check_hosts()?;
        self.check_tokens()?;
        self.check_tls()?;
        self.check_listen()?;
        self.check_disk()?;
        self.check_bars()?;
        self.check_relations()
    }

    /// Returns the files of the certificate and its key, or `None` for a hub without TLS.
    ///
    /// # Errors
    /// Fails if only one of the two is set.
    pub(crate) fn tls_files(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => {
                let allowed = "expected tls_key (--tls-key) with it";
                Err(ConfigError::setting("tls_cert", "set", allowed))
            }
            (None, Some(_)) => {
                let allowed = "expected tls_cert (--tls-cert) with it";
                Err(ConfigError::setting("tls_key", "set", allowed))
            }
        }
    }

    fn check_tls(&self) -> Result<(), ConfigError> {
        if self.tls_files()?.is_none() && self.tls_only {
            let allowed = "expected tls_cert and tls_key (--tls-cert, --tls-key) with it";
            return Err(ConfigError::setting("tls_only", true, allowed));
        }
        Ok(())
    }

    /// Checks relations between numbers, sizes and durations.
    fn check_relations(&self) -> Result<(), ConfigError> {
        let log_ticks = ("log_ticks", self.log_ticks);
        let ingest_ticks_max = ("ingest_ticks_max", self.ingest_ticks_max);
        check_at_most(("publish_ticks_max", self.publish_ticks_max), ingest_ticks_max)?;
        check_at_most(ingest_ticks_max, log_ticks)?;
        let backlog_ticks_max = ("backlog_ticks_max", self.backlog_ticks_max);
        check_at_most(backlog_ticks_max, log_ticks)?;
        let total = ("total_backlog_ticks_max", self.total_backlog_ticks_max);
        check_at_most(backlog_ticks_max, total)?;
        let messages = ("incomplete_messages_size_max", self.incomplete_messages_size_max);
        check_at_most(("command_size_max", self.command_size_max), messages)?;
        check_at_most(("publish_size_max", self.publish_size_max), messages)?;
        // Every shard has an equal part, which must do for a session that uses its own limit up.
        let part = self.subscriptions_max / self.shard_count();
        let part_name = format!("subscriptions_max / {} shards", self.shard_count());
        let per_session = self.subscriptions_per_session_max;
        check_at_most(("subscriptions_per_session_max", per_session), (part_name, part))?;
        if self.idle_timeout <= self.ping_interval {
            let allowed = format!(
                "expected more than ping_interval, which is {}",
                format_duration(self.ping_interval)
            );
            let given = format_duration(self.idle_timeout);
            return Err(ConfigError::setting("idle_timeout", given, allowed));
        }
        Ok(())
    }

    fn check_origins(&self) -> Result<(), ConfigError> {
        match self.allow_origins.iter().find(|origin| !is_origin(origin)) {
            None => Ok(()),
            Some(origin) => Err(ConfigError::setting(
                "allow_origins",
                format!("{origin:?}"),
                "expected a scheme and a host in lower case such as https://example.com, without \
                 blanks or a path",
            )),
        }
    }

    fn check_hosts(&self) -> Result<(), ConfigError> {
        match self.allowed_hosts.iter().find(|host| !is_host_name(host)) {
            None => Ok(()),
            Some(host) => Err(ConfigError::setting(
                "allowed_hosts",
                format!("{host:?}"),
                "expected a host name in lower case such as hub.example.com, without a scheme or \
                 port",
            )),
        }
    }

    fn check_tokens(&self) -> Result<(), ConfigError> {
        let is_token = |token: &str| {
            token.len() >= TOKEN_CHARS_MIN && token.bytes().all(|b| b.is_ascii_graphic())
        };
        for (name, token) in
            [("publish_token", &self.publish_token), ("admin_token", &self.admin_token)]
        {
            if !token.as_deref().is_none_or(is_token) {
                let allowed =
                    format!("expected at least {TOKEN_CHARS_MIN} visible ASCII characters");
                return Err(ConfigError::setting(name, "not a token", allowed));
            }
        }
        Ok(())
    }

    /// Refuses to expose a hub without keys to other machines by mistake.
    fn check_listen(&self) -> Result<(), ConfigError> {
        if self.open && self.keys.is_some() {
            let allowed = "expected either open or keys (--keys)";
            return Err(ConfigError::setting("open", true, allowed));
        }
        if self.open || self.keys.is_some() || self.listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let allowed = "other machines could read and publish there without a key; expected \
            --keys FILE (`tickwire keys add` creates one), a loopback address such as \
            127.0.0.1:8080, or --open if that is intended";
        Err(ConfigError::setting("listen", self.listen, allowed))
    }

    /// Checks the folder of the log on disk. Settings of that log without a folder are refused:
    /// they would suggest that the log is on disk.
    fn check_disk(&self) -> Result<(), ConfigError> {
        if let Some(folder) = &self.data_dir {
            return match folder.as_os_str().is_empty() {
                false => Ok(()),
                true => {
                    Err(ConfigError::setting("data_dir", "empty", "expected the path of a folder"))
                }
            };
        }
        let default = Self::default();
        let set = [
            ("fsync", self.fsync != default.fsync),
            ("disk_size", self.disk_size != default.disk_size),
            ("disk_age", self.disk_age != default.disk_age),
        ];
        match set.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => {
                Err(ConfigError::setting(name, "set", "expected data_dir (--data-dir) with it"))
            }
            None => Ok(()),
        }
    }

    fn check_bars(&self) -> Result<(), ConfigError> {
        Calendar::new(&self.bars_time_zone, &self.bars_session).map(drop).map_err(|error| {
            let (name, given) = match error {
                CalendarError::Zone => ("bars_time_zone", &self.bars_time_zone),
                CalendarError::Session => ("bars_session", &self.bars_session),
            };
            ConfigError::setting(name, format!("{given:?}"), error)
        })
    }
}

/// Returns whether a text is an origin as browsers send it: a scheme, a host and at most a port. No
/// other text can ever match one.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_part = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && !b"/?#@,".contains(&b);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_part))
}

fn is_host_name(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::config::{ByteSize, Fsync};

    fn refusal(config: &Config) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn defaults_hold_all_relations() {
        Config::default().check().unwrap();
    }

    #[test]
    fn value_out_of_range_is_refused_with_what_is_allowed() {
        let config = Config { message_size_max: ByteSize::bytes(70_000), ..Config::default() };
        assert_eq!(refusal(&config), "message_size_max is 70000B: expected 4100B to 65535B");
        let config = Config { disk_size: ByteSize::bytes(1_000), ..Config::default() };
        assert_eq!(refusal(&config), "disk_size is 1000B: expected 1MiB to 1024TiB");
        let config = Config { slow_grace: Duration::from_secs(90), ..Config::default() };
        assert_eq!(refusal(&config), "slow_grace is 90s: expected 1ms to 1m");
        let config = Config { shards: 300, ..Config::default() };
        assert_eq!(refusal(&config), "shards is 300: expected 0 to 256");
    }

    #[test]
    fn tls_only_needs_a_certificate_and_allowed_hosts_are_names() {
        let config = Config { tls_only: true, ..Config::default() };
        assert!(refusal(&config).starts_with("tls_only is true: expected tls_cert and tls_key"));
        let hosts =
            |host: &str| Config { allowed_hosts: vec![host.to_owned()], ..Config::default() };
        hosts("hub.example.com").check().unwrap();
        for host in ["", "https://hub.example", "hub.example:8080", "Hub.example", "a b"] {
            let text = refusal(&hosts(host));
            assert!(text.starts_with(&format!("allowed_hosts is {host:?}: expected")), "{text}");
        }
    }

    #[test]
    fn broken_relation_is_refused_with_the_other_setting() {
        let config = Config { idle_timeout: Duration::from_secs(10), ..Config::default() };
        assert_eq!(
            refusal(&config),
            "idle_timeout is 10s: expected more than ping_interval, which is 15s"
        );
        let config = Config { backlog_ticks_max: 200, log_ticks: 65_536, ..Config::default() };
        config.check().unwrap();
        let config = Config { log_ticks: 100_000, ..Config::default() };
        assert_eq!(
            refusal(&config),
            "backlog_ticks_max is 500000: expected at most log_ticks, which is 100000"
        );
        let config = Config { shards: 4, subscriptions_max: 1_000_000, ..Config::default() };
        assert_eq!(
            refusal(&config),
            "subscriptions_per_session_max is 300000: expected at most subscriptions_max / 4 shards, \
             which is 250000"
        );
        let config = Config { fsync: Fsync::Ack, ..Config::default() };
        assert_eq!(refusal(&config), "fsync is set: expected data_dir (--data-dir) with it");
    }

    #[test]
    fn origin_that_no_browser_sends_is_refused() {
        let with =
            |origin: &str| Config { allow_origins: vec![origin.to_owned()], ..Config::default() };
        for origin in ["https://a.example", "http://localhost:3000", "http://[::1]:8080"] {
            with(origin).check().unwrap();
        }
        for origin in [
            "",
            " https://a.example",
            "https://a.example ",
            "https://a.example/",
            "a.example",
            "https://",
            "https://a.example/page",
            "https://A.example",
            "https://a, https://b",
        ] {
            let text = refusal(&with(origin));
            assert!(text.starts_with(&format!("allow_origins is {origin:?}: expected")), "{text}");
        }
    }

    #[test]
    fn malformed_texts_are_refused_with_what_is_expected() {
        let config = Config { admin_token: Some("short".into()), ..Config::default() };
        assert!(refusal(&config).starts_with("admin_token is not a token"));
        let config = Config { bars_session: "9-17".into(), ..Config::default() };
        let text = refusal(&config);
        assert!(text.starts_with("bars_session is \"9-17\": expected HH:MM-HH:MM"), "{text}");
        let config = Config { bars_time_zone: "Mars/Base".into(), ..Config::default() };
        assert!(refusal(&config).contains("America/New_York"));
        let config = Config { feeds: vec!["main".into(), "main".into()], ..Config::default() };
        assert_eq!(refusal(&config), "feeds is main: named twice");
    }

    #[test]
    fn hub_without_keys_listens_on_loopback_unless_it_is_open() {
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 8080));
        let config = Config { listen: everywhere, ..Config::default() };
        let text = refusal(&config);
        assert!(text.starts_with("listen is 0.0.0.0:8080: "), "{text}");
        for way in ["--keys FILE", "127.0.0.1", "--open"] {
            assert!(text.contains(way), "{text}");
        }
        Config { open: true, ..config.clone() }.check().unwrap();
        let keys = Some(PathBuf::from("keys.toml"));
        Config { keys: keys.clone(), ..config }.check().unwrap();
        let config = Config { keys, open: true, ..Config::default() };
        assert!(refusal(&config).starts_with("open is true: "));
    }
}
