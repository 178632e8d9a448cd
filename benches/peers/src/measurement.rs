//! The results of one measurement, and the medians of several.

/// The results of one server under one workload in one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measurement {
    /// Delivered ticks per second, over all subscribers.
    pub(crate) delivered_per_s: f64,
    /// Processor time of the server per delivered tick, in nanoseconds.
    pub(crate) cpu_per_tick_ns: Option<f64>,
    /// Processor time of the server per second, in cores.
    pub(crate) cpu_cores: f64,
    /// Median of the latency from when a tick was due until it was read, in milliseconds.
    pub(crate) p50_ms: Option<f64>,
    /// 99th percentile of the latency, in milliseconds.
    pub(crate) p99_ms: Option<f64>,
    /// Growth of the server's memory until the end of the measurement, per connection.
    pub(crate) bytes_per_connection: f64,
    /// Ticks per second of the subscriber that received the fewest.
    pub(crate) least_per_s: f64,
    /// Ticks per second of the subscriber that received the most.
    pub(crate) most_per_s: f64,
    /// Reading subscribers whose connections the server closed.
    pub(crate) closed: f64,
    /// Processor time of the measuring client, in cores. Near 1 the client limits the results.
    pub(crate) client_cores: f64,
}

/// Returns the median of each value on its own; `None` if there are no measurements.
pub(crate) fn medians(of: &[Measurement]) -> Option<Measurement> {
    let each = |value: fn(&Measurement) -> f64| median(of.iter().map(value));
    let known = |value: fn(&Measurement) -> Option<f64>| median(of.iter().filter_map(value));
    Some(Measurement {
        delivered_per_s: each(|m| m.delivered_per_s)?,
        cpu_per_tick_ns: known(|m| m.cpu_per_tick_ns),
        cpu_cores: each(|m| m.cpu_cores)?,
        p50_ms: known(|m| m.p50_ms),
        p99_ms: known(|m| m.p99_ms),
        bytes_per_connection: each(|m| m.bytes_per_connection)?,
        least_per_s: each(|m| m.least_per_s)?,
        most_per_s: each(|m| m.most_per_s)?,
        closed: each(|m| m.closed)?,
        client_cores: each(|m| m.client_cores)?,
    })
}

/// Returns the middle value, or the mean of the two middle values.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value_or_the_mean_of_two() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([7.0].into_iter()), Some(7.0));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn each_value_has_its_own_median_and_missing_values_are_ignored() {
        let measurement = |delivered_per_s, p99_ms| Measurement {
            delivered_per_s,
            p99_ms,
            ..Measurement::default()
        };
        let of =
            [measurement(1.0, Some(30.0)), measurement(9.0, None), measurement(2.0, Some(10.0))];
        let medians = medians(&of).unwrap();
        assert_eq!((medians.delivered_per_s, medians.p99_ms), (2.0, Some(20.0)));
        assert_eq!((medians.p50_ms, medians.cpu_per_tick_ns), (None, None));
        assert_eq!(super::medians(&[]), None);
    }
}
