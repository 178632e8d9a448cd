//! Hub processes with a log on disk that are killed, stopped, or run out of disk space.
#![expect(clippy::unwrap_used, reason = "tests")]

#[cfg(test)]
mod hub;
#[cfg(test)]
#[path = "../kit/metrics.rs"]
mod metrics;
#[cfg(test)]
mod socket;

use std::fs;

use hub::Hub;
use rand::RngExt as _;
use socket::{Publisher, Session, symbol};
use tickwire_testkit::seeds;

/// Asserts that the hub has the last trade of each symbol, with the right sequence number, after it
/// has accepted this number of messages.
fn assert_last_trades(hub: &Hub, messages: u64) {
    let mut session = Session::open(hub);
    let snapshot = session.snapshot();
    let ticks = messages * socket::TICKS_PER_MESSAGE;
    for remainder in 0..socket::SYMBOLS.min(ticks) {
        let count = (ticks - remainder).div_ceil(socket::SYMBOLS);
        let last = snapshot.iter().find(|tick| tick["S"] == symbol(remainder)).unwrap();
        assert_eq!(last["seq"], count, "number of published trades: {last}");
        assert_eq!(last["i"], (count - 1) * socket::SYMBOLS + remainder, "the last: {last}");
    }
}

#[test]
fn hub_killed_many_times_under_load_neither_loses_nor_repeats_ticks() {
    let mut random = seeds!().rng();
    let folder = tempfile::tempdir().unwrap();
    let mut acked = 0;
    let mut sent = 0;
    let mut epoch = None;
    for kill in 0..25 {
        let hub = Hub::start(folder.path(), &["--disk-size", "2MiB"]);
        let session = Session::open(&hub);
        assert_eq!(
            *epoch.get_or_insert_with(|| session.epoch.clone()),
            session.epoch,
            "kill {kill}"
        );
        let mut publisher = Publisher::open(&hub, "market");
        let last = publisher.last;
        assert!((acked..=sent).contains(&last), "kill {kill}: {last} of {acked}..={sent}");
        for number in last + 1..=last + random.random_range(1..150) {
            publisher.send(number);
            sent = sent.max(number);
            if random.random_bool(0.02) {
                publisher.settle(number);
            }
        }
        hub.kill();
        acked = publisher.acked_until_gone().max(last);
    }
    let hub = Hub::start(folder.path(), &[]);
    let mut publisher = Publisher::open(&hub, "market");
    (publisher.last + 1..=sent).for_each(|number| publisher.send(number));
    publisher.settle(sent);
    assert_last_trades(&hub, sent);
    assert_eq!(hub.metric("tickwire_log_problems"), 0);
}

#[test]
fn epoch_survives_a_clean_stop_and_a_kill_but_not_a_machine_crash() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &["--fsync", "ack"]);
    let epoch = Session::open(&hub).epoch;
    let mut publisher = Publisher::open(&hub, "market");
    (1..=10).for_each(|number| publisher.send(number));
    publisher.settle(10);
    assert!(hub.stop().success());

    // After a clean stop the log is complete, whatever has happened to the machine since.
    let file = folder.path().join("epoch");
    let as_of_another_boot = |text: String| {
        let other = |line: &str| match line.starts_with("boot ") {
            true => "boot another".to_owned(),
            false => line.to_owned(),
        };
        text.lines().map(|line| other(line) + "\n").collect::<String>()
    };
    let text = as_of_another_boot(fs::read_to_string(&file).unwrap());
    assert!(text.contains("clean 201\n"), "{text}");
    fs::write(&file, text).unwrap();
    let hub = Hub::start(folder.path(), &[]);
    assert_eq!(Session::open(&hub).epoch, epoch);
    assert_last_trades(&hub, 10);
    hub.kill();

    let text = as_of_another_boot(fs::read_to_string(&file).unwrap());
    assert!(!text.contains("clean"), "{text}");
    fs::write(&file, text).unwrap();
    let hub = Hub::start(folder.path(), &[]);
    let session = Session::open(&hub);
    assert_ne!(session.epoch, epoch, "delivered ticks may be missing from the log");
    let mut publisher = Publisher::open(&hub, "market");
    assert_eq!(publisher.last, 10, "publishers resume");
    publisher.send(11);
    publisher.settle(11);
    let mut session = Session::open(&hub);
    assert!(session.snapshot().iter().all(|tick| tick["seq"].as_u64().unwrap() <= 3));
}

#[test]
fn second_hub_on_a_data_folder_names_the_process_that_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &[]);
    let (code, message) = Hub::refused(folder.path());
    assert_eq!(code, Some(1));
    let expected = format!(
        "cannot use the data folder {}: process {} uses it",
        folder.path().display(),
        hub.id()
    );
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn unusable_data_folder_is_rejected_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, message) = Hub::refused(&file);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("cannot use the data folder") && message.contains("cannot create it"),
        "{message}"
    );
}

#[test]
fn full_disk_stops_the_log_but_not_delivery_and_the_next_start_has_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start_limited(folder.path());
    let mut session = Session::open(&hub);
    session.subscribe();
    let mut publisher = Publisher::open(&hub, "market");
    let mut number = 0;
    while publisher.durable {
        number += 1;
        publisher.send(number);
        publisher.settle(number);
        assert!(number < 10_000, "the disk did not fill up");
    }
    assert_eq!(hub.metric("tickwire_log_failed"), 1);
    publisher.send(number + 1);
    publisher.settle(number + 1);
    let all = socket::all_of(number + 1);
    assert_eq!(session.take(all.len() as u64), all);
    assert!(!folder.path().join("epoch").exists(), "the log must not be resumed");
    let epoch = session.epoch.clone();
    assert!(hub.stop().success());

    let hub = Hub::start(folder.path(), &[]);
    assert_ne!(Session::open(&hub).epoch, epoch);
    assert_eq!(hub.metric("tickwire_log_failed"), 0);
    let publisher = Publisher::open(&hub, "market");
    assert!(publisher.last < number, "messages that are not durable are published again");
    assert!(publisher.last > number / 2, "{} of {number}", publisher.last);
}
