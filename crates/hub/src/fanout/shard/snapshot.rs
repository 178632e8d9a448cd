//! Last values: snapshots for new subscriptions, and the newest ticks for sessions that end.

use tickwire_protocol::{Channel, Tick};

use super::super::{FeedId, FrameBuf, LocalTopicId, Position, SessionId, TopicKey};
use super::Shard;
use super::log_coverage::Present;
use super::long_commands::SnapshotFrames;
use super::topics::Topic;

/// Where the value of a topic is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum ValueSource {
    /// It is the last value of the topic.
    Last(LocalTopicId),
    /// It is the tick at a position of the log.
    Log(Position),
}

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

    /// Returns the value that a topic had at a present. If the log no longer holds it, returns the
    /// last value, and the position at which the topic continues after it. `None` if the topic had
    /// not ticked, or the shard may have missed its value.
    pub(super) fn value_at(
        &self,
        topic: LocalTopicId,
        at: Present,
    ) -> Option<(ValueSource, Option<Position>)> {
        let last = self.topics.get(topic).last.as_deref()?;
        let position = self.position_of_value(topic, at)?;
        Some(if position == last.position {
            (ValueSource::Last(topic), None)
        } else if self.window.locate_position(position).is_some() {
            (ValueSource::Log(position), None)
        } else {
            (ValueSource::Last(topic), Some(last.position.plus(1)))
        })
    }

    /// Returns the last value of a topic if it had one at a present.
    pub(super) fn newest_if_known_at(
        &self,
        topic: LocalTopicId,
        at: Present,
    ) -> Option<ValueSource> {
        self.position_of_value(topic, at).map(|_| ValueSource::Last(topic))
    }

    /// Returns the position of the value that a topic had at a present, unless the shard may have
    /// missed it.
    fn position_of_value(&self, topic: LocalTopicId, at: Present) -> Option<Position> {
        let last = self.topics.get(topic).last.as_deref()?;
        let position = if last.position < at.head {
            last.position
        } else if self.has_ticked_before(topic, at.head) {
            last.positions.last_before(at.head, self.head())
        } else {
            return None;
        };
        at.coverage.is_complete_from(position).then_some(position)
    }

    /// Returns whether a topic had ticked before a position.
    pub(super) fn has_ticked_before(&self, topic: LocalTopicId, at: Position) -> bool {
        let Some(last) = self.topics.get(topic).last.as_deref() else { return false };
        let since = last.positions.len() - last.positions.count_before(at, self.head());
        last.position < at || last.tick.seq.0 > since as u64
    }

    /// Returns a tick.
    pub(super) fn tick_of(&self, source: ValueSource) -> Option<&Tick> {
        match source {
            ValueSource::Last(topic) => {
                self.topics.get(topic).last.as_deref().map(|last| &last.tick)
            }
            ValueSource::Log(position) => {
                let (batch, index) = self.window.locate_position(position)?;
                Some(&batch.ticks()[index].tick)
            }
        }
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
        let encoding = session.encoding;
        let mut snapshot = SnapshotFrames::default();
        snapshot.append(encoding, &ticks, self.limits.message_bytes - 3);
        for frames in snapshot.finish(encoding) {
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
