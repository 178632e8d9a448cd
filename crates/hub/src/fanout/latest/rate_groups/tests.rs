use super::*;

const MS: u64 = 1_000_000;

fn rate(per_second: f64) -> Option<MaxRate> {
    Some(MaxRate::per_second(per_second).unwrap())
}

/// Adds a subscription with a rate and returns the index of its group.
fn subscribe(groups: &mut RateGroups, rate: Option<MaxRate>) -> usize {
    let index = groups.group(rate).unwrap().index().unwrap();
    groups.add(index);
    index
}

fn take(groups: &mut RateGroups, now: u64) -> Vec<u32> {
    let mut taken = Vec::new();
    groups.take_due(UnixNanos(now), |topic| {
        taken.push(topic.0);
        true
    });
    taken
}

#[test]
fn send_times_of_sessions_are_spread_over_the_interval() {
    let now = UnixNanos(1_700_000_000_000_000_000);
    let mut parts = [0; 16];
    for id in 0..1_000 {
        let mut groups = RateGroups::new(SessionId(id));
        let group = subscribe(&mut groups, rate(10.0));
        let Marked::SendAt(send_at) = groups.mark_dirty(group, LocalTopicId(1), now) else {
            panic!("no send time")
        };
        assert!(send_at > now && send_at.0 <= now.0 + 100 * MS);
        let part = usize::try_from((send_at.0 - now.0 - 1) * 16 / (100 * MS)).unwrap();
        parts[part] += 1;
    }
    assert!(parts.iter().all(|count| (55..=70).contains(count)), "{parts:?}");
}

#[test]
fn group_has_one_send_time_in_each_interval() {
    let mut groups = RateGroups::new(SessionId(3));
    let group = subscribe(&mut groups, rate(10.0));
    let mut sent = Vec::new();
    for ms in 5_000..8_000 {
        let now = ms * MS;
        groups.mark_dirty(group, LocalTopicId(7), UnixNanos(now));
        if !take(&mut groups, now).is_empty() {
            sent.push(ms);
        }
    }
    assert!((29..=30).contains(&sent.len()), "{sent:?}");
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] == 100), "{sent:?}");
}

#[test]
fn intervals_are_multiples_of_the_fastest() {
    let mut groups = RateGroups::new(SessionId(9));
    let rates = [rate(3.0), rate(10.0), rate(0.1), None];
    let indexes = rates.map(|rate| subscribe(&mut groups, rate));
    let intervals = indexes.map(|index| groups.groups[index].interval_ns / MS);
    assert_eq!(intervals, [300, 100, 10_000, 0]);
    groups.remove(indexes[1]);
    assert_eq!(groups.groups[indexes[0]].interval_ns, rate(3.0).unwrap().interval_ns());
    assert_eq!(subscribe(&mut groups, rate(50.0)), indexes[1], "the empty group is reused");
    assert_eq!(groups.groups[indexes[2]].interval_ns, 10_000 * MS);
}

#[test]
fn send_times_of_all_rates_are_aligned_with_the_fastest() {
    for id in [1, 2, 9, 1_000] {
        let mut groups = RateGroups::new(SessionId(id));
        let indexes = [10.0, 3.0, 0.7].map(|per_second| subscribe(&mut groups, rate(per_second)));
        let times = indexes.map(|index| {
            let marked = groups.mark_dirty(index, LocalTopicId(1), UnixNanos(5_000 * MS));
            let Marked::SendAt(send_at) = marked else { panic!("no send time") };
            send_at.0 % (100 * MS)
        });
        assert_eq!(times, [times[0]; 3]);
    }
}

#[test]
fn topic_that_is_cleaned_between_writes_gives_no_other_topic_a_second_tick() {
    for count in [4_u32, 100] {
        let mut groups = RateGroups::new(SessionId(0));
        let group = subscribe(&mut groups, rate(10.0));
        for topic in 0..count {
            groups.mark_dirty(group, LocalTopicId(topic), UnixNanos(0));
        }
        let send_at = groups.next_send_time().unwrap();
        groups.take_due(send_at, |topic| topic.0 < 2);
        groups.mark_dirty(group, LocalTopicId(0), send_at);
        groups.mark_clean(group, LocalTopicId(2));
        let rest = take(&mut groups, send_at.0);
        assert_eq!(rest, (3..count).collect::<Vec<_>>());
        groups.mark_dirty(group, LocalTopicId(1), send_at);
        assert!(!groups.is_due(send_at));
        assert_eq!(take(&mut groups, send_at.0 + 100 * MS), [0, 1]);
    }
}

#[test]
fn topic_that_becomes_dirty_during_sending_waits_for_the_next_send_time() {
    let mut groups = RateGroups::new(SessionId(0));
    let group = subscribe(&mut groups, rate(10.0));
    let now = UnixNanos(1_000 * MS);
    for topic in 0..4 {
        groups.mark_dirty(group, LocalTopicId(topic), now);
    }
    let send_at = groups.next_send_time().unwrap();
    assert!(!groups.is_due(now));
    let mut room = 3; // a full message, or a full socket
    let accept = |_| {
        room -= 1;
        room >= 0
    };
    assert_eq!(groups.take_due(send_at, accept), 3);
    groups.mark_dirty(group, LocalTopicId(0), send_at);
    groups.mark_dirty(group, LocalTopicId(1), send_at);
    assert_eq!(take(&mut groups, send_at.0), [3]);
    assert!(!groups.is_due(send_at));
    assert_eq!(groups.next_send_time(), Some(UnixNanos(send_at.0 + 100 * MS)));
    assert_eq!(take(&mut groups, send_at.0 + 100 * MS), [0, 1]);
    assert_eq!(groups.next_send_time(), None);
}

#[test]
fn topics_without_a_rate_are_sent_at_once() {
    let mut groups = RateGroups::new(SessionId(0));
    let group = subscribe(&mut groups, None);
    let now = UnixNanos(5);
    assert_eq!(groups.mark_dirty(group, LocalTopicId(1), now), Marked::SendNow);
    assert_eq!(groups.mark_dirty(group, LocalTopicId(1), now), Marked::Again);
    assert_eq!(take(&mut groups, 5), [1]);
    assert!(!groups.is_due(now));
}

#[test]
fn number_of_rates_is_bounded() {
    let mut groups = RateGroups::new(SessionId(0));
    for per_second in 1_u32..=8 {
        subscribe(&mut groups, rate(f64::from(per_second)));
    }
    assert_eq!(groups.group(rate(9.0)), Err(TooManyRates));
    assert!(groups.group(rate(8.0)).is_ok());
    assert!(groups.group(None).is_ok());
}
