//! The progress of a replay at a speed.

use tickwire_protocol::{SpeedFactor, UnixNanos};

/// Maps the time of the shard to the receive times that a replay has reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Playback {
    /// Time at which the replay began to play.
    pub(crate) began: UnixNanos,
    /// Receive time of the past at which the replay starts.
    pub(crate) from: UnixNanos,
    pub(crate) speed: SpeedFactor,
}

impl Playback {
    /// Returns the receive time that the replay has reached at `now`.
    pub(crate) fn reached(&self, now: UnixNanos) -> UnixNanos {
        let elapsed = u128::from(now.0.saturating_sub(self.began.0));
        let played = elapsed * u128::from(self.speed.thousandths()) / 1000;
        UnixNanos(self.from.0.saturating_add(u64::try_from(played).unwrap_or(u64::MAX)))
    }

    /// Returns the time at which the replay reaches a receive time.
    pub(crate) fn due(&self, received: UnixNanos) -> UnixNanos {
        let ahead = u128::from(received.0.saturating_sub(self.from.0));
        let wait = (ahead * 1000).div_ceil(u128::from(self.speed.thousandths()));
        UnixNanos(self.began.0.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_protocol::ReplaySpeed;

    #[test]
    fn playback_reaches_each_receive_time_when_it_is_due() {
        let ReplaySpeed::Factor(speed) = ReplaySpeed::factor(2.5).unwrap() else { unreachable!() };
        let playback = Playback { began: UnixNanos(1_000), from: UnixNanos(77), speed };
        assert_eq!(playback.reached(UnixNanos(900)), UnixNanos(77));
        assert_eq!(playback.reached(UnixNanos(1_100)), UnixNanos(77 + 250));
        for received in [0, 77, 78, 1_000, u64::MAX] {
            let due = playback.due(UnixNanos(received));
            assert!(playback.reached(due).0 >= received);
            let early = UnixNanos(due.0 - 1);
            assert!(due == playback.began || playback.reached(early).0 < received);
        }
    }
}
