//! The log on a folder in memory that can fail at any operation.

mod folder;
mod life;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Gone;
use super::storage::{Kind, kind};
use crate::fanout::Position;
use crate::seeded::random;
use folder::Folder;
use life::{Life, recovered};
use tickwire_protocol::UnixNanos;

#[test]
fn a_hub_that_was_killed_goes_on_where_it_stood() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    assert!(!life.continued);
    for turns in [0, 1, 40, 0, 0, 25, 300] {
        for _ in 0..turns {
            life.turn(&mut random);
        }
        let next = life.killed(&folder, "boot");
        assert!(next.continued, "{:?}", next.problems);
        assert_eq!(next.problems, [""; 0]);
        life = next;
    }
}

#[test]
fn a_clean_end_is_continued_by_another_start_of_the_machine_and_a_kill_is_not() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "first boot");
    (0..20).for_each(|_| life.turn(&mut random));
    let (epoch, head) = (life.epoch.clone(), life.head());
    let mut life = life.ended(&folder, "second boot");
    assert!(life.continued);
    assert_eq!((&life.epoch, life.head()), (&epoch, head));
    (0..20).for_each(|_| life.turn(&mut random));
    let publishers = life.publishers();

    let life = life.killed_unseen(&folder, "third boot");
    assert!(!life.continued);
    assert_ne!(life.epoch, epoch);
    assert_eq!((life.head(), life.ticks()), (Position::FIRST, 0));
    assert_eq!(life.publishers(), publishers, "publishers go on all the same");
    let names = folder.names();
    let logs = names.iter().filter(|name| kind(name) != Kind::Other).count();
    assert_eq!(logs, 2, "the old epoch is gone: {names:?}");
}

#[test]
fn a_last_record_cut_at_any_byte_is_cut_off_and_the_epoch_goes_on() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    let (name, before, stood) = loop {
        let ((name, before), stood) = (folder.last_segment(), life.clone_past());
        life.turn(&mut random);
        if folder.last_segment().0 == name && folder.len(&name) > before + 100 {
            break (name, before, stood);
        }
    };
    let after = folder.len(&name);
    for len in before..after {
        let folder = folder.copy();
        folder.cut_to(&name, len);
        let mut life = stood.recover(&folder, "boot");
        assert!(life.continued, "cut at {len} of {before}..{after}: {:?}", life.problems);
        life.turn(&mut random);
        let life = life.killed(&folder, "boot");
        assert!(
            life.continued,
            "once it was cut off, there is nothing broken: {:?}",
            life.problems
        );
    }
}

#[test]
fn a_flipped_bit_anywhere_is_never_a_wrong_tick_and_ends_the_epoch_if_it_matters() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    (0..4).for_each(|_| life.turn(&mut random));
    let mut life = life.killed(&folder, "boot");
    (0..3).for_each(|_| life.turn(&mut random));
    let truth = life.clone_past();
    let names = folder.names();
    let newest = folder.newest_checkpoint();
    for name in names {
        for byte in 0..folder.len(&name) {
            let bit = 8 * byte + random.random_range(0..8);
            let folder = folder.copy();
            folder.flip(&name, bit);
            if matches!(kind(&name), Kind::Checkpoint(_)) && byte == 7 {
                let error = life::recovered_with(&folder, &["main", "two"]).unwrap_err();
                assert!(error.to_string().contains("another version"), "{error}");
                continue;
            }
            let found = recovered(&folder, "boot");
            let spare = match kind(&name) {
                Kind::Segment(number) => number < newest,
                Kind::Checkpoint(_) => true, // there is another
                _ => false,
            };
            assert_eq!(found.continues, spare, "{name} bit {bit}: {:?}", found.problems);
            if found.continues {
                truth.agrees(&found);
            } else {
                assert_eq!(found.start(), Position::FIRST);
            }
        }
    }
}

#[test]
fn whatever_is_cut_off_or_missing_is_never_taken_for_all() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    for _ in 0..3 {
        (0..5).for_each(|_| life.turn(&mut random));
        life = life.killed(&folder, "boot");
    }
    (0..5).for_each(|_| life.turn(&mut random));
    let (last, _) = folder.last_segment();
    for name in folder.names() {
        let folder = folder.copy();
        folder.remove_file(&name);
        let found = recovered(&folder, "boot");
        if name == last || name == "epoch" {
            assert!(!found.continues, "{name} is missing");
        } else if found.continues {
            life.clone_past().agrees(&found);
        }
    }
}

/// Stops the machine of the hub at every operation on the folder in turn.
#[test]
fn a_hub_killed_at_any_operation_has_written_all_it_issued() {
    let mut random = random();
    let seed = random.random();
    let mut operations = 0;
    loop {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = Folder::default();
        folder.die_after(operations, random.random_range(0..100));
        let Some(mut life) = Life::try_begin(&folder, "boot") else {
            folder.live();
            assert!(!Life::begin(&folder, "boot").continued, "nothing was issued");
            operations += 1;
            continue;
        };
        for _ in 0..60 {
            if !life.try_turn(&mut random) {
                break;
            }
        }
        let died = folder.is_dead();
        folder.live();
        let next = life.killed(&folder, "boot");
        assert!(next.continued, "after {operations} operations: {:?}", next.problems);
        if !died {
            assert!(operations > 30, "{operations}");
            return;
        }
        operations += 1;
    }
}

#[test]
fn a_log_that_could_not_be_written_begins_a_new_epoch() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    (0..5).for_each(|_| life.turn(&mut random));
    let publishers = life.publishers();
    folder.fill();
    while life.try_turn(&mut random) {} // a turn may have nothing to write
    life.writer.give_up().unwrap();
    folder.live();
    let found = recovered(&folder, "boot");
    assert!(!found.continues);
    assert_eq!(found.state.numbering().publishers, publishers);
}

#[test]
fn a_full_disk_is_emptied_by_the_next_start() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    (0..50).for_each(|_| life.turn(&mut random));
    let publishers = life.publishers();
    life.writer.give_up().unwrap();
    folder.fill();
    let mut life = Life::begin(&folder, "boot");
    assert!(!life.continued);
    assert_eq!(life.publishers(), publishers);
    life.turn(&mut random);
}

#[test]
fn the_keeper_makes_checkpoints_and_removes_what_is_too_much_or_too_old() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    let mut removed_by_size = 0;
    for _ in 0..600 {
        life.turn(&mut random);
        life.keep();
        removed_by_size = life.first_segment();
    }
    assert!(folder.bytes() < 2 * life::KEPT_BYTES + 8 * life::SEGMENT_BYTES, "{}", folder.bytes());
    assert!(removed_by_size > 5, "{removed_by_size}");
    assert!((2..=6).contains(&folder.checkpoints()), "{:?}", folder.names());

    let copy = folder.copy();
    let newest = copy.names().into_iter().rfind(|name| matches!(kind(name), Kind::Checkpoint(_)));
    copy.flip(&newest.unwrap(), 1_000);
    let found = recovered(&copy, "boot");
    assert!(found.continues, "the checkpoint before it serves: {:?}", found.problems);
    assert_eq!(found.problems.len(), 1);
    life.clone_past().agrees(&found);

    let mut life = life.killed(&folder, "boot");
    assert!(life.continued);
    life.pass(life::KEPT_TIME);
    (0..30).for_each(|_| life.turn(&mut random));
    let newest = life.writer.segment().number;
    life.pass(life::KEPT_TIME);
    life.turns_until_it_rolls(&mut random);
    life.turns_until_it_rolls(&mut random);
    assert!(life.first_segment() >= newest, "what was before is too old");
    assert!(recovered(&folder, "boot").continues);
}

#[test]
fn a_hub_that_starts_again_and_again_fills_no_disk_with_checkpoints() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    (0..20).for_each(|_| life.turn(&mut random));
    for _ in 0..20 {
        life = life.killed(&folder, "boot");
        assert!(life.continued, "{:?}", life.problems);
        assert!(folder.checkpoints() <= 4, "{:?}", folder.names());
    }
}

#[test]
fn a_log_without_a_checkpoint_that_can_be_read_is_left_alone() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    while life.ticks() == 0 {
        life.turn(&mut random);
    }
    let names = folder.names();
    let checkpoint = names.iter().find(|name| matches!(kind(name), Kind::Checkpoint(_))).unwrap();
    let damaged = folder.copy();
    damaged.flip(checkpoint, 300);
    let without = folder.copy();
    without.remove_file(checkpoint);
    for folder in [damaged, without] {
        let error = life::recovered_with(&folder, &["main", "two"]).unwrap_err().to_string();
        assert!(error.contains("no checkpoint"), "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_not_taken_for_damaged() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    for _ in 0..2 {
        (0..20).for_each(|_| life.turn(&mut random));
        life = life.killed(&folder, "boot");
    }
    let mut refused = 0;
    for name in folder.names() {
        folder.make_unreadable(&name);
        match life::recovered_with(&folder, &["main", "two"]) {
            Ok(found) => assert!(found.continues, "{name} is not needed"),
            Err(error) => refused += usize::from(error.to_string().contains(&name)),
        }
        folder.make_readable();
    }
    assert!(refused >= 3, "epoch, newest checkpoint, newest segment: {refused}");
    assert!(life.killed(&folder, "boot").continued);
}

#[test]
fn a_start_that_was_killed_before_anything_was_issued_leaves_no_problem() {
    let mut operations = 0;
    loop {
        let folder = Folder::default();
        folder.die_after(operations, 50);
        let is_up = Life::try_begin(&folder, "boot").is_some();
        folder.live();
        let life = Life::begin(&folder, "boot");
        assert_eq!(life.problems, [""; 0], "after {operations} operations");
        if is_up {
            assert!(operations >= 3, "{operations}");
            return;
        }
        operations += 1;
    }
}

#[test]
fn a_log_from_a_clock_that_was_days_ahead_begins_a_new_epoch_at_the_time_it_is() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    while life.ticks() == 0 {
        life.turn(&mut random);
    }
    let received = recovered(&folder, "boot").state.numbering().received;
    let earlier = |hours: u64| UnixNanos(received.0 - hours * 3_600_000_000_000);
    let found = life::recovered_at(&folder, earlier(23));
    assert!(found.continues && found.state.numbering().received == received);
    let found = life::recovered_at(&folder, earlier(25));
    assert!(!found.continues && found.problems.len() == 1, "{:?}", found.problems);
    assert_eq!(found.state.numbering().received, UnixNanos(0), "it is not taken over");
    assert_eq!(found.state.numbering().publishers, life.publishers());
}

#[test]
fn a_full_disk_is_emptied_of_no_more_than_is_needed_and_of_the_checkpoint_last() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    for _ in 0..3 {
        (0..30).for_each(|_| life.turn(&mut random));
        life = life.killed(&folder, "boot");
    }
    (0..30).for_each(|_| life.turn(&mut random));
    let publishers = life.publishers();
    life.writer.give_up().unwrap();
    let obsolete = recovered(&folder, "boot").obsolete;
    let newest = folder.newest_checkpoint();
    let is_needed = |name: &&String| match kind(name) {
        Kind::Segment(number) | Kind::Checkpoint(number) => number >= newest,
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
fn no_more_is_kept_than_is_wanted_and_what_was_before_is_known_of_every_topic() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    for _ in 0..50 {
        (0..8).for_each(|_| life.turn(&mut random));
        for wanted in [0, 7, life::MEMORY_TICKS / 2, life::MEMORY_TICKS] {
            let found = life::recovered_within(&folder, "boot", wanted);
            let ticks = usize::try_from(life.head().0 - found.start().0).unwrap();
            assert!(ticks <= wanted && ticks + 11 > wanted.min(life.ticks()), "{ticks}, {wanted}");
            life.clone_past().agrees(&found);
        }
    }
}

#[test]
fn feeds_may_be_added_and_reordered_but_not_left_out() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    (0..20).for_each(|_| life.turn(&mut random));
    let found = life::recovered_with(&folder, &["third", "two", "main"]).unwrap();
    assert!(found.continues);
    let before = recovered(&folder, "boot").state.numbering().topics;
    for (now, before) in found.state.numbering().topics.iter().zip(&before) {
        assert_eq!(now.0.0, [2, 1][usize::from(before.0.0)], "feeds are known by their names");
        assert_eq!((now.1, now.2, now.3), (before.1, before.2, before.3));
    }
    let error = life::recovered_with(&folder, &["main"]).unwrap_err().to_string();
    assert!(error.contains("feed two"), "{error}");
}

#[test]
fn the_archive_gives_back_every_tick_that_is_on_disk() {
    let mut random = random();
    let folder = Folder::default();
    let mut life = Life::begin(&folder, "boot");
    (0..100).for_each(|_| life.turn(&mut random));
    let mut life = life.killed(&folder, "boot");
    let mut archive = life.archive(&folder);
    for _ in 0..200 {
        life.turn(&mut random);
        let start = life.oldest_on_disk();
        let mut position = Position(random.random_range(1..=life.head().0));
        if position < start {
            assert_eq!(archive.read(position, 1).unwrap_err(), Gone { next: start });
            position = start;
        }
        let bytes_max = 1 << random.random_range(0..16);
        loop {
            let batches = archive.read(position, bytes_max).unwrap();
            let end = life.clone_past().agrees_from(position, &batches);
            if batches.is_empty() {
                break;
            }
            position = end;
        }
        assert_eq!(position, life.head());
    }
}
