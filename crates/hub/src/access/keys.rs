//! Access control: keys, tokens, and the sessions that use them.
//!
//! A hub without a keys file is *open*: it accepts any key and needs none. A hub with a keys file
//! applies changes of the file within a second or two, and closes every session of a changed key,
//! so that its client comes back under the new rights.

mod credentials;
mod edit;
mod file;
mod grant;
mod reload;
mod role;
mod secret;
mod sessions;
mod state;
mod throttle;
mod unknown_views;

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
use crate::metrics::Metric;
pub(crate) use credentials::{presented_credentials, user_agent};
pub use edit::KeysEditor;
pub use file::{Anonymous, Key, KeyList, KeysError, Scope, WhenFull, check_id, check_name};
pub(crate) use grant::Grant;
pub(crate) use reload::reload_on_change;
pub use role::Role;
pub use secret::{
    InvalidSecretHash, SECRET_CHARS_MAX, SECRET_CHARS_MIN, SecretHash, new_id, new_secret,
};
pub(crate) use sessions::SessionInfo;
use sessions::{CloseSignal, SessionEntry};
use state::{KeyState, State};
use throttle::{DELAY_MAX, Throttle};

/// All keys and tokens, and the sessions that use them.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Path of the keys file; `None` if the hub is open.
    file: Option<PathBuf>,
    tokens: Vec<Token>,
    /// Rights of clients without a key, if the hub is open.
    open_role: Role,
    /// A hash that no secret matches. The secret of an unknown id is compared with it, so that the
    /// answer takes as long as for a known id.
    dummy_hash: SecretHash,
    state: Mutex<State>,
    throttle: Mutex<Throttle>,
    logins: Logins,
    /// Number of sessions that were told to close.
    closed_sessions: Arc<AtomicU64>,
    /// Number of reads of the keys file that failed or found an error.
    file_errors: Metric,
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

/// Logins by result.
#[derive(Debug, Default)]
struct Logins {
    right: Metric,
    wrong: Metric,
    full: Metric,
}

/// Error: the credentials are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WrongKey {
    /// Time to wait before the answer is sent.
    pub(crate) delay: Duration,
}

/// Error: the key is at its session limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyLimitReached {
    /// Message for the client: the limit, and the sessions that the key has, with their start
    /// times.
    pub(crate) detail: String,
}

/// Counts of the sessions of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySessions {
    /// Id of the key; empty for sessions without a key of the file.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Open sessions of subscribers.
    pub(crate) sessions: usize,
    /// Open sessions of publishers, which `sessions_max` does not limit.
    pub(crate) publishers: usize,
    pub(crate) sessions_max: Option<u32>,
    /// Sessions refused because of `sessions_max`, since the hub started or the key was changed.
    pub(crate) refused: u64,
    /// When the oldest open session of a subscriber began.
    pub(crate) since: Option<UnixNanos>,
    /// When the last session began.
    pub(crate) last: Option<UnixNanos>,
}

/// The registration of a session at its key; dropping it removes the session there.
#[derive(Debug)]
pub(crate) struct KeySession {
    keys: Arc<Keys>,
    holder: Holder,
    number: u64,
    entry: Arc<SessionEntry>,
}

/// The set of sessions that a session belongs to.
#[derive(Debug)]
enum Holder {
    /// Sessions of the key with this id.
    Key(String),
    /// Sessions of a token that gives this role.
    Token(Role),
    /// Sessions without a key.
    Anonymous,
}

impl Keys {
    /// Reads the keys file, if the config names one.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or has an error.
    pub(crate) fn new(config: &Config) -> Result<Arc<Self>, KeysError> {
        let list = config.keys.as_deref().map(KeyList::from_file).transpose()?;
        let tokens = [(Role::Publish, &config.publish_token), (Role::Admin, &config.admin_token)];
        let tokens =
            tokens.into_iter().filter_map(|(role, text)| Some(Token { role, text: text.clone()? }));
        let keys = Self {
            file: config.keys.clone(),
            tokens: tokens.collect(),
            open_role: if config.publish_token.is_some() { Role::Read } else { Role::Publish },
            dummy_hash: SecretHash::new(&new_secret()),
            state: Mutex::default(),
            throttle: Mutex::default(),
            logins: Logins::default(),
            closed_sessions: Arc::default(),
            file_errors: Metric::default(),
        };
        keys.lock().apply(list.unwrap_or_default());
        Ok(Arc::new(keys))
    }

    /// Returns whether the hub has no keys file: it accepts any key and needs none.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_none()
    }

    /// Returns the rights of a client without a key; `None` if a key is needed. On an open hub
    /// these are all rights that no token protects, except for draining.
    pub(crate) fn anonymous(&self) -> Option<Grant> {
        if self.is_open() {
            return Some(Grant::Anonymous(self.open_role, None));
        }
        let state = self.lock();
        match state.anonymous {
            Anonymous::None => None,
            Anonymous::Read => {
                Some(Grant::Anonymous(Role::Read, Some(state.anonymous_scope.clone())))
            }
        }
    }

    /// Returns the rights that credentials give. Counts the login, unless the hub accepts any key.
    ///
    /// # Errors
    /// Fails if the credentials are wrong. The caller must delay this answer; an answer to valid
    /// credentials is never delayed.
    pub(crate) fn check(&self, credentials: &Credentials, peer: IpAddr) -> Result<Grant, WrongKey> {
        let grant = self
            .grant_of_token(credentials)
            .or_else(|| self.grant_of_key(credentials))
            .or_else(|| self.is_open().then_some(Grant::Anonymous(self.open_role, None)));
        let Some(grant) = grant else { return Err(self.wrong(peer)) };
        if !grant.is_anonymous() {
            self.logins.right.add(1);
            self.lock_throttle().succeeded(peer);
        }
        Ok(grant)
    }

    /// Returns whether any credentials can give an administrator's rights.
    pub(crate) fn has_admins(&self) -> bool {
        !self.is_open() || self.tokens.iter().any(|token| token.role == Role::Admin)
    }

    /// Counts credentials that are wrong, or do not suffice for the request, and returns the delay
    /// of the answer.
    pub(crate) fn wrong(&self, peer: IpAddr) -> WrongKey {
        self.logins.wrong.add(1);
        let delay = self.lock_throttle().failed(peer, clock::monotonic());
        // A client that keeps retrying must not fill the log.
        if delay < DELAY_MAX {
            tracing::warn!(%peer, delay_ms = delay.as_millis(), "wrong key or token");
        }
        WrongKey { delay }
    }

    /// Returns the rights of a token of the command line. Compares with every token in constant
    /// time.
    fn grant_of_token(&self, credentials: &Credentials) -> Option<Grant> {
        let Credentials { id, secret } = credentials;
        let whole = if id.is_empty() { secret.clone() } else { format!("{id}:{secret}") };
        let same = |token: &&Token| bool::from(token.text.as_bytes().ct_eq(whole.as_bytes()));
        // The last match: if both tokens have the same text, this is the one with more rights.
        self.tokens.iter().rfind(same).map(|token| Grant::Token(token.role))
    }

    fn grant_of_key(&self, credentials: &Credentials) -> Option<Grant> {
        let key = self.lock().keys.get(&credentials.id).map(|state| state.key.clone());
        let hash = key.as_ref().map_or(&self.dummy_hash, |key| &key.secret);
        let is_right = hash.matches(&credentials.secret);
        key.filter(|_| is_right).map(Grant::Key)
    }

    /// Returns how long to delay the next handshake of a peer, because of wrong keys it sent
    /// before.
    pub(crate) fn delay(&self, peer: IpAddr) -> Duration {
        self.lock_throttle().delay(peer, clock::monotonic())
    }

    /// Registers a subscriber's session at its key.
    ///
    /// # Errors
    /// Fails if the key is at its session limit.
    pub(crate) fn register_subscriber(
        self: &Arc<Self>,
        grant: &Grant,
        session: SessionInfo,
    ) -> Result<KeySession, KeyLimitReached> {
        let SessionInfo { peer, user_agent, shard } = session;
        let signal = CloseSignal::Shard(shard);
        let now = clock::wall();
        let entry = SessionEntry::new(peer, user_agent, signal, now, &self.closed_sessions);
        let mut state = self.lock();
        if let Grant::Key(key) = grant
            && let Some(current) = state.current(key)
            && let Err(full) = current.make_room()
        {
            self.logins.full.add(1);
            return Err(full);
        }
        Ok(self.register(&mut state, grant, entry))
    }

    /// Registers a publisher's session at its key.
    pub(crate) fn register_publisher(
        self: &Arc<Self>,
        grant: &Grant,
        peer: IpAddr,
        user_agent: Option<Box<str>>,
    ) -> KeySession {
        let signal = CloseSignal::Task(CancellationToken::new());
        let now = clock::wall();
        let entry = SessionEntry::new(peer, user_agent, signal, now, &self.closed_sessions);
        self.register(&mut self.lock(), grant, entry)
    }

    fn register(
        self: &Arc<Self>,
        state: &mut State,
        grant: &Grant,
        entry: SessionEntry,
    ) -> KeySession {
        let number = state.next_session;
        state.next_session += 1;
        let entry = Arc::new(entry);
        let holder = match grant {
            Grant::Key(key) => {
                match state.current(key) {
                    Some(current) => current.sessions.insert(number, entry.clone()),
                    // The key was changed after its credentials were checked.
                    None => entry.revoke(),
                }
                Holder::Key(key.id.clone())
            }
            Grant::Token(role) => {
                state.token_sessions.entry(*role).or_default().insert(number, entry.clone());
                Holder::Token(*role)
            }
            Grant::Anonymous(..) => {
                state.anonymous_sessions.insert(number, entry.clone());
                Holder::Anonymous
            }
        };
        KeySession { keys: self.clone(), holder, number, entry }
    }

    /// Returns whether an [owner](Grant::owner) of publishers is a key of the file, or a token.
    pub(crate) fn has_owner(&self, owner: &str) -> bool {
        self.lock().keys.contains_key(owner)
            || self.tokens.iter().any(|token| grant::token_owner(token.role) == owner)
    }

    /// Returns the number of sessions that were told to close so far. When it has changed, the
    /// owner of sessions asks each of them for its [`KeySession::close_reason`].
    pub(crate) fn closed_sessions(&self) -> u64 {
        self.closed_sessions.load(Ordering::SeqCst)
    }

    /// Returns the session counts of all keys by name, then of tokens and of clients without a key,
    /// if there were any.
    pub(crate) fn sessions(&self) -> Vec<KeySessions> {
        let state = self.lock();
        let mut list: Vec<_> = state.keys.values().map(KeyState::summary).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list.extend(state.token_sessions.iter().map(|(role, sessions)| {
            KeySessions::without_key(&format!("({} token)", role.name()), *role, sessions)
        }));
        if state.anonymous_sessions.last.is_some() {
            let role = if self.is_open() { self.open_role } else { Role::Read };
            let sessions = &state.anonymous_sessions;
            list.push(KeySessions::without_key("(no key)", role, sessions));
        }
        list
    }

    /// Returns the number of logins by result, for metrics.
    pub(crate) fn logins(&self) -> [(&'static str, u64); 3] {
        let Logins { right, wrong, full } = &self.logins;
        [("right", right.get()), ("wrong", wrong.get()), ("full", full.get())]
    }

    /// Returns the number of reads of the keys file that failed or found an error, for metrics.
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

impl KeySession {
    /// Returns why the session must close: a newer one has replaced it, or its key was changed.
    /// `None` while it may stay open.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.entry.close_reason()
    }

    /// Completes when a publisher's session must close. Never completes for a subscriber.
    pub(crate) async fn until_closed(&self) {
        self.entry.until_closed().await;
    }
}

impl Drop for KeySession {
    fn drop(&mut self) {
        let mut state = self.keys.lock();
        let sessions = match &self.holder {
            Holder::Key(id) => state.keys.get_mut(id).map(|key| &mut key.sessions),
            Holder::Token(role) => state.token_sessions.get_mut(role),
            Holder::Anonymous => Some(&mut state.anonymous_sessions),
        };
        if let Some(sessions) = sessions {
            sessions.remove(self.number);
        }
    }
}

#[cfg(test)]
mod tests;
