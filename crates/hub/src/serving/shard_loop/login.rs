//! Letting sessions in.

use std::time::Duration;

use tickwire_protocol::{Control, Credentials, ErrorCode};

use super::ShardTask;
use super::connection::Stage;
use crate::access::auth_state::AuthState;
use crate::access::keys::{Grant, KeyLimitReached, SessionInfo, WrongKey};
use crate::access::refusal_log;
use crate::config::format_duration;
use crate::fanout::{CloseReason, SessionId};
use crate::serving::new_connection::HandshakeInfo;
use crate::serving::session_protocol::SessionProtocol;

/// How long who is out with a right key waits to be told.
const OUT_TIME: Duration = Duration::from_secs(1);

impl ShardTask {
    /// Says hello to a new session, and lets it in if it may be without a word: with a key that its
    /// handshake has shown, or without one.
    pub(super) fn greet(&mut self, id: SessionId) {
        let Some(connection) = self.connection(id) else { return };
        let (protocol, shown) =
            (connection.handshake.protocol, connection.handshake.credentials.take());
        if protocol != SessionProtocol::Echo {
            let epoch =
                (protocol == SessionProtocol::Tickwire).then(|| self.context.epoch.to_string());
            self.core.control(id, &Control::Connected { epoch });
        }
        if let Some(shown) = shown {
            self.log_in(id, &shown);
        } else if protocol != SessionProtocol::Alpaca
            && let Some(grant) = self.context.keys.anonymous()
        {
            self.let_in(id, grant, false);
        }
        let deadline = self.connection(id).and_then(|connection| connection.deadline());
        self.note_deadline(deadline);
    }

    /// Answers who shows a key.
    pub(super) fn log_in(&mut self, id: SessionId, shown: &Credentials) {
        let Some(connection) = self.connection(id) else { return };
        if matches!(connection.login, AuthState::Authenticated { has_key: true, .. }) {
            let detail = "this session has shown its key".to_owned();
            return self.core.refuse(id, None, ErrorCode::AlreadyAuthenticated, detail);
        }
        let (peer, view) = (connection.handshake.peer, connection.handshake.view.clone());
        match self.context.keys.check(shown, peer) {
            Ok(grant) if grant.may_read(&view) => self.let_in(id, grant, true),
            Ok(grant) => {
                let detail = grant.view_refusal(&view);
                refusal_log::note(self.now, peer, &view, grant.key_name(), &detail);
                self.put_out(id, CloseReason::NotAllowed, OUT_TIME, Some(detail));
            }
            Err(WrongKey { delay }) => {
                let detail = "no such key, or not its secret".to_owned();
                self.put_out(id, CloseReason::AuthFailed, delay, Some(detail));
            }
        }
    }

    /// Lets a session in if there is a place for it.
    fn let_in(&mut self, id: SessionId, grant: Grant, shown: bool) {
        let (now, config) = (self.now, &self.context.config);
        let more = config.auth_timeout;
        let shard = self.waker.clone();
        let Some(connection) =
            self.connections.get_mut(id.0 as usize).and_then(Option::as_deref_mut)
        else {
            return;
        };
        let HandshakeInfo { peer, user_agent, protocol, feed, view, .. } = &connection.handshake;
        let user_agent = user_agent.clone();
        let feed = (*protocol == SessionProtocol::Tickwire && connection.login.grant().is_none())
            .then(|| self.context.feeds.get(*feed));
        let session = SessionInfo { peer: *peer, user_agent, shard };
        match self.context.keys.register_subscriber(&grant, session) {
            Ok(key_session) => {
                let login = AuthState::Authenticated { grant, key_session, has_key: shown };
                connection.let_in(login, config.command_size_max.as_usize());
                if shown {
                    self.core.control(id, &Control::Authenticated);
                }
                if let Some(feed) = feed {
                    self.core.control(id, &feed.element());
                }
            }
            Err(KeyLimitReached { detail }) => {
                refusal_log::note(now, *peer, view, grant.key_name(), &detail);
                connection.login.set_at_limit(now, more);
                let deadline = connection.login.deadline();
                self.core.refuse(id, None, ErrorCode::ConnectionLimit, detail);
                self.note_deadline(deadline);
            }
        }
    }

    /// Ends a session a while later.
    fn put_out(
        &mut self,
        id: SessionId,
        reason: CloseReason,
        delay: Duration,
        detail: Option<String>,
    ) {
        let close_at = self.now + delay;
        if let Some(connection) = self.connection(id) {
            connection.login = AuthState::Rejected { close_at, reason, detail };
            self.note_deadline(Some(close_at));
        }
    }

    /// Ends a session that is out, or has not come in in time.
    pub(super) fn end_login(&mut self, id: SessionId) {
        let auth_timeout = format_duration(self.context.config.auth_timeout);
        let Some(connection) = self.connection(id) else { return };
        let (reason, error) = match &connection.login {
            AuthState::Rejected { reason, detail, .. } => {
                let code = match reason {
                    CloseReason::NotAllowed => ErrorCode::InsufficientSubscription,
                    _ => ErrorCode::AuthFailed,
                };
                (*reason, detail.clone().map(|detail| (code, detail)))
            }
            AuthState::AwaitingKey { .. } => {
                let detail = format!("no key was shown within {auth_timeout}");
                (CloseReason::AuthTimeout, Some((ErrorCode::AuthTimeout, detail)))
            }
            // Its key is right: clients that are told of a timeout would not come back.
            AuthState::AtLimit { .. } => (CloseReason::AuthTimeout, None),
            AuthState::Authenticated { .. } => return,
        };
        if let Some((code, detail)) = error {
            self.core.refuse(id, None, code, detail);
        }
        self.finish_session(id, reason);
        self.core.read_later(id); // what came meanwhile was not read
    }

    /// Ends the sessions whose key was given to others or taken away.
    pub(super) fn follow_keys(&mut self) {
        let closed_sessions = self.context.keys.closed_sessions();
        if closed_sessions == self.closed_sessions {
            return;
        }
        self.closed_sessions = closed_sessions;
        for id in self.ids() {
            if let Some(connection) = self.connection(id)
                && connection.stage == Stage::Open
                && let AuthState::Authenticated { grant, key_session, .. } = &connection.login
                && let Some(reason) = key_session.close_reason()
            {
                let (peer, view) = (connection.handshake.peer, connection.handshake.view.clone());
                let key = grant.key_name().map(str::to_owned);
                match reason {
                    CloseReason::Replaced => {
                        let why = "a newer session of the key has taken its place";
                        refusal_log::note(self.now, peer, &view, key.as_deref(), why);
                        self.put_out(id, reason, OUT_TIME, None);
                    }
                    reason => self.finish_session(id, reason),
                }
            }
        }
    }
}
