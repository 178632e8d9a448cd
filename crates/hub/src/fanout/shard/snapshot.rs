//! Last values: snapshots for new subscriptions, and the newest ticks for sessions that end.

use tickwire_protocol::{Channel, Control, Encoding, Tick};

use super::super::{FeedId, FrameBuf, LocalTopicId, SessionId, TopicKey, frame};
use super::Shard;
use super::control_queue::CONTROL_WRITE_BYTES;
use super::topics::Topic;

impl Shard {
    /// Returns the last value of a topic, unless the shard may have missed a newer one.
    #[must_use]
    pub fn last(&self, topic: &TopicKey) -> Option<&Tick> {
        let topic = self.topics.find(topic)?;
        self.last_value(self.topics.get(topic))
    }

    /// Returns the last value of a topic, unless the shard may have missed a newer one: then the
    /// next tick would not follow it.
    fn last_value<'a>(&self, topic: &'a Topic) -> Option<&'a Tick> {
        let last = topic.last.as_deref()?;
        self.coverage.is_complete_from(last.position).then_some(&last.tick)
    }

    /// Returns the last values of some channels of a feed.
    fn last_values(&self, feed: FeedId, channels: &[Channel]) -> impl Iterator<Item = &Tick> {
        let is_wanted = move |key: &TopicKey| key.feed == feed && channels.contains(&key.channel);
        let topics = self.topics.iter().filter(move |(_, topic)| is_wanted(&topic.key));
        topics.filter_map(|(_, topic)| self.last_value(topic))
    }

    /// Queues a snapshot: the last values of topics that begin now, and of channels whose `"*"`
    /// begins now. `requested` is the option of the command: topics have a snapshot unless it is
    /// false, channels only if it is true.
    pub(super) fn queue_snapshot(
        &mut self,
        id: SessionId,
        topics: &[LocalTopicId],
        channels: &[Channel],
        requested: Option<bool>,
    ) {
        let with_topics = requested.unwrap_or(true) && !topics.is_empty();
        let with_channels = requested == Some(true) && !channels.is_empty();
        if !with_topics && !with_channels {
            return;
        }
        if with_channels {
            self.mark_channels_clean(id, channels);
        }
        let session = &self.sessions[id];
        let mut ticks = Vec::new();
        if with_channels {
            ticks.extend(self.last_values(session.feed, channels));
        }
        for topic in topics {
            let topic = self.topics.get(*topic);
            let is_covered = with_channels && channels.contains(&topic.key.channel);
            ticks.extend(self.last_value(topic).filter(|_| with_topics && !is_covered));
        }
        let body_max = self.limits.message_bytes - 3;
        for frames in snapshot_frames(session.encoding, &ticks, body_max) {
            self.queue_frames(id, frames);
        }
    }

    /// Queues the newest ticks of all dirty topics of a session, without waiting for their send
    /// times; does nothing if the control frames of all sessions exceed their limit.
    pub(super) fn queue_newest(&mut self, id: SessionId) {
        if self.stats.control_bytes > self.limits.total_control_bytes {
            return;
        }
        let (session, hot) = self.sessions.both_mut(id);
        let Some(latest) = &mut hot.latest else { return };
        let topics = latest.take_all();
        let last = |topic| self.topics.get(topic).last.as_deref().map(|last| &last.tick);
        let ticks: Vec<&Tick> = topics.into_iter().filter_map(last).collect();
        let body_max = self.limits.message_bytes - 3;
        let mut frames = Vec::new();
        FrameBuf::default().write_ticks(session.encoding, &ticks, body_max, |frame| {
            frames.push(frame.to_vec());
        });
        frames.into_iter().for_each(|frame| self.queue_frames(id, frame));
    }
}

/// Returns the frames of a snapshot, in pieces that each fit into one write: a piece that is not
/// written yet counts as pending.
fn snapshot_frames(encoding: Encoding, ticks: &[&Tick], body_max: usize) -> Vec<Vec<u8>> {
    let write_control = |control: Control, frames: &mut Vec<u8>| {
        frame::write_message(encoding, frames, |out| control.write_message(encoding, out));
    };
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    write_control(Control::Snapshot { ticks: ticks.len() as u64 }, &mut piece);
    FrameBuf::default().write_ticks(encoding, ticks, body_max, |frame| {
        if piece.len() + frame.len() > CONTROL_WRITE_BYTES {
            pieces.push(std::mem::take(&mut piece));
        }
        piece.extend_from_slice(frame);
    });
    write_control(Control::Live, &mut piece);
    pieces.push(piece);
    pieces
}
