//! Sessions that lag and continue with `latest`.

use std::cmp::Reverse;

use tickwire_protocol::OnLag;

use super::super::SessionId;
use super::Shard;
use super::delivery::is_conflated;
use super::gaps::{GAPS_BYTES_MAX, Gap};
use super::lag::{Lagged, Missed};
use super::session::DeliveryState;

impl Shard {
    /// Lets a lagging session continue with `latest`, if it asked for that, and queues gaps for
    /// what it misses. Returns whether it continues.
    pub(super) fn downgrade_to_latest(&mut self, lagged: &Lagged) -> bool {
        let Lagged { id, missed } = *lagged;
        let session = &self.sessions[id];
        let may_continue = session.on_lag == OnLag::Latest
            && session.ending.is_none()
            && session.held_at.is_none()
            && self.stats.control_bytes <= GAPS_BYTES_MAX; // its gaps are control frames
        let misses_nothing = !self.wants_every(id) && self.sessions.hot(id).backlog.is_empty();
        if !may_continue || misses_nothing {
            return false;
        }
        let mut gaps = match missed {
            Missed::Pending if session.cursor.is_some() => self.catch_up_gaps(id),
            Missed::Pending => self.pending_gaps(id),
            Missed::Unseen { until } => self.unseen_gaps(id, until),
        };
        gaps.sort_unstable_by_key(|gap| Reverse(self.topics.get(gap.topic).last_position()));
        let was_catching_up = self.sessions[id].cursor.is_some();
        self.drop_backlog(id);
        self.end_catch_up(id);
        self.sessions.hot_mut(id).delivery = DeliveryState::Live;
        // Without a gap the session would not know of the change. There is none if the shard has
        // seen no tick of its topics, or if a session that catches up misses nothing; then it keeps
        // every tick.
        let keeps_every = was_catching_up || matches!(missed, Missed::Unseen { .. });
        if !(gaps.is_empty() && keeps_every) {
            self.stats.downgraded += 1;
            self.conflate_all(id);
            self.report_gaps(id, &gaps);
        }
        self.wake(id);
        true
    }

    /// Queues the gaps of a session. Marks those topics as dirty whose newest tick the session
    /// still receives.
    fn report_gaps(&mut self, id: SessionId, gaps: &[Gap]) {
        let mut has_reported = false;
        for (number, gap) in gaps.iter().enumerate() {
            let is_last = number + 1 == gaps.len();
            let channel = self.topics.get(gap.topic).key.channel;
            let mut sends_newest = gap.ends_with_newest && is_conflated(channel);
            // A session without any gap would not know that its names are `latest` now. If there is
            // none yet, the last topic reports its newest tick as missing instead of sending it.
            sends_newest &= has_reported || !is_last || gap.without_newest().is_some();
            if sends_newest {
                self.mark_topic_dirty(id, gap.topic);
            }
            let missing = if sends_newest { gap.without_newest() } else { Some(*gap) };
            if let Some(missing) = missing {
                let control = self.gap_control(&missing, true);
                self.control(id, &control);
                has_reported = true;
            }
        }
    }
}
