//! Authenticates sessions.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use tickwire_protocol::{Control, Credentials, ErrorCode};

use super::ShardTask;
use super::connection::Stage;
use crate::access::admission::client_prefix;
use crate::access::auth_state::AuthState;
use crate::access::keys::{Grant, KeyLimitReached, SessionInfo, WrongKey};
use crate::access::refusal_log;
use crate::config::format_duration;
use crate::fanout::{ClientId, CloseReason, SessionId};
use crate::serving::new_connection::HandshakeInfo;
use crate::serving::session_protocol::SessionProtocol;
use crate::state::views::LIVE_TIMELINE;

/// Delay before a rejected session whose key is valid is sent its error and closed.
const REJECT_DELAY: Duration = Duration::from_secs(1);

impl ShardTask {
    /// Sends the welcome to a new session. Authenticates the session if its handshake presented a
    /// key, or if the hub accepts sessions without one.
    pub(super) fn send_welcome(&mut self, id: SessionId) {
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.handshake.protocol;
        let credentials = connection.handshake.credentials.take();
        if protocol != SessionProtocol::Echo {
            let epoch =
                (protocol == SessionProtocol::Tickwire).then(|| self.context.epoch.to_string());
            self.core.control(id, &Control::Connected { epoch });
        }
        if let Some(credentials) = credentials {
            self.log_in(id, &credentials);
        } else if protocol != SessionProtocol::Alpaca
            && let Some(grant) = self.context.keys.anonymous()
            && self.connection(id).is_some_and(|new| grant.may_read(&new.handshake.view))
        {
            self.authenticate(id, grant, false);
        }
        let deadline = self.connection(id).and_then(|connection| connection.deadline());
        self.note_deadline(deadline);
    }

    /// Checks the key that a session has presented, and authenticates or rejects the session.
    pub(super) fn log_in(&mut self, id: SessionId, credentials: &Credentials) {
        let Some(connection) = self.connection(id) else { return };
        if matches!(connection.auth_state, AuthState::Authenticated { has_key: true, .. }) {
            let detail = "this session has already presented its key".to_owned();
            return self.core.refuse(id, None, ErrorCode::AlreadyAuthenticated, detail);
        }
        let peer = connection.handshake.peer;
        let view = connection.handshake.view.clone();
        match self.context.keys.check(credentials, peer) {
            Ok(grant) if grant.may_read(&view) => self.authenticate(id, grant, true),
            Ok(grant) => {
                let detail = grant.view_refusal(&view);
                refusal_log::note(self.now, peer, &view, grant.key_name(), &detail);
                self.reject_later(id, CloseReason::NotAllowed, REJECT_DELAY, Some(detail));
            }
            Err(WrongKey { delay }) => {
                let detail = "unknown key or wrong secret".to_owned();
                self.reject_later(id, CloseReason::AuthFailed, delay, Some(detail));
            }
        }
    }

    /// Authenticates a session unless its key is at its session limit. `has_key` says whether the
    /// session has presented a key.
    fn authenticate(&mut self, id: SessionId, grant: Grant, has_key: bool) {
        let now = self.now;
        let config = &self.context.config;
        let extension = config.auth_timeout;
        let shard = self.waker.clone();
        let timeline = self.id.timeline;
        let Some(connection) =
            self.connections.get_mut(id.0 as usize).and_then(Option::as_deref_mut)
        else {
            return;
        };
        let HandshakeInfo { peer, user_agent, protocol, feed, view, .. } = &connection.handshake;
        let user_agent = user_agent.clone();
        let feed_timeline =
            if grant.may_read_live(&self.context.views, *feed) { LIVE_TIMELINE } else { timeline };
        let feed_element = (*protocol == SessionProtocol::Tickwire
            && connection.auth_state.grant().is_none())
        .then(|| self.context.feeds.get(*feed).element(feed_timeline, view, self.timeline.delay));
        let session = SessionInfo { peer: *peer, user_agent, shard };
        match self.context.keys.register_subscriber(&grant, session) {
            Ok(key_session) => {
                self.core.set_client(id, client_of(&self.context.client_hash, &grant, *peer));
                let auth_state = AuthState::Authenticated { grant, key_session, has_key };
                connection.authenticate(auth_state, config.command_size_max.as_usize());
                connection.feed_timeline = feed_timeline;
                if has_key {
                    self.core.control(id, &Control::Authenticated);
                }
                if let Some(element) = feed_element {
                    self.core.control(id, &element);
                }
            }
            Err(KeyLimitReached { detail }) => {
                refusal_log::note(now, *peer, view, grant.key_name(), &detail);
                connection.auth_state.set_at_limit(now, extension);
                let deadline = connection.auth_state.deadline();
                self.core.refuse(id, None, ErrorCode::ConnectionLimit, detail);
                self.note_deadline(deadline);
            }
        }
    }

    /// Rejects a session. Its input is ignored from now on; after `delay` it is sent the error and
    /// closed.
    fn reject_later(
        &mut self,
        id: SessionId,
        reason: CloseReason,
        delay: Duration,
        detail: Option<String>,
    ) {
        let close_at = self.now + delay;
        if let Some(connection) = self.connection(id) {
            connection.auth_state = AuthState::Rejected { close_at, reason, detail };
            self.note_deadline(Some(close_at));
        }
    }

    /// Closes a session that was rejected or has not authenticated in time.
    pub(super) fn close_unauthenticated(&mut self, id: SessionId) {
        let auth_timeout = format_duration(self.context.config.auth_timeout);
        let Some(connection) = self.connection(id) else { return };
        let (reason, error) = match &connection.auth_state {
            AuthState::Rejected { reason, detail, .. } => {
                let code = match reason {
                    CloseReason::NotAllowed => ErrorCode::InsufficientSubscription,
                    _ => ErrorCode::AuthFailed,
                };
                (*reason, detail.clone().map(|detail| (code, detail)))
            }
            AuthState::AwaitingKey { .. } => {
                let detail = format!("no key was presented within {auth_timeout}");
                (CloseReason::AuthTimeout, Some((ErrorCode::AuthTimeout, detail)))
            }
            // The key is valid: clients that receive a timeout error would not reconnect.
            AuthState::AtLimit { .. } => (CloseReason::AuthTimeout, None),
            AuthState::Authenticated { .. } => return,
        };
        if let Some((code, detail)) = error {
            self.core.refuse(id, None, code, detail);
        }
        self.finish_session(id, reason);
        self.core.read_later(id); // input that arrived meanwhile was not read
    }

    /// Returns whether a newer session of its key has replaced a session since the last check of
    /// all sessions.
    pub(super) fn was_replaced(&self, id: SessionId) -> bool {
        self.closed_sessions != self.context.keys.closed_sessions()
            && self.get(id).is_some_and(|connection| {
                matches!(
                    &connection.auth_state,
                    AuthState::Authenticated { key_session, .. }
                        if key_session.close_reason() == Some(CloseReason::Replaced)
                )
            })
    }

    /// Closes sessions whose key was revoked, or that a newer session of their key has replaced.
    pub(super) fn close_revoked_sessions(&mut self) {
        let closed_sessions = self.context.keys.closed_sessions();
        if closed_sessions == self.closed_sessions {
            return;
        }
        self.closed_sessions = closed_sessions;
        for id in self.ids() {
            if let Some(connection) = self.connection(id)
                && connection.stage == Stage::Open
                && let AuthState::Authenticated { grant, key_session, .. } = &connection.auth_state
                && let Some(reason) = key_session.close_reason()
            {
                let peer = connection.handshake.peer;
                let view = connection.handshake.view.clone();
                let key = grant.key_name().map(str::to_owned);
                match reason {
                    CloseReason::Replaced => {
                        let why = "replaced by a newer session of the key";
                        refusal_log::note(self.now, peer, &view, key.as_deref(), why);
                        self.reject_later(id, reason, REJECT_DELAY, None);
                        self.core.detach(id); // it receives nothing during the delay
                    }
                    reason => self.finish_session(id, reason),
                }
            }
        }
    }
}

/// Returns the client of a session: its key, or without one its address.
fn client_of(hash: &impl BuildHasher, grant: &Grant, peer: IpAddr) -> ClientId {
    let hash = match grant.key_name() {
        Some(key) => hash.hash_one(key),
        None => hash.hash_one(client_prefix(peer)),
    };
    ClientId(u32::try_from(hash >> 32).unwrap_or_default())
}
