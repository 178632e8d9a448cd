//! Which columns of the table fit on the screen.

/// Space between columns.
pub(super) const SPACING: u16 = 1;

/// The narrowest sparkline that is shown.
const SPARK_WIDTH_MIN: u16 = 8;

/// A column of the table, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Symbol,
    Last,
    Change,
    Bid,
    Ask,
    Size,
    Volume,
    Age,
    Spark,
}

impl Column {
    /// The columns with text: all but the sparkline.
    pub(super) const TEXTS: [Self; 8] = [
        Self::Symbol,
        Self::Last,
        Self::Change,
        Self::Bid,
        Self::Ask,
        Self::Size,
        Self::Volume,
        Self::Age,
    ];

    /// What a narrow screen keeps, most important first. Columns of a group are kept together.
    const GROUPS: [&'static [Self]; 7] = [
        &[Self::Symbol],
        &[Self::Last],
        &[Self::Change],
        &[Self::Bid, Self::Ask],
        &[Self::Age],
        &[Self::Volume],
        &[Self::Size],
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Symbol => "SYMBOL",
            Self::Last => "LAST",
            Self::Change => "CHANGE",
            Self::Bid => "BID",
            Self::Ask => "ASK",
            Self::Size => "SIZE",
            Self::Volume => "VOLUME",
            Self::Age => "AGE",
            Self::Spark => "",
        }
    }

    /// Width that a column has at least, so that few values change the columns.
    const fn width_min(self) -> u16 {
        match self {
            Self::Symbol | Self::Change | Self::Volume => 8,
            Self::Last => 9,
            Self::Bid | Self::Ask => 14,
            Self::Size => 6,
            Self::Age => 5,
            Self::Spark => SPARK_WIDTH_MIN,
        }
    }
}

/// Returns the columns that fit into `width`, with their widths. Columns are left out as a whole,
/// since a number that is cut reads like another number. `lengths` are the lengths of the longest
/// texts, in the order of [`Column::TEXTS`]; `spark_max` is that of a complete sparkline.
pub(super) fn fitting(width: u16, lengths: [u16; 8], spark_max: u16) -> Vec<(Column, u16)> {
    let width_of = |column: Column| lengths[column as usize].max(column.width_min());
    let mut shown = Vec::new();
    let mut free = width.saturating_add(SPACING);
    for group in Column::GROUPS {
        let needed = group.iter().map(|column| width_of(*column) + SPACING).sum::<u16>();
        if let Some(rest) = free.checked_sub(needed) {
            free = rest;
            shown.extend(group.iter().map(|column| (*column, width_of(*column))));
        }
    }
    if free >= SPARK_WIDTH_MIN + SPACING {
        shown.push((Column::Spark, spark_max.min(free - SPACING)));
    }
    if shown.is_empty() {
        shown.push((Column::Symbol, width));
    }
    shown.sort_unstable_by_key(|(column, _)| *column);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(width: u16, lengths: [u16; 8]) -> String {
        let names = fitting(width, lengths, 24).into_iter().map(|(column, width)| match column {
            Column::Spark => format!("spark {width}"),
            column => column.name().to_owned(),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn narrow_screens_have_fewer_columns_and_never_wider_ones() {
        let usual = [4, 6, 7, 12, 12, 3, 6, 4];
        for (width, expected) in [
            (132, "SYMBOL LAST CHANGE BID ASK SIZE VOLUME AGE spark 24"),
            (100, "SYMBOL LAST CHANGE BID ASK SIZE VOLUME AGE spark 20"),
            (80, "SYMBOL LAST CHANGE BID ASK SIZE VOLUME AGE"),
            (66, "SYMBOL LAST CHANGE BID ASK AGE"),
            (40, "SYMBOL LAST CHANGE SIZE AGE"),
            (18, "SYMBOL LAST"),
            (3, "SYMBOL"),
        ] {
            assert_eq!(names(width, usual), expected, "{width}");
        }
        for width in 0..200 {
            let columns = fitting(width, usual, 24);
            let total = columns.iter().map(|(_, width)| width + SPACING).sum::<u16>();
            assert!(total <= width + SPACING, "{width}: {columns:?}");
        }
    }

    #[test]
    fn long_values_widen_their_column_and_leave_out_others() {
        let long = [4, 16, 7, 25, 25, 3, 6, 4];
        assert_eq!(names(80, long), "SYMBOL LAST CHANGE SIZE VOLUME AGE spark 23");
    }
}
