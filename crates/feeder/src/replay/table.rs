//! Tables: comma-separated lines with a header.

use std::ops::Range;

use tickwire_protocol::ValueError;

/// Columns of a table of trades.
pub(super) const TRADES: [&str; 7] =
    ["time", "symbol", "exchange", "price", "size", "conditions", "correction"];
/// Columns of a table of quotes.
pub(super) const QUOTES: [&str; 7] =
    ["time", "symbol", "exchange", "bid", "bid_size", "ask", "ask_size"];

/// A parsed header: the names of the known columns, their positions in a line, and the number of
/// all columns.
#[derive(Debug)]
pub(super) struct Header {
    names: [&'static str; 7],
    places: [usize; 7],
    width: usize,
}

/// A fault in a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowError {
    /// Byte of the line at which the fault starts, from 1.
    pub(super) column: usize,
    pub(super) field: &'static str,
    pub(super) problem: String,
}

impl Header {
    /// Parses a header. Returns an error text with the given and the allowed columns if the header
    /// is unknown.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        let mut fields = Vec::new();
        split(line, &mut fields);
        let given: Vec<&str> = fields.iter().map(|field| line[field.clone()].trim()).collect();
        let of = |names: [&'static str; 7]| {
            let places = names.map(|name| given.iter().position(|&column| column == name));
            if places.contains(&None) {
                return None;
            }
            let places = places.map(Option::unwrap_or_default);
            Some(Self { names, places, width: given.len() })
        };
        of(TRADES).or_else(|| of(QUOTES)).ok_or_else(|| {
            let shown: String = line.chars().take(80).collect();
            format!(
                "header {shown:?}: expected {} for trades or {} for quotes",
                TRADES.join(","),
                QUOTES.join(",")
            )
        })
    }

    pub(super) fn is_trades(&self) -> bool {
        self.names == TRADES
    }

    /// Splits a line into its fields. `fields` is a reusable buffer.
    pub(super) fn row<'a>(
        &'a self,
        line: &'a str,
        fields: &'a mut Vec<Range<usize>>,
    ) -> Result<Row<'a>, RowError> {
        split(line, fields);
        let given = fields.len();
        let width = self.width;
        if given != width {
            let missing = self.places.iter().position(|&place| place >= given);
            let field = missing.map_or("", |index| self.names[index]);
            let column = fields.get(width).map_or(line.len(), |extra| extra.start) + 1;
            let plural = if given == 1 { "" } else { "s" };
            let problem = format!("{given} field{plural}: expected {width}, as in the header");
            return Err(RowError { column, field, problem });
        }
        Ok(Row { header: self, line, fields })
    }
}

/// A line with the columns of its header.
#[derive(Debug)]
pub(super) struct Row<'a> {
    header: &'a Header,
    line: &'a str,
    fields: &'a [Range<usize>],
}

impl<'a> Row<'a> {
    /// Parses the field of a column, given by its index in the list of column names.
    pub(super) fn field<V>(
        &self,
        index: usize,
        read: impl FnOnce(&'a str) -> Result<V, ValueError>,
    ) -> Result<V, RowError> {
        let range = self.fields[self.header.places[index]].clone();
        let column = range.start + 1;
        read(&self.line[range]).map_err(|problem| RowError {
            column,
            field: self.header.names[index],
            problem: problem.to_string(),
        })
    }

    /// Parses a field as a whole number.
    pub(super) fn number<N: std::str::FromStr>(
        &self,
        index: usize,
        expected: &str,
    ) -> Result<N, RowError> {
        self.field(index, |text| {
            // The standard library accepts a plus sign, the wire format does not.
            let plain = !text.starts_with('+');
            text.parse().ok().filter(|_| plain).ok_or_else(|| {
                let shown: String = text.chars().take(32).collect();
                ValueError::Invalid(format!("{shown:?}: expected {expected}"))
            })
        })
    }
}

/// Splits a line into fields. A field may be quoted; quotes within quotes are not supported.
fn split(line: &str, fields: &mut Vec<Range<usize>>) {
    fields.clear();
    let mut start = 0;
    loop {
        let rest = &line[start..];
        let quoted = rest.strip_prefix('"').and_then(|inner| {
            let end = inner.find('"')?;
            matches!(inner.as_bytes().get(end + 1), None | Some(b',')).then_some(end)
        });
        let after = match quoted {
            Some(length) => {
                fields.push(start + 1..start + 1 + length);
                start + length + 2
            }
            None => {
                let length = rest.find(',').unwrap_or(rest.len());
                fields.push(start..start + length);
                start + length
            }
        };
        if after == line.len() {
            return;
        }
        start = after + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> Vec<&str> {
        let mut fields = Vec::new();
        split(line, &mut fields);
        fields.into_iter().map(|field| &line[field]).collect()
    }

    #[test]
    fn lines_split_at_commas_outside_quotes() {
        assert_eq!(parts("a,,b"), ["a", "", "b"]);
        assert_eq!(parts("a,"), ["a", ""]);
        assert_eq!(parts(""), [""]);
        assert_eq!(parts("\"a,b\",\"\",c"), ["a,b", "", "c"]);
        assert_eq!(parts("\"a,b"), ["\"a", "b"]);
        assert_eq!(parts("\"a\"b,c"), ["\"a\"b", "c"]);
    }

    #[test]
    fn columns_may_be_in_any_order_among_other_columns() {
        let header = Header::read("size,time,note,symbol,exchange,price,correction,conditions");
        let header = header.unwrap();
        assert!(header.is_trades());
        let mut fields = Vec::new();
        let row = header.row("5,T,n,S,X,1.5,0,@", &mut fields).unwrap();
        assert_eq!(row.number(4, "a number"), Ok(5));
        assert_eq!(row.field(0, Ok), Ok("T"));
    }

    #[test]
    fn unknown_header_is_refused_with_what_is_allowed() {
        let problem = Header::read("time,symbol,price").unwrap_err();
        assert!(problem.contains("\"time,symbol,price\""), "{problem}");
        assert!(problem.contains("time,symbol,exchange,bid,bid_size,ask,ask_size"), "{problem}");
    }
}
