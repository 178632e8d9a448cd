//! The log on a folder in memory whose operations can fail at any point.

mod folder;
mod hub_run;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Evicted;
use super::storage::{FileKind, file_kind};
use super::writer::forget_epoch;
use crate::fanout::Position;
use folder::Folder;
use hub_run::{HubRun, recovered};
use tickwire_protocol::UnixNanos;
use tickwire_testkit::seeds;

#[test]
fn killed_hub_continues_where_it_was() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    assert!(!run.continued);
    for turns in [0, 1, 40, 0, 0, 25, 300] {
        for _ in 0..turns {
            run.turn(&mut random);
        }
        let next = run.killed(&folder, "boot");
        assert!(next.continued, "{:?}", next.problems);
        assert_eq!(next.problems, [""; 0]);
        run = next;
    }
}

#[test]
fn reboot_continues_the_epoch_after_a_clean_shutdown_but_not_after_a_kill() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "first boot");
    (0..20).for_each(|_| run.turn(&mut random));
    let epoch = run.epoch.clone();
    let head = run.head();
    let mut run = run.ended(&folder, "second boot");
    assert!(run.continued);
    assert_eq!((&run.epoch, run.head()), (&epoch, head));
    (0..20).for_each(|_| run.turn(&mut random));
    let publishers = run.publishers();

    let run = run.killed_unseen(&folder, "third boot");
    assert!(!run.continued);
    assert_ne!(run.epoch, epoch);
    assert_eq!((run.head(), run.ticks()), (Position::FIRST, 0));
    assert_eq!(run.publishers(), publishers, "publishers keep their progress");
    let names = folder.names();
    let logs = names.iter().filter(|name| file_kind(name) != FileKind::Other).count();
    assert_eq!(logs, 2, "the old epoch is gone: {names:?}");
}

#[test]
fn torn_last_record_is_cut_off_and_the_epoch_continues() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    let (name, before, before_turn) = loop {
        let (name, before) = folder.last_segment();
        let before_turn = run.clone_sent();
        run.turn(&mut random);
        if folder.last_segment().0 == name && folder.len(&name) > before + 100 {
            break (name, before, before_turn);
        }
    };
    let after = folder.len(&name);
    for len in before..after {
        let folder = folder.copy();
        folder.cut_to(&name, len);
        let mut run = before_turn.recover(&folder, "boot");
        assert!(run.continued, "cut at {len} of {before}..{after}: {:?}", run.problems);
        run.turn(&mut random);
        let run = run.killed(&folder, "boot");
        assert!(run.continued, "once it was cut off, there is nothing broken: {:?}", run.problems);
    }
}

#[test]
fn flipped_bit_never_yields_a_wrong_tick_and_ends_the_epoch_if_records_are_affected() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    (0..4).for_each(|_| run.turn(&mut random));
    let mut run = run.killed(&folder, "boot");
    (0..3).for_each(|_| run.turn(&mut random));
    let sent = run.clone_sent();
    let names = folder.names();
    let newest = folder.newest_checkpoint();
    for name in names {
        for byte in 0..folder.len(&name) {
            let bit = 8 * byte + random.random_range(0..8);
            let folder = folder.copy();
            folder.flip(&name, bit);
            if matches!(file_kind(&name), FileKind::Checkpoint(_)) && byte == 7 {
                let error = hub_run::recovered_with(&folder, &["main", "two"]).unwrap_err();
                assert!(error.to_string().contains("another version"), "{error}");
                continue;
            }
            let found = recovered(&folder, "boot");
            let spare = match file_kind(&name) {
                FileKind::Segment(number) => number < newest,
                FileKind::Checkpoint(_) => true, // another checkpoint exists
                _ => false,
            };
            assert_eq!(found.continues, spare, "{name} bit {bit}: {:?}", found.problems);
            if found.continues {
                sent.assert_agrees(&found);
            } else {
                assert_eq!(found.start(), Position::FIRST);
            }
        }
    }
}

#[test]
fn truncated_or_missing_file_is_never_taken_for_complete() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    for _ in 0..3 {
        (0..5).for_each(|_| run.turn(&mut random));
        run = run.killed(&folder, "boot");
    }
    (0..5).for_each(|_| run.turn(&mut random));
    let (last, _) = folder.last_segment();
    for name in folder.names() {
        let folder = folder.copy();
        folder.remove_file(&name);
        let found = recovered(&folder, "boot");
        if name == last || name == "epoch" {
            assert!(!found.continues, "{name} is missing");
        } else if found.continues {
            run.clone_sent().assert_agrees(&found);
        }
    }
}

/// Stops the process at each operation on the folder in turn.
#[test]
fn hub_killed_at_any_operation_has_written_everything_it_sent() {
    let mut random = seeds!().rng();
    let seed = random.random();
    let mut operations = 0;
    loop {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = Folder::default();
        folder.die_after(operations, random.random_range(0..100));
        let Some(mut run) = HubRun::try_begin(&folder, "boot") else {
            folder.live();
            assert!(!HubRun::begin(&folder, "boot").continued, "nothing was issued");
            operations += 1;
            continue;
        };
        for _ in 0..60 {
            if !run.try_turn(&mut random) {
                break;
            }
        }
        let died = folder.is_dead();
        folder.live();
        let next = run.killed(&folder, "boot");
        assert!(next.continued, "after {operations} operations: {:?}", next.problems);
        if !died {
            assert!(operations > 30, "{operations}");
            return;
        }
        operations += 1;
    }
}

#[test]
fn failed_write_leads_to_a_new_epoch() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    (0..5).for_each(|_| run.turn(&mut random));
    let publishers = run.publishers();
    folder.fill();
    while run.try_turn(&mut random) {} // turns without changes write nothing and succeed
    forget_epoch(&folder).unwrap();
    folder.live();
    let found = recovered(&folder, "boot");
    assert!(!found.continues);
    assert_eq!(found.state.numbering().publishers, publishers);
}

#[test]
fn next_start_makes_room_on_a_full_disk() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    (0..50).for_each(|_| run.turn(&mut random));
    let publishers = run.publishers();
    forget_epoch(&folder).unwrap();
    folder.fill();
    let mut run = HubRun::begin(&folder, "boot");
    assert!(!run.continued);
    assert_eq!(run.publishers(), publishers);
    run.turn(&mut random);
}

#[test]
fn compactor_makes_checkpoints_and_deletes_expired_segments() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    let mut removed_by_size = 0;
    for _ in 0..600 {
        run.turn(&mut random);
        run.keep();
        removed_by_size = run.first_segment();
    }
    assert!(
        folder.bytes() < 2 * hub_run::KEPT_BYTES + 8 * hub_run::SEGMENT_BYTES,
        "{}",
        folder.bytes()
    );
    assert!(removed_by_size > 5, "{removed_by_size}");
    assert!((2..=6).contains(&folder.checkpoints()), "{:?}", folder.names());

    let copy = folder.copy();
    let newest =
        copy.names().into_iter().rfind(|name| matches!(file_kind(name), FileKind::Checkpoint(_)));
    copy.flip(&newest.unwrap(), 1_000);
    let found = recovered(&copy, "boot");
    assert!(found.continues, "the checkpoint before it serves: {:?}", found.problems);
    assert_eq!(found.problems.len(), 1);
    run.clone_sent().assert_agrees(&found);

    let mut run = run.killed(&folder, "boot");
    assert!(run.continued);
    run.pass(hub_run::KEPT_TIME);
    (0..30).for_each(|_| run.turn(&mut random));
    let newest = run.writer.segment().number;
    run.pass(hub_run::KEPT_TIME);
    run.turns_until_it_rolls(&mut random);
    run.turns_until_it_rolls(&mut random);
    assert!(run.first_segment() >= newest, "older segments have expired");
    assert!(recovered(&folder, "boot").continues);
}

#[test]
fn repeated_starts_do_not_accumulate_checkpoints() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    (0..20).for_each(|_| run.turn(&mut random));
    for _ in 0..20 {
        run = run.killed(&folder, "boot");
        assert!(run.continued, "{:?}", run.problems);
        assert!(folder.checkpoints() <= 4, "{:?}", folder.names());
    }
}

#[test]
fn log_without_a_readable_checkpoint_is_left_untouched() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    while run.ticks() == 0 {
        run.turn(&mut random);
    }
    let names = folder.names();
    let checkpoint =
        names.iter().find(|name| matches!(file_kind(name), FileKind::Checkpoint(_))).unwrap();
    let damaged = folder.copy();
    damaged.flip(checkpoint, 300);
    let without = folder.copy();
    without.remove_file(checkpoint);
    for folder in [damaged, without] {
        let error = hub_run::recovered_with(&folder, &["main", "two"]).unwrap_err().to_string();
        assert!(error.contains("no checkpoint"), "{error}");
    }
}

#[test]
fn unreadable_file_is_an_error_and_not_treated_as_damaged() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    for _ in 0..2 {
        (0..20).for_each(|_| run.turn(&mut random));
        run = run.killed(&folder, "boot");
    }
    let mut refused = 0;
    for name in folder.names() {
        folder.make_unreadable(&name);
        match hub_run::recovered_with(&folder, &["main", "two"]) {
            Ok(found) => assert!(found.continues, "{name} is not needed"),
            Err(error) => refused += usize::from(error.to_string().contains(&name)),
        }
        folder.make_readable();
    }
    assert!(refused >= 3, "epoch, newest checkpoint, newest segment: {refused}");
    assert!(run.killed(&folder, "boot").continued);
}

#[test]
fn start_killed_before_anything_was_sent_leaves_no_problem() {
    let mut operations = 0;
    loop {
        let folder = Folder::default();
        folder.die_after(operations, 50);
        let is_up = HubRun::try_begin(&folder, "boot").is_some();
        folder.live();
        let run = HubRun::begin(&folder, "boot");
        assert_eq!(run.problems, [""; 0], "after {operations} operations");
        if is_up {
            assert!(operations >= 3, "{operations}");
            return;
        }
        operations += 1;
    }
}

#[test]
fn log_whose_clock_was_days_ahead_starts_a_new_epoch_at_the_current_time() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    while run.ticks() == 0 {
        run.turn(&mut random);
    }
    let received = recovered(&folder, "boot").state.numbering().received;
    let earlier = |hours: u64| UnixNanos(received.0 - hours * 3_600_000_000_000);
    let found = hub_run::recovered_at(&folder, earlier(23));
    assert!(found.continues && found.state.numbering().received == received);
    let found = hub_run::recovered_at(&folder, earlier(25));
    assert!(!found.continues && found.problems.len() == 1, "{:?}", found.problems);
    assert_eq!(found.state.numbering().received, UnixNanos(0), "it is not taken over");
    assert_eq!(found.state.numbering().publishers, run.publishers());
}

#[test]
fn full_disk_loses_no_more_files_than_needed_and_the_checkpoint_last() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    for _ in 0..3 {
        (0..30).for_each(|_| run.turn(&mut random));
        run = run.killed(&folder, "boot");
    }
    (0..30).for_each(|_| run.turn(&mut random));
    let publishers = run.publishers();
    forget_epoch(&folder).unwrap();
    let obsolete = recovered(&folder, "boot").obsolete;
    let newest = folder.newest_checkpoint();
    let is_needed = |name: &&String| match file_kind(name) {
        FileKind::Segment(number) | FileKind::Checkpoint(number) => number >= newest,
        _ => false,
    };
    let spare = obsolete.len() - obsolete.iter().filter(is_needed).count();
    assert!(spare > 3 && spare + 1 < obsolete.len(), "{obsolete:?}");
    for removed in &obsolete {
        let known = recovered(&folder, "boot").state.numbering().publishers;
        assert!(is_needed(&removed) || known == publishers, "before {removed} is removed");
        folder.remove_file(removed);
    }
}

#[test]
fn memory_limits_hold_and_the_last_earlier_tick_of_every_topic_is_known() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    for _ in 0..50 {
        (0..8).for_each(|_| run.turn(&mut random));
        for wanted in [0, 7, hub_run::MEMORY_TICKS / 2, hub_run::MEMORY_TICKS] {
            let found = hub_run::recovered_within(&folder, "boot", wanted);
            let ticks = usize::try_from(run.head().0 - found.start().0).unwrap();
            assert!(ticks <= wanted && ticks + 11 > wanted.min(run.ticks()), "{ticks}, {wanted}");
            run.clone_sent().assert_agrees(&found);
        }
    }
}

#[test]
fn feeds_may_be_added_and_reordered_but_not_removed() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    (0..20).for_each(|_| run.turn(&mut random));
    let found = hub_run::recovered_with(&folder, &["third", "two", "main"]).unwrap();
    assert!(found.continues);
    let before = recovered(&folder, "boot").state.numbering().topics;
    for (now, before) in found.state.numbering().topics.iter().zip(&before) {
        assert_eq!(
            now.0.feed.0,
            [2, 1][usize::from(before.0.feed.0)],
            "feeds are known by their names"
        );
        assert_eq!(
            (now.0.channel, now.0.symbol, now.1),
            (before.0.channel, before.0.symbol, before.1)
        );
    }
    let error = hub_run::recovered_with(&folder, &["main"]).unwrap_err().to_string();
    assert!(error.contains("feed two"), "{error}");
}

#[test]
fn archive_returns_every_tick_on_disk() {
    let mut random = seeds!().rng();
    let folder = Folder::default();
    let mut run = HubRun::begin(&folder, "boot");
    (0..100).for_each(|_| run.turn(&mut random));
    let mut run = run.killed(&folder, "boot");
    let mut archive = run.archive(&folder);
    for _ in 0..200 {
        run.turn(&mut random);
        let start = run.oldest_on_disk();
        let mut position = Position(random.random_range(1..=run.head().0));
        if position < start {
            assert_eq!(archive.read(position, 1).unwrap_err(), Evicted { next: start });
            position = start;
        }
        let bytes_max = 1 << random.random_range(0..16);
        loop {
            let batches = archive.read(position, bytes_max).unwrap();
            let end = run.clone_sent().assert_agrees_from(position, &batches);
            if batches.is_empty() {
                break;
            }
            position = end;
        }
        assert_eq!(position, run.head());
    }
}
