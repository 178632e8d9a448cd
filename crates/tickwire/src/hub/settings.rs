//! Flags that set settings of the hub.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tickwire_hub::{ByteSize, Cidr, Config, Fsync, Setting};

use super::views::{View, view};
use crate::flags::{boolean, duration, list_item, listen, usage};

/// A flag for each setting that is changed often. Flag, environment variable and field are named
/// like the setting, and [`with_help_of_settings`] takes the help of the flag from the setting.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SettingFlags {
    #[arg(long, value_name = "ADDR:PORT", env = "TICKWIRE_LISTEN", value_parser = listen)]
    listen: Option<SocketAddr>,
    #[arg(long, value_name = "N", env = "TICKWIRE_SHARDS")]
    shards: Option<usize>,
    #[arg(long, value_name = "ORIGIN,…", value_delimiter = ',', env = "TICKWIRE_ALLOW_ORIGINS",
        value_parser = list_item)]
    allow_origins: Option<Vec<String>>,
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', env = "TICKWIRE_ALLOWED_HOSTS",
        value_parser = list_item)]
    allowed_hosts: Option<Vec<String>>,
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', env = "TICKWIRE_TRUSTED_PROXY")]
    trusted_proxy: Option<Vec<Cidr>>,
    #[arg(long, value_name = "FILE", env = "TICKWIRE_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", env = "TICKWIRE_TLS_KEY")]
    tls_key: Option<PathBuf>,
    #[arg(long, env = "TICKWIRE_TLS_ONLY", value_parser = boolean)]
    tls_only: bool,
    #[arg(long, value_name = "FILE", env = "TICKWIRE_KEYS")]
    keys: Option<PathBuf>,
    #[arg(long, env = "TICKWIRE_OPEN", value_parser = boolean)]
    open: bool,
    #[arg(long, value_name = "TOKEN", env = "TICKWIRE_PUBLISH_TOKEN", hide_env_values = true)]
    publish_token: Option<String>,
    #[arg(long, value_name = "TOKEN", env = "TICKWIRE_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', env = "TICKWIRE_FEEDS", value_parser = list_item)]
    feeds: Option<Vec<String>>,
    #[arg(
        long,
        value_name = "NAME=FEED[+DELAY],…",
        value_delimiter = ',',
        env = "TICKWIRE_VIEWS",
        value_parser = view
    )]
    views: Vec<View>,
    #[arg(long, value_name = "on|off", env = "TICKWIRE_TEST_FEED", value_parser = boolean)]
    test_feed: Option<bool>,
    #[arg(long, value_name = "on|off", env = "TICKWIRE_BARS", value_parser = boolean)]
    bars: Option<bool>,
    #[arg(long, value_name = "SIZE", env = "TICKWIRE_LOG_SIZE")]
    log_size: Option<ByteSize>,
    #[arg(long, value_name = "TIME", env = "TICKWIRE_LOG_AGE", value_parser = duration)]
    log_age: Option<Duration>,
    #[arg(long, value_name = "DIR", env = "TICKWIRE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[arg(long, value_name = "never|1s|ack", env = "TICKWIRE_FSYNC")]
    fsync: Option<Fsync>,
    #[arg(long, value_name = "SIZE", env = "TICKWIRE_DISK_SIZE")]
    disk_size: Option<ByteSize>,
    #[arg(long, value_name = "TIME", env = "TICKWIRE_DISK_AGE", value_parser = duration)]
    disk_age: Option<Duration>,
    #[arg(long, value_name = "N", env = "TICKWIRE_SESSIONS_MAX")]
    sessions_max: Option<usize>,
    #[arg(long, value_name = "TICKS", env = "TICKWIRE_BACKLOG_TICKS_MAX")]
    backlog_ticks_max: Option<usize>,
    #[arg(long, value_name = "LEVEL", env = "TICKWIRE_LOG")]
    log: Option<String>,
    #[arg(long, value_name = "TIME", env = "TICKWIRE_DRAIN_DURATION", value_parser = duration)]
    drain_duration: Option<Duration>,
}

impl SettingFlags {
    /// Overrides the settings whose flag is given. `views` adds to the views of the config file.
    pub(super) fn apply(self, config: &mut Config) {
        self.require_data_dir(config);
        set(&mut config.listen, self.listen);
        set(&mut config.shards, self.shards);
        set(&mut config.allow_origins, self.allow_origins);
        set(&mut config.allowed_hosts, self.allowed_hosts);
        set(&mut config.trusted_proxy, self.trusted_proxy);
        set(&mut config.tls_cert, self.tls_cert.map(Some));
        set(&mut config.tls_key, self.tls_key.map(Some));
        config.tls_only |= self.tls_only;
        if self.open || self.keys.is_some() {
            // One excludes the other, so both are overridden together.
            config.keys = self.keys;
            config.open = self.open;
        }
        set(&mut config.publish_token, self.publish_token.map(Some));
        set(&mut config.admin_token, self.admin_token.map(Some));
        set(&mut config.feeds, self.feeds);
        config.views.extend(self.views.into_iter().map(View::into_entry));
        set(&mut config.test_feed, self.test_feed);
        set(&mut config.bars, self.bars);
        set(&mut config.log_size, self.log_size);
        set(&mut config.log_age, self.log_age);
        set(&mut config.data_dir, self.data_dir.map(Some));
        set(&mut config.fsync, self.fsync);
        set(&mut config.disk_size, self.disk_size);
        set(&mut config.disk_age, self.disk_age);
        set(&mut config.sessions_max, self.sessions_max);
        set(&mut config.backlog_ticks_max, self.backlog_ticks_max);
        set(&mut config.log, self.log);
        set(&mut config.drain_duration, self.drain_duration);
    }

    /// Exits if a flag about the log on disk is given without a folder for that log, even if its
    /// value is the default, which [`Config::check`] cannot tell.
    fn require_data_dir(&self, config: &Config) {
        if self.data_dir.is_some() || config.data_dir.is_some() {
            return;
        }
        let flags = [
            ("--fsync", self.fsync.is_some()),
            ("--disk-size", self.disk_size.is_some()),
            ("--disk-age", self.disk_age.is_some()),
        ];
        if let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given) {
            usage(&format!("{flag} is about the log on disk: expected --data-dir with it"));
        }
    }
}

fn set<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

/// Gives each flag that sets a setting the summary and the default of that setting as its help,
/// under the heading of the setting's section.
pub(crate) fn with_help_of_settings(hub: clap::Command) -> clap::Command {
    let settings = Config::settings();
    hub.mut_args(|flag| {
        match settings.iter().find(|setting| setting.name == flag.get_id().as_str()) {
            Some(setting) => flag.help(help(setting)).help_heading(setting.section),
            None => flag,
        }
    })
}

/// Returns the help of a flag: the summary of its setting and, where there is one, the default.
fn help(setting: &Setting) -> String {
    let summary = setting.summary();
    let summary = summary.trim_end_matches('.');
    let default = setting.default.as_deref().map(|default| match default {
        "true" => "on".to_owned(),
        "false" => "off".to_owned(),
        toml => toml.replace(['"', '[', ']', '{', '}'], ""),
    });
    let has_value = !matches!(setting.name, "open" | "tls_only");
    match default.filter(|default| has_value && !default.trim().is_empty()) {
        Some(default) => format!("{summary} [default: {default}]"),
        None => summary.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn flag_and_environment_variable_are_named_like_the_setting() {
        let command = cli::command();
        let hub = command.find_subcommand("hub").unwrap();
        for flag in hub.get_arguments() {
            let id = flag.get_id().as_str();
            if matches!(id, "help" | "version") {
                continue;
            }
            assert_eq!(flag.get_long().unwrap(), id.replace('_', "-"));
            let variable = format!("TICKWIRE_{}", id.to_uppercase());
            assert_eq!(flag.get_env().unwrap(), variable.as_str());
            let is_setting = Config::settings().iter().any(|setting| setting.name == id);
            assert_eq!(is_setting, !matches!(id, "config" | "log_format"), "{id}");
        }
    }

    #[test]
    fn help_of_a_flag_is_the_summary_of_its_setting_with_the_default() {
        let settings = Config::settings();
        let help_of =
            |name: &str| help(settings.iter().find(|setting| setting.name == name).unwrap());
        assert_eq!(help_of("listen"), "IP address and port to listen on [default: 127.0.0.1:8080]");
        assert!(help_of("bars").ends_with("[default: on]"));
        assert!(help_of("feeds").ends_with("[default: main]"));
        for without in ["open", "tls_only", "keys", "views", "allow_origins", "trusted_proxy"] {
            assert!(!help_of(without).contains("[default"), "{}", help_of(without));
        }
    }
}
