//! Which parts of a bar a trade may change, by its sale conditions: the table of `docs/bars.md` as
//! code.

use tickwire_protocol::{Conditions, Text};

/// The parts that a trade may change of its minute's bar (low four bits) and of its day's bar (high
/// four bits).
///
/// Each condition only removes permissions, so the strictest condition of a trade holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effects(pub(super) u8);

/// The trade may set open and close.
pub(super) const OPEN_CLOSE: u8 = 1;
/// The trade may set open and close while no other trade has set them; occurs with [`OPEN_CLOSE`]
/// or alone.
pub(super) const IF_FIRST: u8 = 2;
/// The trade may set high and low.
pub(super) const HIGH_LOW: u8 = 4;
/// The trade counts for volume and number of trades.
pub(super) const VOLUME: u8 = 8;

const ALL: u8 = OPEN_CLOSE | IF_FIRST | HIGH_LOW | VOLUME;
const DAY_SHIFT: u8 = 4;
/// Mask for a trade outside the session: the day takes only its volume, as for extended hours.
const NO_PRICE_OF_DAY: u8 = (VOLUME << DAY_SHIFT) | ALL;

impl Effects {
    /// Returns the effects of a trade's conditions. The tape decides the meaning of code `B`.
    pub(super) fn of(conditions: &Conditions, tape: &Text) -> Self {
        let mut allowed = u8::MAX;
        for code in conditions.iter() {
            if let [code] = code.as_bytes() {
                allowed &= allowed_by(*code, tape);
            }
        }
        Self(allowed)
    }

    /// Returns these effects for a trade outside the session: the daily bar takes only its volume.
    pub(super) const fn outside_session(self) -> Self {
        Self(self.0 & NO_PRICE_OF_DAY)
    }

    /// Returns the permissions for the minute's bar.
    pub(super) const fn of_minute(self) -> u8 {
        self.0 & ALL
    }

    /// Returns the permissions for the day's bar.
    pub(super) const fn of_day(self) -> u8 {
        self.0 >> DAY_SHIFT
    }
}

/// Returns the permissions that one condition leaves. Unknown codes remove nothing.
fn allowed_by(code: u8, tape: &Text) -> u8 {
    let both = |minute: u8, day: u8| minute | (day << DAY_SHIFT);
    match code {
        // Average price on tapes A and B, a bunched trade (regular) on C.
        b'B' if tape.as_str() == "C" => both(ALL, ALL),
        b'B' | b'C' | b'H' | b'I' | b'N' | b'R' | b'U' | b'V' | b'W' | b'7' => both(VOLUME, VOLUME),
        // Price agreed at another time: it counts for the day, but not for this minute.
        b'G' | b'P' | b'Z' | b'4' => both(VOLUME, IF_FIRST | HIGH_LOW | VOLUME),
        b'T' => both(ALL, VOLUME),
        b'M' | b'Q' => both(0, 0),
        b'9' => both(0, OPEN_CLOSE | IF_FIRST | HIGH_LOW),
        _ => both(ALL, ALL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(codes: &[&str], tape: &str) -> (u8, u8) {
        let conditions = Conditions::new(codes.iter().copied()).unwrap();
        let effects = Effects::of(&conditions, &Text::new(tape).unwrap());
        (effects.of_minute(), effects.of_day())
    }

    #[test]
    fn regular_and_unknown_conditions_change_everything() {
        assert_eq!(effects(&[], ""), (ALL, ALL));
        assert_eq!(effects(&["@", "F"], "C"), (ALL, ALL));
        assert_eq!(effects(&["%", "IIII"], "A"), (ALL, ALL));
    }

    /// Parses the table of docs/bars.md: code, tape, and permissions for minute and day.
    fn documented() -> Vec<(&'static str, &'static str, (u8, u8))> {
        let lines = include_str!("../../../../docs/bars.md").lines();
        let cells = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let rows = cells.filter(|row| row.len() == 11 && row[1].starts_with('`'));
        let allowed = |cells: &[&str]| {
            let prices = match cells[0] {
                "yes" => OPEN_CLOSE | IF_FIRST,
                "first" => IF_FIRST,
                _ => 0,
            };
            let yes = |cell: &str, bit| if cell == "yes" { bit } else { 0 };
            prices | yes(cells[1], HIGH_LOW) | yes(cells[2], VOLUME)
        };
        let row = |row: Vec<&'static str>| {
            let tape = if row[3] == "C" { "C" } else { "A" };
            (row[1].trim_matches('`'), tape, (allowed(&row[4..7]), allowed(&row[7..10])))
        };
        rows.map(row).collect()
    }

    #[test]
    fn every_code_does_what_the_docs_say() {
        let documented = documented();
        assert_eq!(documented.len(), 33);
        for (code, tape, expected) in documented {
            assert_eq!(effects(&[code], tape), expected, "{code} on tape {tape}");
        }
    }

    #[test]
    fn strictest_condition_holds() {
        assert_eq!(effects(&["@", "4", "I"], "C"), (VOLUME, VOLUME));
        assert_eq!(effects(&["@", "4"], "C"), (VOLUME, IF_FIRST | HIGH_LOW | VOLUME));
        assert_eq!(effects(&["T", "I"], "A"), (VOLUME, VOLUME));
        assert_eq!(effects(&["4", "9"], "A"), (0, IF_FIRST | HIGH_LOW));
        assert_eq!(effects(&["M", "F"], "A"), (0, 0));
    }

    #[test]
    fn extended_hours_price_the_minute_but_not_the_day() {
        assert_eq!(effects(&["F", "T"], "A"), (ALL, VOLUME));
        let regular = Effects::of(&Conditions::default(), &Text::default());
        let outside = regular.outside_session();
        assert_eq!((outside.of_minute(), outside.of_day()), (ALL, VOLUME));
    }

    #[test]
    fn same_letter_means_bunched_on_tape_c_and_average_price_elsewhere() {
        assert_eq!(effects(&["B"], "C"), (ALL, ALL));
        for tape in ["A", "B", "O", ""] {
            assert_eq!(effects(&["B"], tape), (VOLUME, VOLUME));
        }
    }
}
