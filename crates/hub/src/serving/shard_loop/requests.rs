//! Handles the requests of sessions.

use tickwire_protocol::{Channel, Command, Encoding, ErrorCode, SubscriptionSet};

use super::ShardTask;
use super::connection::Stage;
use crate::access::keys::Grant;
use crate::access::refusal_log;
use crate::fanout::{CloseReason, SessionId};
use crate::serving::new_connection::HandshakeInfo;
use crate::serving::session_protocol::{Request, SessionProtocol};
use crate::websocket::{Message, Payload};

impl ShardTask {
    /// Handles a message. If the message may hold several commands, handles the first and leaves
    /// the others in the connection. Ignores control frames, which the connection answers.
    pub(super) fn handle_message(&mut self, id: SessionId, message: Message) {
        let Some(connection) = self.connection(id) else { return };
        if connection.stage != Stage::Open {
            return; // the session is ending
        }
        let request = match (connection.handshake.protocol, message) {
            (SessionProtocol::Echo, Message::Text(text)) => {
                return self.core.message(id, Encoding::Json, &text.bytes);
            }
            (SessionProtocol::Echo, Message::Binary(binary)) => {
                return self.core.message(id, Encoding::MsgpackArray, &binary.bytes);
            }
            (SessionProtocol::Tickwire, message) => Request::read(&message),
            (SessionProtocol::Alpaca, Message::Text(payload) | Message::Binary(payload)) => {
                connection.unread = payload;
                let unread = &mut connection.unread.bytes;
                let request = Request::take_first(unread, connection.handshake.encoding);
                if unread.is_empty() {
                    connection.unread = Payload::default(); // returns its memory to the budget
                }
                request
            }
            _ => None,
        };
        if let Some(request) = request {
            self.handle_request(id, request);
        }
    }

    fn handle_request(&mut self, id: SessionId, request: Request) {
        let Some(connection) = self.connection(id) else { return };
        let request_id = request.id();
        let grant = connection.auth_state.grant().cloned();
        let is_refused = grant.is_none() && !matches!(request, Request::Auth(_));
        match (request, grant) {
            (Request::Unreadable { id: command, code, detail }, _) => {
                self.handle.metrics.refused_commands.add(1);
                self.core.refuse(id, command, code, detail);
            }
            (Request::Auth(credentials), _) => self.log_in(id, &credentials),
            (Request::Command(_), None) => {
                let detail = r#"first {"action":"auth","key":…,"secret":…}"#.to_owned();
                self.core.refuse(id, request_id, ErrorCode::NotAuthenticated, detail);
            }
            (Request::Command(command), Some(grant)) => {
                match self.check_command(id, &command, &grant) {
                    Ok(()) => self.core.command(id, &command),
                    Err(detail) => {
                        let now = self.now;
                        if let Some(connection) = self.connection(id) {
                            let HandshakeInfo { peer, view, .. } = &connection.handshake;
                            refusal_log::note(now, *peer, view, grant.key_name(), &detail);
                        }
                        self.core.refuse(id, request_id, ErrorCode::SymbolLimit, detail);
                    }
                }
            }
        }
        if is_refused
            && let Some(connection) = self.connection(id)
            && connection.auth_state.count_refused()
        {
            self.finish_session(id, CloseReason::AuthFailed);
        }
    }

    /// Checks whether the key of a session allows a command.
    ///
    /// # Errors
    /// Fails if the command exceeds what the key allows. The error describes what the key allows.
    fn check_command(&self, id: SessionId, command: &Command, grant: &Grant) -> Result<(), String> {
        match command {
            Command::Subscribe(request) if grant.limits_names() => {
                grant.check_names(&request.names, self.names_after(id, &request.names))
            }
            _ => Ok(()),
        }
    }

    /// Returns how many names of trades and quotes a session would have after subscribing to
    /// `more`.
    fn names_after(&self, id: SessionId, more: &SubscriptionSet) -> usize {
        let totals = self.core.totals_with(id, more);
        totals[Channel::Trades] + totals[Channel::Quotes]
    }
}
