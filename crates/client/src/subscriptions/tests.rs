use super::*;

const TRADES: &[Channel] = &[Channel::Trades];

const LATEST: Delivery = Delivery::Latest { max_rate: None };

fn topic(symbol: &str, channel: Channel) -> Topic {
    Topic { symbol: Symbol::new(symbol).unwrap(), channel }
}

fn from_now(delivery: Delivery) -> SubscribeOptions {
    SubscribeOptions { delivery, start: Start::Now }
}

fn deliveries(desired: &DesiredSubscriptions) -> Vec<(Delivery, SubscriptionSet)> {
    desired.groups().into_iter().map(|group| (group.options.delivery, group.names)).collect()
}

#[test]
fn revert_restores_names_unless_they_changed_again() {
    let mut desired = DesiredSubscriptions::default();
    let changed = desired.add(&names(TRADES, ["A", "B"]).unwrap(), &from_now(Delivery::Every));
    assert_eq!(changed.len(), 2);
    let before = deliveries(&desired);
    let changed = desired.add(&names(TRADES, ["B", "C", "*"]).unwrap(), &from_now(LATEST));
    assert_eq!(changed.len(), 3);
    let unchanged = desired.add(&names(TRADES, ["C"]).unwrap(), &from_now(LATEST));
    assert!(unchanged.is_empty());
    desired.revert(changed, LATEST);
    assert_eq!(deliveries(&desired), before);
    let changed = desired.add(&names(TRADES, ["A"]).unwrap(), &from_now(LATEST));
    desired.add(&names(TRADES, ["A"]).unwrap(), &from_now(Delivery::Every));
    desired.revert(changed, LATEST);
    assert_eq!(deliveries(&desired), before, "the later change stays");
}

#[test]
fn symbol_takes_precedence_over_wildcard_and_the_last_delivery_counts() {
    let mut desired = DesiredSubscriptions::default();
    desired.add(&names(TRADES, ["*"]).unwrap(), &from_now(LATEST));
    desired.add(&names(TRADES, ["A"]).unwrap(), &from_now(Delivery::Every));
    let delivery =
        |desired: &DesiredSubscriptions, symbol| desired.delivery(&topic(symbol, Channel::Trades));
    assert_eq!(delivery(&desired, "A"), Some(Delivery::Every));
    assert_eq!(delivery(&desired, "X"), Some(LATEST));
    assert!(!desired.covers(&topic("X", Channel::Quotes)));
    desired.add(&names(TRADES, ["A"]).unwrap(), &from_now(LATEST));
    assert_eq!(deliveries(&desired), [(LATEST, names(TRADES, ["*", "A"]).unwrap())]);
    desired.remove(&names(TRADES, ["*"]).unwrap());
    assert_eq!(delivery(&desired, "X"), None);
}

#[test]
fn corrections_are_always_delivered_every() {
    let channels = [Channel::Trades, Channel::Corrections, Channel::CancelErrors];
    let mut desired = DesiredSubscriptions::default();
    desired.add(&names(&channels, ["A"]).unwrap(), &from_now(LATEST));
    desired.downgrade_to_latest();
    assert_eq!(desired.delivery(&topic("A", Channel::Trades)), Some(LATEST));
    for channel in &channels[1..] {
        assert_eq!(desired.delivery(&topic("A", *channel)), Some(Delivery::Every));
    }
}

#[test]
fn parts_hold_every_name_once() {
    let symbols: Vec<String> = (0..NAMES_PER_COMMAND * 3 / 2).map(|n| format!("S{n}")).collect();
    let channels = [Channel::Trades, Channel::Quotes];
    let all = names(&channels, symbols.iter().map(String::as_str).chain(["*"])).unwrap();
    let parts = split_by_command(&all);
    assert_eq!(parts.len(), 3);
    let mut desired = DesiredSubscriptions::default();
    for part in &parts {
        assert!(part.total() <= NAMES_PER_COMMAND + Channel::COUNT);
        assert_eq!(desired.add(part, &from_now(Delivery::Every)).len(), part.total());
    }
    assert_eq!(desired.groups()[0].names.total(), all.total());
    assert!(split_by_command(&SubscriptionSet::default()).is_empty());
}

#[test]
fn started_name_stays_started_until_its_delivery_changes() {
    let mut desired = DesiredSubscriptions::default();
    let name = names(TRADES, ["A"]).unwrap();
    let starts = |desired: &DesiredSubscriptions| -> Vec<Start> {
        desired.groups().into_iter().map(|group| group.options.start).collect()
    };
    desired.add(&name, &from_now(Delivery::Every));
    assert!(!desired.has_started());
    assert!(desired.mark_started(&name) && desired.has_started());
    assert!(desired.add(&name, &from_now(Delivery::Every)).is_empty());
    assert_eq!(starts(&desired), [Start::Started]);
    desired.add(&name, &from_now(LATEST));
    assert!(!desired.mark_started(&name), "a name of delivery latest cannot be resumed");
    assert_eq!(starts(&desired), [Start::Now]);
    assert!(!desired.has_started());
}
