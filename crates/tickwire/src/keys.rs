//! `tickwire keys`: maintains a keys file.

mod add;
mod list;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use tickwire_hub::keys::{Anonymous, KeyList, KeysEditor};

/// Flags of `tickwire keys`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a key and prints its id and secret, this once
    Add(add::Args),
    /// Shows the keys; secrets are not known to anybody
    List(list::Args),
    /// Takes a key away; sessions with it end within two seconds
    Revoke(RevokeArgs),
}

/// Flags about the file.
#[derive(Debug, clap::Args)]
struct FileArgs {
    /// The keys file
    #[arg(long, value_name = "FILE", env = "TICKWIRE_KEYS", default_value = "keys.toml")]
    file: PathBuf,
}

/// Flags of `tickwire keys revoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire keys revoke bot
  tickwire keys revoke TW4ZhXqkR9c0VbL2mNpS --file /etc/tickwire/keys.toml")]
struct RevokeArgs {
    /// Id or name of the key
    #[arg(value_name = "ID|NAME")]
    key: String,
    #[command(flatten)]
    file: FileArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.action {
        Action::Add(args) => add::run(args),
        Action::List(args) => list::run(&args),
        Action::Revoke(args) => revoke(&args),
    }
}

fn revoke(args: &RevokeArgs) -> anyhow::Result<()> {
    let path = &args.file.file;
    // Not by opening it to edit, which would make one.
    KeyList::from_file(path)?;
    let editor = KeysEditor::open(path, Anonymous::None)?;
    let Some(key) = editor.list().find(&args.key).cloned() else {
        bail!(
            "no key {:?} in {}; `tickwire keys list` shows those there are",
            args.key,
            path.display()
        );
    };
    editor.remove(&key.id)?;
    print(&format!("revoked {} ({})\n", key.id, key.name))
}

/// Prints what a command is about.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")
}
