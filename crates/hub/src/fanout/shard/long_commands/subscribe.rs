//! Subscribes to many topics in pieces.

use tickwire_protocol::{Control, Delivery, ResumeOutcome, SubscribeRequest, SubscriptionSet};

use super::super::super::{LocalTopicId, Position, SessionId};
use super::super::Shard;
use super::super::acks::Ack;
use super::super::commands::SubscribeChange;
use super::super::refusal::Refusal;
use super::super::resume::position_before_gaps;
use super::Piece;
use super::subscribe_progress::{Stage, SubscribeProgress};
use super::topic_scan::TopicScan;

impl Shard {
    /// Begins a subscribe command.
    ///
    /// # Errors
    /// Fails if the session's state does not allow the command.
    pub(super) fn begin_subscribe(
        &mut self,
        id: SessionId,
        request: &SubscribeRequest,
    ) -> Result<SubscribeProgress, Refusal> {
        self.stop_needless_catch_up(id);
        let adds_every = request.names.iter().any(|(channel, selection)| {
            request.delivery.for_channel(channel) == Delivery::Every
                && (selection.all || !selection.symbols.is_empty())
        });
        self.refuse_beside_replay(id, request, adds_every)?;
        let group = self.group_of_request(id, request)?;
        Ok(SubscribeProgress::new(
            request,
            group,
            self.changed_wildcards(id, request),
            request.replay.map(|replay| self.replay_start(replay)),
            self.ack_size(id),
        ))
    }

    pub(super) fn continue_subscribe(
        &mut self,
        id: SessionId,
        progress: &mut SubscribeProgress,
    ) -> Piece {
        let max = self.limits.topics_per_piece;
        match progress.stage {
            Stage::Add => {
                if let Some((channel, symbols)) = progress.remaining.take(max) {
                    progress.request.names = SubscriptionSet::default();
                    progress.request.names[channel].symbols = symbols;
                    if let Err(refusal) = self.add_names(id, progress) {
                        progress.refusal = Some(refusal);
                        progress.stage = Stage::Withdraw;
                    }
                    return Piece::Partial;
                }
                match self.check_wildcards(id, &progress.wildcards) {
                    Ok(()) => progress.stage = Stage::Move,
                    Err(refusal) => {
                        progress.refusal = Some(refusal);
                        progress.stage = Stage::Withdraw;
                    }
                }
            }
            Stage::Move => {
                if !progress.moved.is_empty() {
                    let kept = progress.moved.len().saturating_sub(max);
                    let moved = progress.moved.split_off(kept);
                    self.move_names(id, progress, moved);
                    return Piece::Partial;
                }
                progress.added.sort_unstable(); // the scan searches it
                self.begin_wildcards(id, progress);
                progress.stage = Stage::Scan;
            }
            Stage::Scan => {
                if !self.continue_scan(id, progress) {
                    self.end_subscribe(id, progress);
                    return Piece::Last;
                }
            }
            Stage::Withdraw => {
                if progress.added.is_empty() {
                    self.drop_empty_groups(id);
                    if let Some(Refusal { code, detail }) = progress.refusal.take() {
                        self.refuse(id, progress.request.id, code, detail);
                    }
                    return Piece::Last;
                }
                let kept = progress.added.len().saturating_sub(max);
                let withdrawn = progress.added.split_off(kept);
                self.withdraw_names(id, progress, withdrawn);
            }
        }
        Piece::Partial
    }

    /// Subscribes to the names of a piece.
    fn add_names(
        &mut self,
        id: SessionId,
        progress: &mut SubscribeProgress,
    ) -> Result<(), Refusal> {
        let change = self.find_changes(id, &progress.request)?;
        let SubscribeChange { added, mut moved, .. } = change;
        let ack_size = self.ack_size_with(id, progress.ack_size, &added);
        if let Err(refusal) =
            self.check_limits(id, added.len()).and_then(|()| self.check_ack(ack_size))
        {
            added.into_iter().for_each(|topic| self.release_topic(topic));
            return Err(refusal);
        }
        progress.ack_size = ack_size;
        progress.added.extend(&added);
        progress.moved.append(&mut moved);
        self.apply_change(
            id,
            &SubscribeChange { added: added.clone(), ..SubscribeChange::default() },
            progress.group,
        );
        self.begin_topics(id, progress, added);
        Ok(())
    }

    /// Changes the delivery of some names. The command may have named one twice.
    fn move_names(
        &mut self,
        id: SessionId,
        progress: &mut SubscribeProgress,
        mut moved: Vec<LocalTopicId>,
    ) {
        moved.sort_unstable();
        moved.dedup();
        moved.retain(|topic| {
            let channel = self.topics.get(*topic).key.channel;
            let delivery = progress.request.delivery.for_channel(channel);
            self.group_of(id, *topic).is_some_and(|group| self.delivery_of(id, group) != delivery)
        });
        let change = SubscribeChange { moved: moved.clone(), ..SubscribeChange::default() };
        self.apply_change(id, &change, progress.group);
        self.begin_topics(id, progress, moved);
    }

    /// Begins the `"*"` of channels. Their topics are visited in the next pieces.
    fn begin_wildcards(&mut self, id: SessionId, progress: &mut SubscribeProgress) {
        let wildcards = progress.wildcards.clone();
        for channel in &wildcards {
            progress.names[*channel].all = true;
        }
        let change = SubscribeChange { wildcards: wildcards.clone(), ..SubscribeChange::default() };
        self.apply_change(id, &change, progress.group);
        if !wildcards.is_empty() {
            let outcome =
                self.start_wildcards(id, &progress.request, wildcards, progress.replay_start);
            progress.has_snapshot |=
                progress.request.snapshot == Some(true) && !outcome.new_wildcards.is_empty();
            progress.scan = TopicScan::of(&outcome, &progress.request, self.topics.slots());
        }
    }

    fn withdraw_names(
        &mut self,
        id: SessionId,
        progress: &SubscribeProgress,
        topics: Vec<LocalTopicId>,
    ) {
        let has_moved = progress.request.resume.is_some() || progress.request.replay.is_some();
        match &mut self.sessions[id].cursor {
            // These starts are the command's own.
            Some(cursor) if has_moved => {
                topics.iter().for_each(|topic| cursor.remove_topic(*topic))
            }
            _ => self.hand_over_to_wildcard(id, &topics),
        }
        let mut of_wildcards = topics.clone();
        of_wildcards.retain(|topic| {
            let topic = self.topics.get(*topic);
            topic.last.is_some() && self.sessions[id].wildcards[topic.key.channel].is_some()
        });
        self.remove_topics(id, topics);
        // The names may have hidden ticks that a `"*"` with `latest` has not sent yet.
        of_wildcards.into_iter().for_each(|topic| self.mark_topic_dirty(id, topic));
    }

    /// Answers a subscribe command.
    fn end_subscribe(&mut self, id: SessionId, progress: &mut SubscribeProgress) {
        let request = &progress.request;
        let session = &mut self.sessions[id];
        session.on_lag = request.on_lag.unwrap_or(session.on_lag);
        session.wants_positions |= request.pos;
        self.flag_named_channels(id);
        self.drop_empty_groups(id);
        let resumed = request.resume.as_ref().map(|resume| {
            if !self.may_resume(id, resume) {
                ResumeOutcome::NewEpoch
            } else if progress.gaps.is_empty() {
                ResumeOutcome::Complete
            } else {
                ResumeOutcome::Gap
            }
        });
        self.count_subscribe(resumed, request.replay.is_some());
        let has_gaps = !progress.gaps.is_empty();
        let position_before_gaps = position_before_gaps(request.resume.as_ref(), resumed, has_gaps);
        let ack = Ack {
            command: request.id,
            names: std::mem::take(&mut progress.names),
            delivery: request.delivery,
            resumed,
            from: progress.replay_start.map(|(_, from)| from),
            position_before_gaps,
            ..Ack::default()
        };
        self.acknowledge(id, ack);
        for frames in std::mem::take(&mut progress.gaps) {
            self.queue_frames(id, frames);
        }
        if progress.has_snapshot {
            let encoding = self.sessions[id].encoding;
            for frames in std::mem::take(&mut progress.snapshot).finish(encoding) {
                self.queue_frames(id, frames);
            }
        }
        if position_before_gaps.is_some()
            && let Some(Position(pos)) = self.position(id)
        {
            self.control(id, &Control::Position { pos });
        }
    }
}
