//! Acks that list the whole subscription set, and the limit on their size.

use tickwire_protocol::{Channel, Command, Control, Element, Encoding, ErrorCode, SubscriptionSet};

use super::super::super::{Position, SessionId};
use super::super::session::Acks;
use super::harness::{Harness, every, names, names_in};

fn open_with_whole_set_acks(harness: &mut Harness) -> SessionId {
    let id = harness.open();
    harness.shard.set_acks(id, Acks::WholeSet);
    id
}

/// Reads the next write, which must be one answer.
fn answer(harness: &mut Harness, id: SessionId) -> Result<SubscriptionSet, ErrorCode> {
    harness.shard.next_write(id, &mut harness.out);
    match <[Element; 1]>::try_from(harness.elements(Encoding::MsgpackArray)) {
        Ok([Element::Control(Control::Subscription { names, .. })]) => Ok(*names),
        Ok([Element::Control(Control::Error { code, .. })]) => Err(code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whole_set_ack_lists_all_names_after_each_command() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_whole_set_acks(&mut harness);
    harness.subscribe_with(id, every(names(["A", "B"])));
    assert_eq!(answer(&mut harness, id), Ok(names(["A", "B"])));
    harness.subscribe_with(id, every(names_in(Channel::Quotes, ["*"])));
    let mut both = names(["A", "B"]);
    both[Channel::Quotes].all = true;
    assert_eq!(answer(&mut harness, id), Ok(both.clone()));
    harness.subscribe_with(id, every(SubscriptionSet::default()));
    assert_eq!(answer(&mut harness, id), Ok(both.clone()), "an empty request changes nothing");
    harness.command(id, Command::Unsubscribe, names(["A", "C"]));
    both[Channel::Trades] = names(["B"])[Channel::Trades].clone();
    assert_eq!(answer(&mut harness, id), Ok(both));
}

#[test]
fn subscription_set_too_large_for_its_ack_is_refused() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = open_with_whole_set_acks(&mut harness);
    let long = |from: usize, to: usize| -> Vec<String> {
        (from..to).map(|number| format!("A-RATHER-LONG-NAME-{number:05}")).collect()
    };
    let few = long(0, 30_000);
    harness.subscribe_with(id, every(names(few.iter().map(String::as_str))));
    assert_eq!(answer(&mut harness, id).unwrap().total(), 30_000);
    let more = long(30_000, 40_000);
    harness.subscribe_with(id, every(names(more.iter().map(String::as_str))));
    assert_eq!(answer(&mut harness, id), Err(ErrorCode::SymbolLimit));
    assert_eq!(harness.shard.stats().subscriptions, 30_000);
    let other = harness.open();
    harness.subscribe_with(other, every(names(more.iter().map(String::as_str))));
    assert_eq!(
        answer(&mut harness, other).unwrap().total(),
        10_000,
        "an incremental ack lists only the new names"
    );
}

#[test]
fn totals_count_each_new_name_once() {
    let mut harness = Harness::new(Position::FIRST, 65_535);
    let id = harness.open();
    harness.subscribe(id, "A");
    harness.subscribe(id, "*");
    let totals = |added: [&str; 4]| harness.shard.totals_with(id, &names(added))[Channel::Trades];
    assert_eq!(totals(["A", "A", "*", "*"]), 2);
    assert_eq!(totals(["A", "B", "B", "C"]), 4);
}
