use super::*;
use tickwire_protocol::{Channel, Price, Symbol, TickData, Trade};

pub(crate) fn trade(symbol: &str, seq: u64) -> Tick {
    let price = Price::from_f64(100.25).unwrap();
    Tick {
        symbol: Symbol::new(symbol).unwrap(),
        seq: Seq(seq),
        time: UnixNanos(1_767_364_200_000_000_000),
        data: TickData::Trade(Trade { id: seq, price, size: 100, ..Trade::default() }),
    }
}

const FEED: FeedId = FeedId(0);

#[test]
fn sequence_numbers_and_positions_are_contiguous() {
    let mut sequencer = Sequencer::new(10, 10);
    sequencer.take(FEED, vec![trade("A", 0), trade("B", 0), trade("A", 0)]);
    let first = sequencer.batch(UnixNanos(5)).unwrap();
    sequencer.take(FEED, vec![trade("A", 0)]);
    let second = sequencer.batch(UnixNanos(3)).unwrap();
    let seqs: Vec<_> = first.ticks().iter().map(|n| (n.topic.0, n.tick.seq.0)).collect();
    assert_eq!(seqs, [(0, 1), (1, 1), (0, 2)]);
    assert_eq!((second.first(), second.ticks()[0].tick.seq), (Position(4), Seq(3)));
    assert_eq!(second.received(), UnixNanos(5), "receive time never decreases");
    assert!(sequencer.batch(UnixNanos(9)).is_none());
}

#[test]
fn one_symbol_in_two_feeds_is_two_topics() {
    let mut sequencer = Sequencer::new(10, 10);
    sequencer.take(FEED, vec![trade("A", 0)]);
    sequencer.take(FeedId(1), vec![trade("A", 0)]);
    let batch = sequencer.batch(UnixNanos(1)).unwrap();
    assert!(batch.ticks().iter().all(|numbered| numbered.tick.seq == Seq(1)));
    assert_eq!(sequencer.topics(), 2);
}

#[test]
fn topics_beyond_the_limit_are_refused_and_counted() {
    let mut sequencer = Sequencer::new(1, 10);
    assert_eq!(sequencer.take(FEED, vec![trade("A", 0), trade("B", 0), trade("A", 0)]), 1);
    assert_eq!(sequencer.pending(), 2);
}

#[test]
fn returning_publisher_continues_its_count_and_fences_its_older_session() {
    let mut sequencer = Sequencer::new(10, 10);
    let old = sequencer.open("p").unwrap();
    assert_eq!((old.last, old.fenced), (0, None));
    sequencer.advance("p", old.token, 1, Some("m".to_owned())).unwrap();
    let new = sequencer.open("p").unwrap();
    assert_eq!((new.last, new.mark.as_deref(), new.fenced), (1, Some("m"), Some(old.token)));
    assert_eq!(sequencer.advance("p", old.token, 2, None), Err(Fenced));
    sequencer.close("p", old.token);
    sequencer.advance("p", new.token, 2, None).unwrap();
    sequencer.close("p", new.token);
    let again = sequencer.open("p").unwrap();
    assert_eq!((again.last, again.fenced), (2, None));
}

#[test]
fn restored_sequencer_continues_topics_and_publishers() {
    let at =
        |id: &str, last| PublisherProgress { id: id.to_owned(), last, mark: None, owner: None };
    let symbol = Symbol::new("A").unwrap();
    let numbering = Numbering {
        topics: vec![(TopicKey { feed: FEED, channel: Channel::Trades, symbol }, Seq(7))],
        publishers: vec![at("old", 3), at("new", 4)],
        head: Position(90),
        received: UnixNanos(50),
    };
    let mut sequencer = Sequencer::restore(numbering, 10, 2);
    sequencer.take(FEED, vec![trade("A", 0), trade("B", 0)]);
    assert_eq!(sequencer.take_new_topics().len(), 1);
    let batch = sequencer.batch(UnixNanos(40)).unwrap();
    let numbers: Vec<_> = batch.ticks().iter().map(|n| (n.topic.0, n.tick.seq.0)).collect();
    assert_eq!(numbers, [(0, 8), (1, 1)]);
    assert_eq!((batch.first(), batch.received()), (Position(90), UnixNanos(50)));
    assert!(sequencer.take_changes().is_empty());

    assert_eq!(sequencer.open("third").unwrap().last, 0, "the oldest was forgotten for it");
    let opened = sequencer.open("new").unwrap();
    assert_eq!(opened.last, 4);
    for number in [5, 6] {
        sequencer.advance("new", opened.token, number, None).unwrap();
    }
    let changes = sequencer.take_changes();
    assert_eq!(changes.forgotten, ["old"]);
    assert_eq!(changes.at, [at("new", 6)]);
    assert!(sequencer.take_changes().is_empty(), "changes are reported once");
}

#[test]
fn only_disconnected_publishers_are_forgotten() {
    let mut sequencer = Sequencer::new(10, 2);
    let first = sequencer.open("first").unwrap();
    sequencer.open("second").unwrap();
    assert_eq!(sequencer.open("third"), None, "both are connected");
    sequencer.close("first", first.token);
    assert!(sequencer.open("third").is_some());
    assert_eq!(sequencer.advance("first", first.token, 1, None), Err(Fenced));
}

#[test]
fn owner_that_invents_ids_forgets_only_its_own() {
    let mut sequencer = Sequencer::new(10, 5);
    let mut leave = |id: &str, owner| {
        let token = sequencer.open(id).unwrap().token;
        sequencer.set_owner(id, Some(owner));
        sequencer.close(id, token);
        let mut known: Vec<_> = sequencer.publishers.keys().cloned().collect();
        known.sort();
        known
    };
    leave("relay", "market");
    leave("replay", "market");
    for number in 0..10 {
        leave(&format!("{number}"), "greedy");
    }
    assert_eq!(leave("x", "greedy"), ["8", "9", "relay", "replay", "x"]);
    assert_eq!(leave("y", "third"), ["9", "relay", "replay", "x", "y"]);
    assert_eq!(leave("z", "third"), ["9", "replay", "x", "y", "z"], "the oldest of equals");
}

#[test]
fn renamed_publisher_keeps_its_progress() {
    let at = |id: &str, last| PublisherProgress {
        id: id.to_owned(),
        last,
        mark: Some("m".to_owned()),
        owner: None,
    };
    let publishers = vec![at("relay", 7), at("main/other", 2), at("other", 5)];
    let mut sequencer =
        Sequencer::restore(Numbering { publishers, ..Numbering::default() }, 10, 10);
    sequencer.rename("relay", "main/relay");
    sequencer.rename("other", "main/other");
    sequencer.rename("unknown", "main/unknown");
    assert_eq!(
        sequencer.take_changes(),
        PublisherChanges { forgotten: vec!["relay".to_owned()], at: vec![at("main/relay", 7)] }
    );
    assert_eq!(sequencer.open("main/relay").unwrap().last, 7);
    assert_eq!(sequencer.open("main/other").unwrap().last, 2, "that id had progress already");
    assert_eq!(sequencer.open("main/unknown").unwrap().last, 0);
}

#[test]
fn publishers_of_another_feed_do_not_count_towards_the_limit() {
    let mut sequencer = Sequencer::new(10, 2);
    let relay = sequencer.open("main\nrelay").unwrap();
    sequencer.advance("main\nrelay", relay.token, 7, None).unwrap();
    sequencer.close("main\nrelay", relay.token);
    for number in 0..5 {
        let id = format!("other\n{number}");
        let opened = sequencer.open(&id).unwrap();
        sequencer.close(&id, opened.token);
    }
    assert_eq!(sequencer.publishers.len(), 3);
    assert_eq!(sequencer.open("main\nrelay").unwrap().last, 7);
}

#[test]
fn id_belongs_to_its_owner_as_long_as_that_exists() {
    let mut sequencer = Sequencer::restore(Numbering::default(), 10, 10);
    let token = sequencer.open("p").unwrap().token;
    assert!(sequencer.may_use("p", Some("b"), |_| true), "it has no owner yet");
    sequencer.set_owner("p", Some("a"));
    assert!(sequencer.take_changes().is_empty(), "it has not advanced");
    sequencer.advance("p", token, 1, None).unwrap();
    let owner = |sequencer: &mut Sequencer| sequencer.take_changes().at.pop().unwrap().owner;
    assert_eq!(owner(&mut sequencer).as_deref(), Some("a"));
    let may_use = |sequencer: &Sequencer, owner: Option<&str>, exists: bool| {
        sequencer.may_use("p", owner, |of_id| of_id == "a" && exists)
    };
    assert!(may_use(&sequencer, Some("a"), true) && sequencer.may_use("q", None, |_| true));
    assert!(!may_use(&sequencer, Some("b"), true) && !may_use(&sequencer, None, true));
    assert!(may_use(&sequencer, Some("b"), false) && may_use(&sequencer, None, false));
    sequencer.set_owner("p", Some("b"));
    assert_eq!(owner(&mut sequencer).as_deref(), Some("b"), "recorded without a message");
}
