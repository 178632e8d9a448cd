//! The config file that `tickwire config` prints.

use std::fmt::{self, Write};

use super::{Config, Setting};

const HEAD: &str = "\
# Settings of `tickwire hub`, with their defaults. To change a setting, remove the # in front of its
# name. Flags and environment variables take precedence over this file.
";

impl Config {
    /// Returns a config file that changes nothing: every setting is commented out (`#name = value`)
    /// below its documentation (`# text`).
    #[must_use]
    pub fn template() -> String {
        let mut text = String::from(HEAD);
        let mut section = "";
        for setting in Self::settings() {
            if setting.section != section {
                section = setting.section;
                let rule = "-".repeat(94_usize.saturating_sub(section.len()));
                let _infallible = write!(text, "\n# --- {section} {rule}\n");
            }
            let _infallible = entry(&setting, &mut text);
        }
        text
    }
}

fn entry(setting: &Setting, out: &mut String) -> fmt::Result {
    out.push('\n');
    for line in setting.doc.lines() {
        writeln!(out, "{}", format!("# {line}").trim_end())?;
    }
    if let Some(allowed) = &setting.allowed {
        writeln!(out, "# Allowed: {allowed}.")?;
    }
    let value = match (&setting.default, setting.example) {
        (Some(default), _) => default,
        (None, example) => {
            writeln!(out, "# Not set by default. Example:")?;
            example.unwrap_or_default()
        }
    };
    writeln!(out, "#{} = {value}", setting.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removes the comment sign of the settings that `wanted` selects.
    fn uncommented(wanted: impl Fn(&str) -> bool) -> String {
        let template = Config::template();
        let lines = template.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if wanted(setting) => setting,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn is_setting(line: &str) -> bool {
        !line.is_empty() && !line.starts_with(' ')
    }

    fn read(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.toml");
        std::fs::write(&path, text).unwrap();
        Config::from_file(&path).unwrap()
    }

    #[test]
    fn template_changes_nothing() {
        assert_eq!(read(&Config::template()), Config::default());
    }

    #[test]
    fn uncommented_defaults_are_the_defaults() {
        let settings = Config::settings();
        let has_default = |line: &str| {
            let name = line.split(' ').next().unwrap();
            settings.iter().any(|setting| setting.name == name && setting.default.is_some())
        };
        assert_eq!(
            read(&uncommented(|line| is_setting(line) && has_default(line))),
            Config::default()
        );
    }

    #[test]
    fn every_setting_is_in_the_template_and_its_example_is_allowed() {
        let text = uncommented(is_setting);
        for setting in Config::settings() {
            assert!(text.contains(&format!("\n{} = ", setting.name)), "{}", setting.name);
            assert!(setting.default.is_some() || setting.example.is_some(), "{}", setting.name);
        }
        read(&text).check().unwrap();
    }
}
