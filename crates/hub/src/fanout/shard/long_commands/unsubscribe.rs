//! Unsubscribes from many names in pieces.

use tickwire_protocol::{Channel, SubscribeRequest, SubscriptionSet};

use super::super::super::{LocalTopicId, SessionId, TopicKey};
use super::super::Shard;
use super::super::commands::dedup_in_order;
use super::Piece;
use super::subscribe_progress::RemainingNames;

/// The progress of an unsubscribe command.
#[derive(Debug)]
pub(super) struct UnsubscribeProgress {
    command: Option<u64>,
    remaining: RemainingNames,
    wildcards: Vec<Channel>,
    removed: SubscriptionSet,
}

impl UnsubscribeProgress {
    pub(super) fn new(request: &SubscribeRequest) -> Self {
        let with_all = request.names.iter().filter(|(_, selection)| selection.all);
        Self {
            command: request.id,
            remaining: RemainingNames::new(&request.names),
            wildcards: with_all.map(|(channel, _)| channel).collect(),
            removed: SubscriptionSet::default(),
        }
    }
}

impl Shard {
    pub(super) fn continue_unsubscribe(
        &mut self,
        id: SessionId,
        progress: &mut UnsubscribeProgress,
    ) -> Piece {
        if let Some((channel, symbols)) = progress.remaining.take(self.limits.topics_per_piece) {
            let session = &self.sessions[id];
            let feed = session.feed;
            let keys = symbols.iter().map(|symbol| TopicKey { feed, channel, symbol: *symbol });
            let known = keys.filter_map(|key| self.topics.find(&key));
            let mut topics: Vec<LocalTopicId> =
                known.filter(|topic| session.find_named(*topic).is_ok()).collect();
            dedup_in_order(&mut topics);
            let symbols = topics.iter().map(|topic| self.topics.get(*topic).key.symbol);
            progress.removed[channel].symbols.extend(symbols);
            self.hand_over_to_wildcard(id, &topics);
            // A `"*"` with `latest` sends what has ticked since the command arrived.
            let since = self.present(id).head;
            let mut ticked = topics.clone();
            ticked.retain(|topic| self.topics.get(*topic).last_position() >= Some(since));
            self.remove_topics(id, topics);
            ticked.into_iter().for_each(|topic| self.mark_topic_dirty(id, topic));
            return Piece::Partial;
        }
        let session = &self.sessions[id];
        let wildcards = std::mem::take(&mut progress.wildcards).into_iter();
        let wildcards: Vec<Channel> =
            wildcards.filter(|channel| session.wildcards[*channel].is_some()).collect();
        let mut names = std::mem::take(&mut progress.removed);
        wildcards.iter().for_each(|channel| names[*channel].all = true);
        self.end_unsubscribe(id, progress.command, names, &wildcards);
        Piece::Last
    }
}
