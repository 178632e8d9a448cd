//! `tickwire keys`: maintains a keys file.

mod add;
mod list;

use std::path::PathBuf;

use anyhow::bail;
use tickwire_hub::keys::{Anonymous, KeyList, KeysEditor};

use crate::output::print;

/// Flags of `tickwire keys`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Creates a key and prints its id and secret, which cannot be shown again
    Add(add::Args),
    /// Lists the keys, without their secrets: the file holds hashes only
    List(list::Args),
    /// Revokes a key; its sessions end within two seconds
    Revoke(RevokeArgs),
}

/// Flags for the keys file.
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

/// Creates, lists or revokes keys.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.action {
        Action::Add(args) => add::run(args),
        Action::List(args) => list::run(&args),
        Action::Revoke(args) => revoke(&args),
    }
}

fn revoke(args: &RevokeArgs) -> anyhow::Result<()> {
    let path = &args.file.file;
    // The editor would create a missing file; this fails.
    KeyList::from_file(path)?;
    let editor = KeysEditor::open(path, Anonymous::None)?;
    let Some(key) = editor.list().find(&args.key).cloned() else {
        bail!("no key {:?} in {}; `tickwire keys list` shows the keys", args.key, path.display());
    };
    editor.remove(&key.id)?;
    print(&format!("revoked {} ({})\n", key.id, key.name))
}
