//! Generates `docs/configuration.md` from the doc comments of the hub's settings.

use std::fmt::{self, Write};

use tickwire_hub::{Config, Setting};

use super::{check_document, wrapped};
use crate::cli;

const EXAMPLE: &str = r#"listen = "0.0.0.0:8443"
keys = "keys.toml"
tls_cert = "hub.pem"
tls_key = "hub.key"
data_dir = "/var/lib/tickwire"
disk_size = "64GiB"
disk_age = "30d"

[views.delayed]
feed = "main"
delay = "5m"
"#;

const HEAD: &str = r"# Configuration

Settings of `tickwire hub`: how to set them, what each one means, its default and its limits. The
commands and their flags are in [cli.md](cli.md).

## A first example

```toml
";

const RULES: &str = r#"```

Save it as `tickwire.toml` and start the hub with `tickwire hub --config tickwire.toml`. `tickwire
config > tickwire.toml` writes a file with every setting, commented out, to start from.

## How settings are set

For each setting, the first of these counts:

1. the flag of `tickwire hub`,
2. the environment variable,
3. the config file that `--config` or `TICKWIRE_CONFIG` names,
4. the default.

All four use one name: `disk_size` in the config file is `--disk-size` on the command line and
`TICKWIRE_DISK_SIZE` in the environment. Settings that are changed rarely have no flag and no
environment variable.

| type | in the config file | as a flag or environment variable |
|---|---|---|
| duration | `"500ms"`, `"10s"`, `"5m"`, `"24h"`, `"7d"` | `10s` |
| size | `"65535B"`, `"64KiB"`, `"512MiB"`, `"8GiB"` | `512MiB` |
| list | `["main", "crypto"]` | `main,crypto`; blanks around the commas are allowed |
| boolean | `true`, `false` | `on`, `true`, `yes`, `1`, or `off`, `false`, `no`, `0`, in any case; the flag `--open` takes no value |

An environment variable that is empty counts as unset, in every command.

Durations and sizes always have a unit. A setting that does not exist, a value of the wrong type,
and a value outside of its range are errors: the hub does not start, and says what is allowed. A
name ends in `_max` if the setting is a limit at which the hub refuses, closes or waits.
"#;

fn document() -> String {
    let command = cli::command();
    let hub = command.find_subcommand("hub").unwrap();
    let mut text = format!("{HEAD}{EXAMPLE}{RULES}");
    let mut section = "";
    for setting in Config::settings() {
        if setting.section != section {
            section = setting.section;
            write!(text, "\n## {section}\n").unwrap();
        }
        let has_flag = hub.get_arguments().any(|flag| flag.get_id().as_str() == setting.name);
        entry(&setting, has_flag, &mut text).unwrap();
    }
    text
}

fn entry(setting: &Setting, has_flag: bool, out: &mut String) -> fmt::Result {
    let Setting { name, doc, default, example, allowed, .. } = setting;
    write!(out, "\n### {name}\n\n")?;
    for paragraph in doc.split("\n\n") {
        write!(out, "{}\n\n", wrapped(paragraph))?;
    }
    match (default, example) {
        (None, Some(example)) => {
            writeln!(out, "- Not set by default; example: `{name} = {example}`")?
        }
        (_, Some(example)) => writeln!(out, "- Empty by default; example: `{name} = {example}`")?,
        (default, None) => {
            writeln!(out, "- Default: `{}`", default.as_deref().unwrap_or_default())?;
        }
    }
    if let Some(allowed) = allowed {
        writeln!(out, "- Allowed: {allowed}")?;
    }
    if has_flag {
        let flag = name.replace('_', "-");
        let variable = name.to_uppercase();
        writeln!(out, "- Flag: `--{flag}`, environment variable: `TICKWIRE_{variable}`")?;
    }
    Ok(())
}

#[test]
fn configuration_document_is_up_to_date() {
    check_document("configuration.md", &document());
}

#[test]
fn first_example_is_a_config_that_the_hub_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickwire.toml");
    std::fs::write(&path, EXAMPLE).unwrap();
    Config::from_file(&path).unwrap().check().unwrap();
}
