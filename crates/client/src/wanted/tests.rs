use super::*;

const TRADES: &[Channel] = &[Channel::Trades];

const LATEST: Delivery = Delivery::Latest { max_rate: None };

fn topic(symbol: &str, channel: Channel) -> Topic {
    Topic { symbol: Symbol::new(symbol).unwrap(), channel }
}

fn now(delivery: Delivery) -> How {
    How { delivery, start: Start::Now }
}

fn modes(wanted: &Wanted) -> Vec<(Delivery, SubscriptionSet)> {
    wanted.groups().into_iter().map(|group| (group.how.delivery, group.names)).collect()
}

#[test]
fn refused_names_are_again_what_they_were() {
    let mut wanted = Wanted::default();
    assert_eq!(wanted.add(&names(TRADES, ["A", "B"]).unwrap(), &now(Delivery::Every)).len(), 2);
    let before = modes(&wanted);
    let changed = wanted.add(&names(TRADES, ["B", "C", "*"]).unwrap(), &now(LATEST));
    assert_eq!(changed.len(), 3);
    assert!(wanted.add(&names(TRADES, ["C"]).unwrap(), &now(LATEST)).is_empty(), "it is there");
    wanted.undo(changed, LATEST);
    assert_eq!(modes(&wanted), before);
    let changed = wanted.add(&names(TRADES, ["A"]).unwrap(), &now(LATEST));
    wanted.add(&names(TRADES, ["A"]).unwrap(), &now(Delivery::Every));
    wanted.undo(changed, LATEST);
    assert_eq!(modes(&wanted), before, "what came later stays");
}

#[test]
fn name_beats_every_symbol_and_the_last_delivery_counts() {
    let mut wanted = Wanted::default();
    wanted.add(&names(TRADES, ["*"]).unwrap(), &now(LATEST));
    wanted.add(&names(TRADES, ["A"]).unwrap(), &now(Delivery::Every));
    let delivery = |wanted: &Wanted, symbol| wanted.delivery(&topic(symbol, Channel::Trades));
    assert_eq!(delivery(&wanted, "A"), Some(Delivery::Every));
    assert_eq!(delivery(&wanted, "X"), Some(LATEST));
    assert!(!wanted.covers(&topic("X", Channel::Quotes)));
    wanted.add(&names(TRADES, ["A"]).unwrap(), &now(LATEST));
    assert_eq!(modes(&wanted), [(LATEST, names(TRADES, ["*", "A"]).unwrap())]);
    wanted.remove(&names(TRADES, ["*"]).unwrap());
    assert_eq!(delivery(&wanted, "X"), None);
}

#[test]
fn corrections_are_always_delivered_every() {
    let channels = [Channel::Trades, Channel::Corrections, Channel::CancelErrors];
    let mut wanted = Wanted::default();
    wanted.add(&names(&channels, ["A"]).unwrap(), &now(LATEST));
    wanted.degrade();
    assert_eq!(wanted.delivery(&topic("A", Channel::Trades)), Some(LATEST));
    for channel in &channels[1..] {
        assert_eq!(wanted.delivery(&topic("A", *channel)), Some(Delivery::Every));
    }
}

#[test]
fn pieces_hold_every_name_once() {
    let symbols: Vec<String> = (0..NAMES_PER_COMMAND * 3 / 2).map(|n| format!("S{n}")).collect();
    let all =
        names(&[Channel::Trades, Channel::Quotes], symbols.iter().map(String::as_str).chain(["*"]))
            .unwrap();
    let pieces = pieces(&all);
    assert_eq!(pieces.len(), 3);
    let mut wanted = Wanted::default();
    for piece in &pieces {
        assert!(piece.total() <= NAMES_PER_COMMAND + Channel::COUNT);
        assert_eq!(wanted.add(piece, &now(Delivery::Every)).len(), piece.total());
    }
    assert_eq!(wanted.groups()[0].names.total(), all.total());
    assert!(super::pieces(&SubscriptionSet::default()).is_empty());
}

#[test]
fn a_name_that_has_begun_goes_on_until_its_delivery_changes() {
    let mut wanted = Wanted::default();
    let named = names(TRADES, ["A"]).unwrap();
    let starts = |wanted: &Wanted| -> Vec<Start> {
        wanted.groups().into_iter().map(|group| group.how.start).collect()
    };
    wanted.add(&named, &now(Delivery::Every));
    assert!(!wanted.has_begun());
    assert!(wanted.begin(&named) && wanted.has_begun());
    assert!(wanted.add(&named, &now(Delivery::Every)).is_empty());
    assert_eq!(starts(&wanted), [Start::Begun]);
    wanted.add(&named, &now(LATEST));
    assert!(!wanted.begin(&named), "what is latest is not continued");
    assert_eq!(starts(&wanted), [Start::Now]);
    assert!(!wanted.has_begun());
}
