//! `tickwire keys add`.

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

use super::{FileArgs, print};
use crate::flags::{symbol, usage};

/// Flags of `tickwire keys add`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire keys add ann                                        one who may read everything
  tickwire keys add market --role publish                      a feed
  tickwire keys add bot --feeds sip --sessions-max 1 --when-full replace
  tickwire keys add guest --feeds delayed_sip --symbols AAPL,MSFT --symbols-max 30
  pass alpaca | tickwire keys add bot --id PKEXISTING --secret-stdin     a pair a bot has already

A running hub with `--keys FILE` takes the key within two seconds. Programs show it as
ID:SECRET (--token, or `Authorization: Bearer ID:SECRET`), or as id and secret the way they show
those of Alpaca.")]
pub(super) struct Args {
    /// What people call the key
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    #[command(flatten)]
    file: FileArgs,
    /// What it is for; each may do what those before it may
    #[arg(long, value_name = "read|publish|admin", default_value = "read", value_parser = role)]
    role: Role,
    /// Feeds it may read, by the names they are subscribed by, and may publish to [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    feeds: Option<Vec<Feed>>,
    /// Symbols it may subscribe to [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = symbol)]
    symbols: Option<Vec<Symbol>>,
    /// Most names of trades and quotes in one session [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    symbols_max: Option<u32>,
    /// Most sessions of subscribers at a time [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sessions_max: Option<u32>,
    /// Who wins when there are so many: the oldest (refuse), or the newest (replace) [default: refuse]
    #[arg(long, value_name = "refuse|replace", value_parser = when_full, requires = "sessions_max")]
    when_full: Option<WhenFull>,
    /// Id of the key [default: a new one]
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<String>,
    /// Secret of the key, which other users of this machine may see here [default: a new one]
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_stdin")]
    secret: Option<String>,
    /// Read the secret from standard input
    #[arg(long)]
    secret_stdin: bool,
    /// Do nothing if there is a key of this name
    #[arg(long)]
    if_missing: bool,
    /// Write ID:SECRET to a new file that only this user may read, rather than print it; programs take
    /// it by --token-file
    #[arg(long, value_name = "FILE")]
    token_to: Option<PathBuf>,
    /// What somebody without a key may do, in a keys file that this command begins [default: none]
    #[arg(long, value_name = "none|read", value_parser = anonymous)]
    anonymous: Option<Anonymous>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let path = args.file.file.clone();
    // Before the file, which this would begin.
    let secret = args.secret()?;
    let editor = KeysEditor::open(&path, args.anonymous.unwrap_or_default())?;
    let list = editor.list();
    if args.if_missing && list.keys.iter().any(|key| key.name == args.name) {
        return args.is_there();
    }
    if let Some(given) = args.anonymous.filter(|given| *given != list.anonymous) {
        let name = if given == Anonymous::Read { "read" } else { "none" };
        bail!("--anonymous {name}: {} says otherwise; change it there", path.display());
    }
    let taken = |key: &&Key| key.name == args.name || Some(&key.id) == args.id.as_ref();
    if let Some(key) = list.keys.iter().find(taken) {
        bail!("there is a key {} ({}) in {} already", key.name, key.id, path.display());
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
    };
    let (id, name, role) = (key.id.clone(), key.name.clone(), key.role.name());
    match &args.token_to {
        Some(file) => {
            // First, since the secret cannot be had again.
            write_token(file, &format!("{id}:{secret}\n"))?;
            if let Err(error) = editor.append(key) {
                let _gone = std::fs::remove_file(file); // the error is told in any case
                return Err(error.into());
            }
            print(&format!("added {id} ({name}, {role}); its token is in {}\n", file.display()))
        }
        None => {
            editor.append(key)?;
            // A secret that was given is known where it came from; a terminal remembers.
            let shown = if is_given { "(as given)" } else { &secret };
            print(&format!("id      {id}\nsecret  {shown}\n"))
        }
    }
}

impl Args {
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
                 visible ASCII characters; without it a secret is made"
            ));
        }
        Ok(secret)
    }

    /// There is a key of that name already, which is what was asked for.
    fn is_there(&self) -> anyhow::Result<()> {
        if let Some(file) = self.token_to.as_ref().filter(|file| !file.exists()) {
            bail!(
                "--token-to {}: there is a key {} already and its secret cannot be had again; \
                 `tickwire keys revoke` it to get a new one",
                file.display(),
                self.name
            );
        }
        print(&format!("there is a key {} already\n", self.name))
    }
}

fn write_token(path: &Path, token: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(token.as_bytes()).map(|()| file))
        .with_context(|| format!("--token-to {}: cannot make the file", path.display()))?;
    file.flush().context("cannot write the token")
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
