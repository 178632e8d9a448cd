//! The keys in force and their sessions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::file::{Anonymous, Key, KeyList, Scope, WhenFull};
use super::role::Role;
use super::sessions::KeySessionSet;
use super::{KeyLimitReached, KeySessions};

/// The content of the keys file, and the sessions of its keys. Its lock is held for moments only;
/// no secret is hashed while it is held.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Rights without a key.
    pub(super) anonymous: Anonymous,
    /// What these rights are limited to.
    pub(super) anonymous_scope: Arc<Scope>,
    /// Keys by id.
    pub(super) keys: BTreeMap<String, KeyState>,
    /// Sessions of tokens, by the role that the token gives.
    pub(super) token_sessions: BTreeMap<Role, KeySessionSet>,
    pub(super) anonymous_sessions: KeySessionSet,
    /// Number of the next session.
    pub(super) next_session: u64,
}

/// A key and its sessions.
#[derive(Debug)]
pub(super) struct KeyState {
    pub(super) key: Arc<Key>,
    pub(super) sessions: KeySessionSet,
}

impl State {
    /// Finds the state of a key; `None` if the key was changed or revoked since the caller got it.
    pub(super) fn current(&mut self, key: &Arc<Key>) -> Option<&mut KeyState> {
        self.keys.get_mut(&key.id).filter(|state| Arc::ptr_eq(&state.key, key))
    }

    /// Puts a new keys file in force, and closes the sessions whose rights it changes. Returns
    /// whether anything has changed.
    pub(super) fn apply(&mut self, list: KeyList) -> bool {
        let mut has_changed = false;
        if (self.anonymous, &*self.anonymous_scope) != (list.anonymous, &list.anonymous_scope) {
            let had_rights = self.anonymous != Anonymous::None;
            self.anonymous = list.anonymous;
            self.anonymous_scope = Arc::new(list.anonymous_scope);
            if had_rights {
                self.anonymous_sessions.revoke();
            }
            has_changed = true;
        }
        let mut before: HashMap<_, _> = std::mem::take(&mut self.keys).into_iter().collect();
        for key in list.keys {
            let state = match before.remove(&key.id) {
                Some(state) if *state.key == key => state,
                changed => {
                    if let Some(mut changed) = changed {
                        changed.sessions.revoke();
                    }
                    has_changed = true;
                    KeyState { key: Arc::new(key), sessions: KeySessionSet::default() }
                }
            };
            self.keys.insert(state.key.id.clone(), state);
        }
        for mut removed in before.into_values() {
            removed.sessions.revoke();
            has_changed = true;
        }
        has_changed
    }
}

impl KeyState {
    /// Makes room for one more session within `sessions_max`, by closing the oldest one if the key
    /// has `when_full = "replace"`.
    pub(super) fn make_room(&mut self) -> Result<(), KeyLimitReached> {
        let Some(most) = self.key.sessions_max else { return Ok(()) };
        if self.sessions.subscribers() < usize::try_from(most).unwrap_or(usize::MAX) {
            return Ok(());
        }
        if self.key.when_full == WhenFull::Replace {
            self.sessions.replace_oldest();
            return Ok(());
        }
        self.sessions.refused += 1;
        let name = &self.key.name;
        let s = if most == 1 { "" } else { "s" };
        let holders = self.sessions.description();
        let detail = format!("key {name} may have {most} session{s}, held by {holders}");
        Err(KeyLimitReached { detail })
    }

    /// Returns the session counts of the key.
    pub(super) fn summary(&self) -> KeySessions {
        let Key { id, name, role, sessions_max, .. } = &*self.key;
        KeySessions {
            id: id.clone(),
            sessions_max: *sessions_max,
            ..KeySessions::without_key(name, *role, &self.sessions)
        }
    }
}

impl KeySessions {
    /// Returns the session counts of clients without a key of the file.
    pub(super) fn without_key(name: &str, role: Role, sessions: &KeySessionSet) -> Self {
        Self {
            id: String::new(),
            name: name.to_owned(),
            role,
            sessions: sessions.subscribers(),
            publishers: sessions.publishers(),
            sessions_max: None,
            refused: sessions.refused,
            since: sessions.since(),
            last: sessions.last,
        }
    }
}
