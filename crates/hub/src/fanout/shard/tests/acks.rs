//! Answers that name the whole set, and what they are measured by.

use tickwire_protocol::{Channel, Command, Control, Element, Encoding, ErrorCode, SubscriptionSet};

use super::super::super::{Position, SessionId};
use super::super::session::Acks;
use super::harness::{Rig, every, names, names_in};

fn open(rig: &mut Rig) -> SessionId {
    let id = rig.open();
    rig.shard.set_acks(id, Acks::WholeSet);
    id
}

/// What the next write holds, which must be one answer.
fn answer(rig: &mut Rig, id: SessionId) -> Result<SubscriptionSet, ErrorCode> {
    rig.shard.next_write(id, &mut rig.out);
    match <[Element; 1]>::try_from(rig.elements(Encoding::MsgpackArray)) {
        Ok([Element::Control(Control::Subscription { names, .. })]) => Ok(*names),
        Ok([Element::Control(Control::Error { code, .. })]) => Err(code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_command_is_answered_with_all_names_there_are() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = open(&mut rig);
    rig.ask(id, every(names(["A", "B"])));
    assert_eq!(answer(&mut rig, id), Ok(names(["A", "B"])));
    rig.ask(id, every(names_in(Channel::Quotes, ["*"])));
    let mut both = names(["A", "B"]);
    both[Channel::Quotes].all = true;
    assert_eq!(answer(&mut rig, id), Ok(both.clone()));
    rig.ask(id, every(SubscriptionSet::default()));
    assert_eq!(answer(&mut rig, id), Ok(both.clone()), "nothing asked, nothing changed");
    rig.command(id, Command::Unsubscribe, names(["A", "C"]));
    both[Channel::Trades] = names(["B"])[Channel::Trades].clone();
    assert_eq!(answer(&mut rig, id), Ok(both));
}

#[test]
fn a_set_too_large_for_its_answer_is_refused_and_waits_for_nothing() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = open(&mut rig);
    let long = |from: usize, to: usize| -> Vec<String> {
        (from..to).map(|number| format!("A-RATHER-LONG-NAME-{number:05}")).collect()
    };
    let few = long(0, 30_000);
    rig.ask(id, every(names(few.iter().map(String::as_str))));
    assert_eq!(answer(&mut rig, id).unwrap().total(), 30_000);
    let more = long(30_000, 40_000);
    rig.ask(id, every(names(more.iter().map(String::as_str))));
    assert_eq!(answer(&mut rig, id), Err(ErrorCode::SymbolLimit));
    assert_eq!(rig.shard.stats().subscriptions, 30_000);
    let other = rig.open();
    rig.ask(other, every(names(more.iter().map(String::as_str))));
    assert_eq!(answer(&mut rig, other).unwrap().total(), 10_000, "its own answer names no others");
}

#[test]
fn totals_count_each_name_once_and_only_new_ones() {
    let mut rig = Rig::new(Position::FIRST, 65_535);
    let id = rig.open();
    rig.subscribe(id, "A");
    rig.subscribe(id, "*");
    let totals = |asked: [&str; 4]| rig.shard.totals_with(id, &names(asked))[Channel::Trades];
    assert_eq!(totals(["A", "A", "*", "*"]), 2);
    assert_eq!(totals(["A", "B", "B", "C"]), 4);
}
