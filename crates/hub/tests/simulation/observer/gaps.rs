//! Gaps after a lag.

use tickwire_protocol::{Delivery, OnLag};

use super::{Observer, Track};
use crate::oracle::{Facts, Name};

impl Observer {
    /// Handles a gap after a lag: its ticks will not arrive, and the names are `latest` from here
    /// on.
    pub(super) fn gap(
        &mut self,
        name: Name,
        from: Option<u64>,
        to: Option<u64>,
        facts: &Facts<'_>,
    ) {
        assert_eq!(self.on_lag, OnLag::Latest, "gap of {name:?}");
        self.conflate(facts);
        let Some(track) = self.track(name, facts) else { return };
        // The gap also covers ticks that were dropped before the name was restarted.
        let exact = self.received.remove(&name);
        let last = track.last();
        let newest = facts.oracle.newest(self.topic(name));
        if let Some(from) = from
            && !matches!(track, Track::AfterGap { .. })
        {
            assert!(
                from == last + 1 || !exact && from <= last + 2,
                "gap of {name:?} from {from}, last received {last}"
            );
        }
        assert!(to.is_none_or(|to| to <= newest), "gap of {name:?} to {to:?}, newest {newest}");
        assert!(
            !exact || to.is_none_or(|to| to >= last),
            "gap of {name:?} to {to:?}, last received {last}"
        );
        let last = last.max(to.unwrap_or(0));
        let track = match (track, to) {
            (Track::Every { .. } | Track::AfterGap { .. }, Some(_)) => {
                Track::Every { next: last + 1 }
            }
            (Track::Every { .. } | Track::AfterGap { .. }, None) => Track::AfterGap { last },
            (_, Some(_)) => Track::Latest { last, waived: last },
            (_, None) => Track::Latest { last, waived: newest },
        };
        self.tracks.insert(name, track);
    }

    /// Treats all names that can be conflated as `latest` from here on.
    pub(super) fn conflate(&mut self, facts: &Facts<'_>) {
        let latest = Delivery::Latest { max_rate: None };
        for name in
            facts.oracle.names(self.feed).filter(|name| latest.for_channel(name.0) == latest)
        {
            match self.track(name, facts) {
                Some(Track::Every { next }) => {
                    // If the last tick was dropped before the name was restarted, it arrives again.
                    let repeated = u64::from(!self.received.contains(&name));
                    let (last, waived) =
                        ((next - 1).saturating_sub(repeated), (next - 1) * repeated);
                    let track = Track::Latest { last, waived };
                    self.tracks.insert(name, track);
                }
                Some(Track::AfterGap { last }) => {
                    self.tracks.insert(name, Track::Latest { last, waived: last });
                }
                _ => {}
            }
        }
        let names = self.names.iter_mut().map(|((channel, _), mode)| (*channel, mode));
        let wildcards = self.wildcards.iter_mut().map(|(channel, mode)| (*channel, mode));
        for (channel, mode) in names.chain(wildcards) {
            if mode.delivery == Delivery::Every {
                mode.delivery = latest.for_channel(channel);
            }
        }
    }
}
