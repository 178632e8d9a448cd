//! `tickwire keys add`: creates a key.

use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tickwire_hub::keys::{
    Anonymous, Key, KeysEditor, Role, SECRET_CHARS_MAX, SECRET_CHARS_MIN, SecretHash, WhenFull,
    check_id, check_name, new_id, new_secret,
};
use tickwire_protocol::{Feed, Symbol};

use super::FileArgs;
use crate::flags::{symbol, usage};
use crate::output::{print, print_all};

/// Flags of `tickwire keys add`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire keys add ann                                        may read everything
  tickwire keys add market --role publish                      may publish
  tickwire keys add bot --feeds sip --sessions-max 1 --when-full replace
  tickwire keys add guest --feeds delayed_sip --symbols AAPL,MSFT --symbols-max 30
  tickwire keys add prometheus --metrics --feeds delayed_sip     for a scraper of /metrics
  pass alpaca | tickwire keys add bot --id PKEXISTING --secret-stdin     an existing id and secret

A running hub with `--keys FILE` accepts the key within two seconds. Programs send it as ID:SECRET
(--token-file, or `Authorization: Bearer ID:SECRET`), or as id and secret like clients of Alpaca.")]
pub(super) struct Args {
    /// Name of the key, for people
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    #[command(flatten)]
    file: FileArgs,
    /// What the key may do; each role includes those before it
    #[arg(long, value_name = "read|publish|admin", default_value = "read", value_parser = role)]
    role: Role,
    /// Feeds or views that the key may read, and feeds that it may publish to [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    feeds: Option<Vec<Feed>>,
    /// Symbols that the key may subscribe to [default: all]
    #[arg(long, value_name = "SYMBOL,…", value_delimiter = ',', value_parser = symbol)]
    symbols: Option<Vec<Symbol>>,
    /// Most subscriptions to trades and quotes in one session [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    symbols_max: Option<u32>,
    /// Most subscriber sessions at the same time [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sessions_max: Option<u32>,
    /// When --sessions-max is reached: refuse the new session, or replace the oldest [default:
    /// refuse]
    #[arg(long, value_name = "refuse|replace", value_parser = when_full, requires = "sessions_max")]
    when_full: Option<WhenFull>,
    /// Let the key read /metrics, which otherwise needs the role admin
    #[arg(long)]
    metrics: bool,
    /// Id of the key [default: a random one]
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<String>,
    /// Secret of the key; other users of this machine can see it on the command line [default: a
    /// random one]
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_stdin")]
    secret: Option<String>,
    /// Read the secret from standard input
    #[arg(long)]
    secret_stdin: bool,
    /// Do nothing if a key of this name exists
    #[arg(long)]
    if_missing: bool,
    /// Write ID:SECRET to a new file that only this user can read, instead of printing it; programs
    /// read it with --token-file
    #[arg(long, value_name = "FILE")]
    token_to: Option<PathBuf>,
    /// What clients without a key may do, if this command creates the keys file [default: none]
    #[arg(long, value_name = "none|read", value_parser = anonymous)]
    anonymous: Option<Anonymous>,
}

/// Adds a key to the file and prints its secret, or writes it to a token file.
pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let path = args.file.file.clone();
    // A wrong secret must not leave a new, empty keys file.
    let secret = args.secret()?;
    let editor = KeysEditor::open(&path, args.anonymous.unwrap_or_default())?;
    let list = editor.list();
    if args.if_missing && list.keys.iter().any(|key| key.name == args.name) {
        return args.succeed_with_existing();
    }
    if let Some(given) = args.anonymous.filter(|given| *given != list.anonymous) {
        let name = if given == Anonymous::Read { "read" } else { "none" };
        bail!(
            "--anonymous {name}: the keys file {} has another value; change it there",
            path.display()
        );
    }
    let taken = |key: &&Key| key.name == args.name || Some(&key.id) == args.id.as_ref();
    if let Some(key) = list.keys.iter().find(taken) {
        bail!("a key {} ({}) exists in {} already", key.name, key.id, path.display());
    }
    let is_given = args.secret.is_some() || args.secret_stdin;
    let key = Key {
        id: args.id.unwrap_or_else(new_id),
        name: args.name,
        secret: SecretHash::new(&secret),
        role: args.role,
        feeds: args.feeds,
        symbols: args.symbols,
        symbols_max: args.symbols_max.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        sessions_max: args.sessions_max,
        when_full: args.when_full.unwrap_or_default(),
        metrics: args.metrics,
    };
    let id = key.id.clone();
    let name = key.name.clone();
    let role = key.role.name();
    match &args.token_to {
        Some(file) => {
            // Before the key is added: the secret cannot be recovered later.
            write_token(file, &format!("{id}:{secret}\n"))?;
            if let Err(error) = editor.append(key) {
                let _gone = std::fs::remove_file(file); // the first error is the one to report
                return Err(error.into());
            }
            print(&format!("added {id} ({name}, {role}); its token is in {}\n", file.display()))
        }
        None => {
            editor.append(key)?;
            // A given secret is not repeated: terminals keep their output.
            let shown = if is_given { "(as given)" } else { &secret };
            print_all(&format!("id      {id}\nsecret  {shown}\n")).with_context(|| {
                format!(
                    "the key {id} was added, but its secret could not be printed and is lost; \
                     revoke the key with `tickwire keys revoke {id}`"
                )
            })
        }
    }
}

impl Args {
    /// Returns the given secret, or a random one.
    fn secret(&self) -> anyhow::Result<String> {
        let secret = match (&self.secret, self.secret_stdin) {
            (Some(secret), _) => secret.clone(),
            (None, false) => return Ok(new_secret()),
            (None, true) => {
                let mut text = String::new();
                let most = SECRET_CHARS_MAX as u64 + 2; // a line feed, and one character too many
                let read = std::io::stdin().take(most).read_to_string(&mut text);
                read.context("--secret-stdin: cannot read it")?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        let length = secret.len();
        if !(SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&length)
            || !secret.bytes().all(|b| b.is_ascii_graphic())
        {
            let flag = if self.secret_stdin { "--secret-stdin" } else { "--secret" };
            usage(&format!(
                "{flag} has {length} characters: expected {SECRET_CHARS_MIN} to {SECRET_CHARS_MAX} \
                 visible ASCII characters; without the flag the secret is random"
            ));
        }
        Ok(secret)
    }

    /// Succeeds since a key of that name exists, unless its token file is missing.
    fn succeed_with_existing(&self) -> anyhow::Result<()> {
        let has_token = |file: &&PathBuf| file.metadata().is_ok_and(|found| found.len() > 0);
        if let Some(file) = self.token_to.as_ref().filter(|file| !has_token(file)) {
            bail!(
                "--token-to {}: a key {} exists and its secret cannot be recovered; \
                 revoke it with `tickwire keys revoke` to create a new one",
                file.display(),
                self.name
            );
        }
        print(&format!("a key {} exists already\n", self.name))
    }
}

/// Writes a token to a new file that only the owner can read. A file that cannot be written, such
/// as on a full disk, is removed: a later `--if-missing` would take it for a token.
fn write_token(path: &Path, token: &str) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let file =
        file.with_context(|| format!("--token-to {}: cannot create the file", path.display()))?;
    fill_token(file, token)
        .inspect_err(|_| {
            let _gone = std::fs::remove_file(path); // the first error is the one to report
        })
        .with_context(|| format!("--token-to {}: cannot write the file", path.display()))
}

/// Writes a token, and makes sure that the disk has it.
fn fill_token(mut file: File, token: &str) -> std::io::Result<()> {
    file.write_all(token.as_bytes())?;
    file.sync_all()
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

fn id(text: &str) -> Result<String, String> {
    check_id(text).map(|()| text.to_owned())
}

fn role(text: &str) -> Result<Role, String> {
    let role = Role::ALL.into_iter().find(|role| role.name() == text);
    role.ok_or_else(|| "expected read, publish or admin".to_owned())
}

fn when_full(text: &str) -> Result<WhenFull, String> {
    match text {
        "refuse" => Ok(WhenFull::Refuse),
        "replace" => Ok(WhenFull::Replace),
        _ => Err("expected refuse or replace".to_owned()),
    }
}

fn anonymous(text: &str) -> Result<Anonymous, String> {
    match text {
        "none" => Ok(Anonymous::None),
        "read" => Ok(Anonymous::Read),
        _ => Err("expected none or read".to_owned()),
    }
}
