//! What is known of a setting beside its value: documentation, default and allowed range.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::ConfigError;
use super::{ByteSize, format_duration};

/// Describes one field of [`Config`](super::Config), for `tickwire config`, `--help` and
/// `docs/configuration.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Heading of the group the setting belongs to.
    pub section: &'static str,
    /// Name of the field, which is the key in the config file. A flag for the setting is this name
    /// with dashes, its environment variable this name in capitals after `TICKWIRE_`.
    pub name: &'static str,
    /// The doc comment of the field: lines of Markdown, with empty lines between paragraphs. The
    /// first paragraph serves as a summary.
    pub doc: String,
    /// The default as it is written in TOML; `None` if the setting has no default.
    pub default: Option<String>,
    /// A value for settings without a default, as it is written in TOML.
    pub example: Option<&'static str>,
    /// The range of values that [`Config::check`](super::Config::check) allows, such as `1 to 256`.
    pub allowed: Option<String>,
}

impl Setting {
    /// Returns the first paragraph of the doc comment as one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines: Vec<_> = self.doc.lines().take_while(|line| !line.is_empty()).collect();
        lines.join(" ")
    }
}

/// Joins the lines of a doc comment, each of which begins with the space after `///`.
pub(super) fn join_doc(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

/// A type of settings that can have a range of allowed values.
pub(super) trait Limit: PartialOrd {
    /// Returns the value as messages and documents show it.
    fn text(&self) -> String;
}

impl Limit for usize {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Limit for ByteSize {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Limit for Duration {
    fn text(&self) -> String {
        format_duration(*self)
    }
}

/// Returns the text of a range of allowed values: `1 to 256`.
pub(super) fn range_text<T: Limit>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start().text(), range.end().text())
}

/// Fails if a value is outside of its range.
pub(super) fn check_range<T: Limit>(
    name: &'static str,
    given: &T,
    range: &RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(given) {
        return Ok(());
    }
    Err(ConfigError::setting(name, given.text(), format!("expected {}", range_text(range))))
}

/// Fails if a value exceeds the value of another setting.
pub(super) fn check_at_most<T: Limit>(
    (name, given): (&'static str, T),
    (other, most): (impl Display, T),
) -> Result<(), ConfigError> {
    if given <= most {
        return Ok(());
    }
    let allowed = format!("expected at most {other}, which is {}", most.text());
    Err(ConfigError::setting(name, given.text(), allowed))
}

/// Declares [`Config`](super::Config): each field once, with its doc comment, its default, and
/// where they exist its range of allowed values (`in`) and an example of a value (`example`).
///
/// Generates the struct, its `Default`, `Config::settings` and `Config::check_ranges`.
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        pub struct $Config:ident {
            $(
                section $section:literal {
                    $(
                        $(#[doc = $doc:literal])+
                        $(#[serde($($serde:tt)*)])?
                        $name:ident: $type:ty = $default:expr
                            $(, in $range:expr)?
                            $(, example $example:literal)?;
                    )+
                }
            )+
        }
    ) => {
        $(#[$attribute])*
        pub struct $Config {
            $($(
                $(#[doc = $doc])+
                $(#[serde($($serde)*)])?
                pub $name: $type,
            )+)+
        }

        impl Default for $Config {
            fn default() -> Self {
                Self { $($($name: $default,)+)+ }
            }
        }

        impl $Config {
            /// Returns a description of every setting, in the order of their declaration.
            #[must_use]
            pub fn settings() -> Vec<Setting> {
                let defaults = Self::default().to_table();
                let default = |name: &str| defaults.get(name).map(ToString::to_string);
                vec![$($(
                    Setting {
                        section: $section,
                        name: stringify!($name),
                        doc: setting::join_doc(&[$($doc),+]),
                        default: default(stringify!($name)),
                        example: [$($example)?].first().copied(),
                        allowed: [$(setting::range_text::<$type>(&($range)))?].into_iter().next(),
                    },
                )+)+]
            }

            /// Checks that every setting is within its range.
            fn check_ranges(&self) -> Result<(), ConfigError> {
                $($($(
                    setting::check_range(stringify!($name), &self.$name, &($range))?;
                )?)+)+
                Ok(())
            }
        }
    };
}
