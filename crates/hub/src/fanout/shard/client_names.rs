//! The names that the clients of a shard want, read piece by piece.

use super::super::{ClientId, SessionId};
use super::Shard;
use super::interest::TopicInterest;
use super::session_table::id_of;

/// The most names of one session that [`Shard::client_names`] yields.
pub const CLIENT_NAMES_MAX: usize = 1_024;

impl Shard {
    /// Calls `found` with the names of sessions, from the session in slot `from` on, until it has
    /// called it about `names_max` times. Returns the slot to continue from, or `None` at the end.
    /// Leaves out sessions without a client, and names of a session beyond [`CLIENT_NAMES_MAX`].
    pub fn client_names(
        &self,
        from: usize,
        names_max: usize,
        mut found: impl FnMut(ClientId, TopicInterest),
    ) -> Option<usize> {
        let mut names = 0;
        for slot in from..self.sessions.hot.len() {
            if names >= names_max {
                return Some(slot);
            }
            names += 1 + self.session_names(id_of(slot), &mut found);
        }
        None
    }

    /// Returns the number of names found.
    fn session_names(
        &self,
        id: SessionId,
        found: &mut impl FnMut(ClientId, TopicInterest),
    ) -> usize {
        let Some(session) = self.sessions.get(id) else { return 0 };
        let Some(client) = session.client else { return 0 };
        let wildcards = session.wildcard_channels().map(|(channel, _)| TopicInterest {
            feed: session.feed,
            channel,
            symbol: None,
        });
        let named = session.named.iter().map(|named| {
            let key = self.topics.get(named.topic).key;
            TopicInterest { feed: key.feed, channel: key.channel, symbol: Some(key.symbol) }
        });
        let names = wildcards.chain(named).take(CLIENT_NAMES_MAX);
        names.map(|name| found(client, name)).count()
    }
}
