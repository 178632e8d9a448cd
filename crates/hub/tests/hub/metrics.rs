//! `/metrics` as a scraper reads it: the whole output is parsed and checked for consistency.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tickwire_hub::Config;

use super::kit::{Client, Publisher, TestHub, config, quote, trade};

/// One line with a value: `name{label="value"} 1.5`.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Metrics of one name: its type and its samples.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

impl Family {
    fn with_suffix(&self, name: &str, suffix: &str) -> Vec<&Sample> {
        let name = format!("{name}{suffix}");
        self.samples.iter().filter(|sample| sample.name == name).collect()
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Parses `a="1",b="\"2\""}` and returns the labels and the rest after the brace.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    escaped @ ('"' | '\\') => value.push(escaped),
                    _ => return None,
                },
                (_, other) => value.push(other),
            }
        };
        let is_new = is_name(name) && labels.insert(name.to_owned(), value).is_none();
        let rest = &rest[end + 1..];
        match (is_new, rest.strip_prefix(','), rest.strip_prefix('}')) {
            (true, Some(more), _) => text = more,
            (true, None, Some(after)) => return Some((labels, after)),
            _ => return None,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        text if text.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)) => {
            text.parse().ok()
        }
        _ => None,
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = number(rest.strip_prefix(' ')?)?;
    is_name(name).then(|| Sample { name: name.to_owned(), labels, value })
}

/// Parses the whole output by the rules of OpenMetrics: descriptions first, then the samples of the
/// same family, and a mark at the end.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("the output ends with its mark");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect(line);
            assert!(is_name(name) && !help.is_empty(), "{line}");
            assert!(helped.insert(name.to_owned()), "described twice: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect(line);
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(helped.contains(name), "not described: {line}");
            assert!(families.insert(name.to_owned(), family).is_none(), "declared twice: {line}");
            current = name.to_owned();
        } else {
            let sample = sample(line).unwrap_or_else(|| panic!("cannot parse {line:?}"));
            assert!(sample.name.starts_with(&current), "{line} is not in the family {current}");
            families.get_mut(&current).expect("declared above").samples.push(sample);
        }
    }
    families
}

/// Asserts that a histogram counts cumulatively up to `+Inf`, where it counts every value.
fn check_histogram(name: &str, family: &Family) {
    let buckets = family.with_suffix(name, "_bucket");
    let bounds: Vec<f64> = buckets
        .iter()
        .map(|bucket| number(&bucket.labels["le"]).expect("a bound is a number"))
        .collect();
    assert!(bounds.is_sorted_by(|a, b| a < b), "{name}: {bounds:?}");
    assert_eq!(buckets.last().expect("a bucket").labels["le"], "+Inf", "{name}");
    assert!(bounds.iter().rev().skip(1).all(|bound| *bound < 1e6), "{name}: {bounds:?}");
    assert!(buckets.is_sorted_by(|a, b| a.value <= b.value), "{name}: {buckets:?}");
    let [count] = family.with_suffix(name, "_count")[..] else { panic!("{name} has one count") };
    assert_eq!(count.value, buckets.last().unwrap().value, "{name}");
    assert_eq!(family.with_suffix(name, "_sum").len(), 1, "{name}");
    assert_eq!(family.samples.len(), buckets.len() + 2, "{name}");
}

#[test]
fn whole_output_is_valid_and_consistent() {
    let hub = TestHub::start(config());
    let (mut publisher, _) = Publisher::acknowledged(&hub, "re\\\"lay");
    let mut client = Client::json(&hub);
    client.subscribe(r#""trades":["*"],"quotes":["*"]"#);
    publisher.publish(&[trade("AAPL", 1), quote("MSFT", 2)]);
    hub.until_metric("tickwire_ticks_delivered_total", 2);
    let families = parse(&hub.get("/metrics").body);
    assert!(families.len() > 30, "{}", families.len());
    for (name, family) in &families {
        assert!(name.starts_with("tickwire_"), "{name}");
        let series: BTreeSet<_> =
            family.samples.iter().map(|sample| (&sample.name, &sample.labels)).collect();
        assert_eq!(series.len(), family.samples.len(), "{name} has a series twice");
        assert!(family.samples.iter().all(|sample| sample.value >= 0.0), "{name}: {family:?}");
        match family.kind.as_str() {
            "histogram" => check_histogram(name, family),
            "counter" => {
                let counted = family.with_suffix(name, "_total");
                assert_eq!(counted.len(), family.samples.len(), "{name}");
            }
            "gauge" => assert_eq!(family.with_suffix(name, "").len(), family.samples.len()),
            other => panic!("{name} is a {other}"),
        }
    }
    let histograms = families.values().filter(|family| family.kind == "histogram").count();
    assert_eq!(histograms, 3);
    let writes = &families["tickwire_ticks_per_write"];
    assert!(writes.with_suffix("tickwire_ticks_per_write", "_count")[0].value >= 1.0);
}

#[test]
fn metrics_are_given_again_for_a_while() {
    let hub = TestHub::start(Config { metrics_age_max: Duration::from_secs(60), ..config() });
    let first = hub.get("/metrics").body;
    let _session = Client::json(&hub);
    assert_eq!(hub.get("/metrics").body, first);
}
