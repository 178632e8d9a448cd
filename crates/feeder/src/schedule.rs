//! A source on its schedule: yields each tick when it is due.

use tickwire_protocol::{Tick, UnixNanos};

use crate::pace::{Due, Pacer};
use crate::tick_stream::{Next, TickStream};
use crate::{Pace, Progress, Source, SourceError};

/// A source with its schedule. Reads one tick ahead, to know when it is due.
#[derive(Debug)]
pub(crate) struct Schedule<S> {
    source: S,
    pacer: Pacer,
    ahead: Option<(Tick, Due)>,
    taken: u64,
    /// The most ticks that were taken before a rewind; 0 without one. A stopped schedule publishes
    /// as many again.
    taken_before: u64,
    ended: bool,
    /// Number of ticks after which the schedule ends, after a stop.
    until: Option<u64>,
}

impl<S: Source> Schedule<S> {
    pub(crate) fn new(source: S, pace: Pace) -> Self {
        Self {
            source,
            pacer: Pacer::new(pace),
            ahead: None,
            taken: 0,
            taken_before: 0,
            ended: false,
            until: None,
        }
    }

    fn read(&mut self) -> Result<Option<Tick>, SourceError> {
        if self.ended {
            return Ok(None);
        }
        let tick = self.source.next_tick();
        self.ended = !matches!(tick, Ok(Some(_)));
        tick
    }
}

impl<S: Source> TickStream for Schedule<S> {
    fn next(&mut self, now: UnixNanos) -> Result<Next, SourceError> {
        if self.has_ended() {
            return Ok(Next::End);
        }
        let (mut tick, due) = match self.ahead.take() {
            Some(ahead) => ahead,
            None => match self.read()? {
                None => return Ok(Next::End),
                Some(tick) => {
                    let due = self.pacer.due(tick.time, now);
                    (tick, due)
                }
            },
        };
        if due.at > now {
            self.ahead = Some((tick, due));
            return Ok(Next::Wait(due.at));
        }
        self.taken += 1;
        tick.time = due.stamp;
        Ok(Next::Send(tick, due.at))
    }

    fn skip(&mut self, count: u64) -> Result<u64, SourceError> {
        let before = self.taken;
        while self.taken - before < count && (self.ahead.take().is_some() || self.read()?.is_some())
        {
            self.taken += 1;
        }
        Ok(self.taken - before)
    }

    /// Rewinds the source. Its ticks are then due at the same times and carry the same event times.
    fn rewind(&mut self) -> Result<bool, SourceError> {
        let rewound = self.source.rewind();
        self.ended |= rewound.is_err();
        if let Ok(true) = rewound {
            self.ahead = None;
            self.taken_before = self.taken_before.max(self.taken);
            self.taken = 0;
            self.ended = false;
        }
        rewound
    }

    fn stop(&mut self) {
        let most = self.taken.max(self.taken_before);
        self.until.get_or_insert(most);
    }

    fn is_stopped(&self) -> bool {
        self.until.is_some()
    }

    fn has_ended(&self) -> bool {
        self.ended && self.ahead.is_none() || self.until.is_some_and(|until| self.taken >= until)
    }

    /// Returns whether a stopped schedule has ticks left. After a rewind, the ticks taken before
    /// the stop are yielded again.
    fn has_unpublished(&self) -> bool {
        self.is_stopped() && !self.has_ended()
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn identity(&self) -> u64 {
        self.source.identity()
    }

    fn update(&self, progress: &Progress) {
        progress.set_source(self.source.skipped(), self.source.fraction_done());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SimConfig, Simulator, Speed};

    fn schedule(ticks: u64) -> Schedule<Simulator> {
        let config = SimConfig { rate: 1_000.0, ticks_max: Some(ticks), ..SimConfig::default() };
        Schedule::new(Simulator::new(config), Pace { speed: Speed::Times(1.0), restamp: true })
    }

    #[test]
    fn late_reader_gets_overdue_ticks_with_their_due_times() {
        let mut schedule = schedule(1_000);
        let start = UnixNanos(1_000_000_000);
        assert!(matches!(schedule.next(start).unwrap(), Next::Send(_, at) if at == start));
        let late = UnixNanos(start.0 + 100_000_000);
        let mut sent = 0;
        let wait = loop {
            match schedule.next(late).unwrap() {
                Next::Send(tick, at) => {
                    assert_eq!(tick.time, at);
                    assert!(start <= at && at <= late);
                    sent += 1;
                }
                Next::Wait(until) => break until,
                Next::End => panic!("a thousand ticks take a second"),
            }
        };
        assert!(wait > late);
        assert!((60..140).contains(&sent), "{sent}");
    }

    #[test]
    fn skipped_ticks_are_counted_and_the_next_one_is_now() {
        let mut resumed = schedule(10);
        assert_eq!(resumed.skip(6).unwrap(), 6);
        let seventh = schedule(10).source.nth(6).unwrap();
        let Next::Send(tick, at) = resumed.next(UnixNanos(5)).unwrap() else { panic!("due") };
        assert_eq!((tick.symbol, tick.data), (seventh.symbol, seventh.data));
        assert_eq!((at, resumed.taken()), (UnixNanos(5), 7));
        assert_eq!(schedule(3).skip(9).unwrap(), 3);
    }

    #[test]
    fn ticks_taken_again_bear_the_times_they_had() {
        let mut schedule = schedule(100);
        let take = |schedule: &mut Schedule<Simulator>, now: u64| match schedule
            .next(UnixNanos(now))
            .unwrap()
        {
            Next::Send(tick, at) => Some((tick, at)),
            Next::Wait(_) | Next::End => None,
        };
        schedule.skip(2).unwrap();
        let start = 1_000_000_000_000;
        let first = take(&mut schedule, start).unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| take(&mut schedule, start + 20_000_000)).collect();
        assert!(rest.len() > 5);
        assert!(schedule.rewind().unwrap());
        let again: Vec<_> =
            std::iter::from_fn(|| take(&mut schedule, start + 20_000_000)).collect();
        assert!(again[..2].iter().all(|(_, at)| at.0 < start));
        assert_eq!(again[2], first);
        assert!(again[3..] == rest);
    }

    #[test]
    fn stopped_schedule_gives_again_what_it_had_given_and_no_more() {
        let mut schedule = schedule(100);
        let late = UnixNanos(u64::MAX / 2);
        for _ in 0..7 {
            schedule.next(late).unwrap();
        }
        schedule.stop();
        assert_eq!(schedule.next(late).unwrap(), Next::End);
        schedule.rewind().unwrap();
        assert_eq!(schedule.skip(5).unwrap(), 5);
        for _ in 5..7 {
            assert!(!schedule.has_ended());
            assert!(matches!(schedule.next(late).unwrap(), Next::Send(..)));
        }
        assert!(schedule.has_ended());
        assert_eq!(schedule.next(late).unwrap(), Next::End);
    }
}
