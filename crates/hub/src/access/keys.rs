//! Who may do what: keys, what is known of their sessions, and the tokens of the command line.
//!
//! A hub without a keys file is *open*: any key is right, and none is needed. A hub with one follows the
//! file: what is changed there counts within a second or two, and every session of a changed key is ended,
//! so that it comes back under its new rights.

mod edit;
mod file;
mod grant;
mod reload;
mod seats;
mod secret;
mod shown;
mod throttle;
mod unknown;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq;
use tickwire_protocol::{Credentials, UnixNanos};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::Config;
use crate::fanout::CloseReason;
use crate::metrics::Cell;
pub use edit::KeysEditor;
pub use file::{Anonymous, Key, KeyList, KeysError, WhenFull, check_id, check_name};
pub(crate) use grant::Grant;
pub use grant::Role;
pub(crate) use reload::follow;
pub(crate) use seats::Entrant;
use seats::{Bell, Seat, Seats};
pub use secret::{NotAHash, SECRET_CHARS_MAX, SECRET_CHARS_MIN, SecretHash, new_id, new_secret};
pub(crate) use shown::{shown, user_agent};
use throttle::{DELAY_MAX, Throttle};

/// All keys, and who is there with them.
#[derive(Debug)]
pub(crate) struct Keys {
    /// `None`: the hub is open.
    file: Option<PathBuf>,
    tokens: Vec<Token>,
    /// What anybody may do where the hub is open.
    open_role: Role,
    /// What the secret of an id that does not exist is compared with, so that it takes as long.
    decoy: SecretHash,
    state: Mutex<State>,
    throttle: Mutex<Throttle>,
    logins: Logins,
    /// Sessions that were told to end, so far.
    endings: Arc<AtomicU64>,
    /// How often the file was found to be of no use.
    file_errors: Cell,
}

/// A token of the command line.
struct Token {
    role: Role,
    text: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("role", &self.role).finish_non_exhaustive()
    }
}

/// What the file says at present, and who is there. Held for moments; nothing is hashed meanwhile.
#[derive(Debug, Default)]
struct State {
    anonymous: Anonymous,
    /// By id.
    keys: BTreeMap<String, Held>,
    /// By what a token allows.
    tokens: BTreeMap<Role, Seats>,
    /// Those who need no key.
    others: Seats,
    /// Number of the next session.
    next: u64,
}

/// A key and its sessions.
#[derive(Debug)]
struct Held {
    key: Arc<Key>,
    seats: Seats,
}

/// Logins by result.
#[derive(Debug, Default)]
struct Logins {
    right: Cell,
    wrong: Cell,
    full: Cell,
}

/// The credentials are not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WrongKey {
    /// How long to wait before it is said.
    pub(crate) delay: Duration,
}

/// A key has as many sessions as it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFull {
    /// Who holds them since when, for people.
    pub(crate) detail: String,
}

/// The sessions of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySessions {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Sessions of subscribers.
    pub(crate) sessions: usize,
    /// Sessions of publishers, which `sessions_max` does not limit.
    pub(crate) publishers: usize,
    pub(crate) sessions_max: Option<u32>,
    /// Sessions that found no place, since the hub started or the key was changed.
    pub(crate) refused: u64,
    /// Since when the oldest session of a subscriber is there.
    pub(crate) since: Option<UnixNanos>,
    /// When somebody last came.
    pub(crate) last: Option<UnixNanos>,
}

/// A session's place at its key; given back when dropped.
#[derive(Debug)]
pub(crate) struct KeySession {
    keys: Arc<Keys>,
    holder: Holder,
    number: u64,
    seat: Arc<Seat>,
}

/// Among whom a session has its place.
#[derive(Debug)]
enum Holder {
    /// Those with the key of this id.
    Key(String),
    /// Those with a token that allows this.
    Token(Role),
    /// Those who need no key.
    Anyone,
}

impl Keys {
    /// Reads the keys file, if there is to be one.
    pub(crate) fn new(config: &Config) -> Result<Arc<Self>, KeysError> {
        let list = config.keys.as_deref().map(KeyList::from_file).transpose()?;
        let tokens = [(Role::Publish, &config.publish_token), (Role::Admin, &config.admin_token)];
        let tokens =
            tokens.into_iter().filter_map(|(role, text)| Some(Token { role, text: text.clone()? }));
        let keys = Self {
            file: config.keys.clone(),
            tokens: tokens.collect(),
            open_role: if config.publish_token.is_some() { Role::Read } else { Role::Publish },
            decoy: SecretHash::new(&new_secret()),
            state: Mutex::default(),
            throttle: Mutex::default(),
            logins: Logins::default(),
            endings: Arc::default(),
            file_errors: Cell::default(),
        };
        keys.lock().take_over(list.unwrap_or_default());
        Ok(Arc::new(keys))
    }

    /// Whether any key is right, and none is needed.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_none()
    }

    /// What somebody without a key may do. Where the hub is open that is everything but what a token
    /// guards; draining always needs a token or a key.
    pub(crate) fn anonymous(&self) -> Option<Grant> {
        if self.is_open() {
            return Some(Grant::Anyone(self.open_role));
        }
        match self.lock().anonymous {
            Anonymous::None => None,
            Anonymous::Read => Some(Grant::Anyone(Role::Read)),
        }
    }

    /// What somebody with these credentials may do; counts, unless anything would do. Who is right never
    /// waits.
    pub(crate) fn check(&self, shown: &Credentials, peer: IpAddr) -> Result<Grant, WrongKey> {
        let grant = self
            .of_token(shown)
            .or_else(|| self.of_key(shown))
            .or_else(|| self.is_open().then_some(Grant::Anyone(self.open_role)));
        let Some(grant) = grant else { return Err(self.wrong(peer)) };
        if !grant.is_anyones() {
            self.logins.right.add(1);
            self.lock_throttle().succeeded(peer);
        }
        Ok(grant)
    }

    /// Whether anybody can be an administrator.
    pub(crate) fn has_admins(&self) -> bool {
        !self.is_open() || self.tokens.iter().any(|token| token.role == Role::Admin)
    }

    /// Counts credentials that are not right, or not for what they were shown for.
    pub(crate) fn wrong(&self, peer: IpAddr) -> WrongKey {
        self.logins.wrong.add(1);
        let delay = self.lock_throttle().failed(peer, clock::monotonic());
        // Whoever goes on and on shall not fill the log.
        if delay < DELAY_MAX {
            tracing::warn!(%peer, delay_ms = delay.as_millis(), "wrong key or token");
        }
        WrongKey { delay }
    }

    /// The same for all tokens and however much of one is right.
    fn of_token(&self, shown: &Credentials) -> Option<Grant> {
        let Credentials { id, secret } = shown;
        let whole = if id.is_empty() { secret.clone() } else { format!("{id}:{secret}") };
        let same = |token: &&Token| bool::from(token.text.as_bytes().ct_eq(whole.as_bytes()));
        // The last that fits: where both tokens are the same text, it is the one that may do more.
        self.tokens.iter().rfind(same).map(|token| Grant::Token(token.role))
    }

    fn of_key(&self, shown: &Credentials) -> Option<Grant> {
        let key = self.lock().keys.get(&shown.id).map(|held| held.key.clone());
        let hash = key.as_ref().map_or(&self.decoy, |key| &key.secret);
        let is_right = hash.is_of(&shown.secret);
        key.filter(|_| is_right).map(Grant::Key)
    }

    /// How long the handshake of a peer is to be held back for the failures there were from there.
    pub(crate) fn delay(&self, peer: IpAddr) -> Duration {
        self.lock_throttle().delay(peer, clock::monotonic())
    }

    /// A subscriber's session at its key.
    pub(crate) fn enter(
        self: &Arc<Self>,
        grant: &Grant,
        who: Entrant,
    ) -> Result<KeySession, KeyFull> {
        let Entrant { peer, user_agent, shard } = who;
        let seat = Seat::new(peer, user_agent, Bell::Shard(shard), clock::wall(), &self.endings);
        let mut state = self.lock();
        if let Grant::Key(key) = grant
            && let Some(held) = state.current(key)
            && let Err(full) = held.make_room()
        {
            self.logins.full.add(1);
            return Err(full);
        }
        Ok(self.seated(&mut state, grant, seat))
    }

    /// A publisher's session at its key.
    pub(crate) fn enter_publisher(
        self: &Arc<Self>,
        grant: &Grant,
        peer: IpAddr,
        user_agent: Option<Box<str>>,
    ) -> KeySession {
        let bell = Bell::Task(CancellationToken::new());
        let seat = Seat::new(peer, user_agent, bell, clock::wall(), &self.endings);
        self.seated(&mut self.lock(), grant, seat)
    }

    fn seated(self: &Arc<Self>, state: &mut State, grant: &Grant, seat: Seat) -> KeySession {
        let (number, seat) = (state.next, Arc::new(seat));
        state.next += 1;
        let holder = match grant {
            Grant::Key(key) => {
                match state.current(key) {
                    Some(held) => held.seats.take(number, seat.clone()),
                    // Changed between login and here.
                    None => seat.revoke(),
                }
                Holder::Key(key.id.clone())
            }
            Grant::Token(role) => {
                state.tokens.entry(*role).or_default().take(number, seat.clone());
                Holder::Token(*role)
            }
            Grant::Anyone(_) => {
                state.others.take(number, seat.clone());
                Holder::Anyone
            }
        };
        KeySession { keys: self.clone(), holder, number, seat }
    }

    /// How many sessions were told to end so far: who finds another number than before asks
    /// [`KeySession::ended`] of each of his.
    pub(crate) fn endings(&self) -> u64 {
        self.endings.load(Ordering::SeqCst)
    }

    /// All keys with their sessions by name, and then those of tokens and of who needs none, if there are any.
    pub(crate) fn sessions(&self) -> Vec<KeySessions> {
        let state = self.lock();
        let mut list: Vec<_> = state.keys.values().map(Held::sessions).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list.extend(state.tokens.iter().map(|(role, seats)| {
            sessions_without_key(&format!("({} token)", role.name()), *role, seats)
        }));
        if state.others.last.is_some() {
            let role = if self.is_open() { self.open_role } else { Role::Read };
            list.push(sessions_without_key("(no key)", role, &state.others));
        }
        list
    }

    /// Logins by result, for metrics.
    pub(crate) fn logins(&self) -> [(&'static str, u64); 3] {
        let Logins { right, wrong, full } = &self.logins;
        [("right", right.get()), ("wrong", wrong.get()), ("full", full.get())]
    }

    /// How often the file was found to be of no use, for metrics.
    pub(crate) fn file_errors(&self) -> u64 {
        self.file_errors.get()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The key as the file has it now, if that is how it was.
    fn current(&mut self, key: &Arc<Key>) -> Option<&mut Held> {
        self.keys.get_mut(&key.id).filter(|held| Arc::ptr_eq(&held.key, key))
    }

    /// Goes on with what the file says now; sessions whose rights have changed are ended. Returns whether
    /// anything has changed.
    fn take_over(&mut self, list: KeyList) -> bool {
        let mut changed = false;
        if self.anonymous != list.anonymous {
            self.anonymous = list.anonymous;
            if self.anonymous == Anonymous::None {
                self.others.revoke();
            }
            changed = true;
        }
        let mut before: HashMap<_, _> = std::mem::take(&mut self.keys).into_iter().collect();
        for key in list.keys {
            let held = before.remove(&key.id);
            let same = held.as_ref().is_some_and(|held| *held.key == key);
            let held = match held {
                Some(held) if same => held,
                other => {
                    if let Some(mut held) = other {
                        held.seats.revoke();
                    }
                    changed = true;
                    Held { key: Arc::new(key), seats: Seats::default() }
                }
            };
            self.keys.insert(held.key.id.clone(), held);
        }
        for mut gone in before.into_values() {
            gone.seats.revoke();
            changed = true;
        }
        changed
    }
}

/// Sessions that no key of the file stands for.
fn sessions_without_key(name: &str, role: Role, seats: &Seats) -> KeySessions {
    KeySessions {
        id: String::new(),
        name: name.to_owned(),
        role,
        sessions: seats.count(),
        publishers: seats.publishers(),
        sessions_max: None,
        refused: 0,
        since: seats.since(),
        last: seats.last,
    }
}

impl Held {
    /// Sees to it that one session more is within the limit.
    fn make_room(&mut self) -> Result<(), KeyFull> {
        let Some(most) = self.key.sessions_max else { return Ok(()) };
        if self.seats.count() < usize::try_from(most).unwrap_or(usize::MAX) {
            return Ok(());
        }
        if self.key.when_full == WhenFull::Replace {
            self.seats.replace_oldest();
            return Ok(());
        }
        self.seats.refused += 1;
        let name = &self.key.name;
        let (s, holders) = (if most == 1 { "" } else { "s" }, self.seats.told());
        Err(KeyFull { detail: format!("key {name} may have {most} session{s}, held by {holders}") })
    }

    fn sessions(&self) -> KeySessions {
        let Self { key, seats } = self;
        KeySessions {
            id: key.id.clone(),
            name: key.name.clone(),
            role: key.role,
            sessions: seats.count(),
            publishers: seats.publishers(),
            sessions_max: key.sessions_max,
            refused: seats.refused,
            since: seats.since(),
            last: seats.last,
        }
    }
}

impl KeySession {
    /// Why the session is to end, if it is: a newer one has its place, or its key is not what it was.
    pub(crate) fn ended(&self) -> Option<CloseReason> {
        self.seat.ended()
    }

    /// Completes when a publisher's session is to end.
    pub(crate) async fn until_ended(&self) {
        self.seat.until_ended().await;
    }
}

impl Drop for KeySession {
    fn drop(&mut self) {
        let mut state = self.keys.lock();
        let seats = match &self.holder {
            Holder::Key(id) => state.keys.get_mut(id).map(|held| &mut held.seats),
            Holder::Token(role) => state.tokens.get_mut(role),
            Holder::Anyone => Some(&mut state.others),
        };
        if let Some(seats) = seats {
            seats.leave(self.number);
        }
    }
}

#[cfg(test)]
mod tests;
