//! How clients share the places of a full upstream.

use super::*;

impl Upstream {
    fn with_room(room: usize) -> Self {
        Self { room, ..Self::new() }
    }

    /// Sets what each client wants, and reports it as the hub does: first the names, then the
    /// clients.
    fn share(&mut self, clients: &[NameSet]) {
        let wanted = clients.iter().flatten().copied().collect();
        self.requests = 0;
        self.set_demand(&wanted);
        self.subscriber.set_clients(clients);
        self.settle();
        assert_eq!(self.held, self.subscriber.held);
        assert!(self.held.len() >= self.room.min(wanted.len()), "no place stays empty");
    }

    /// Returns how many names of a client are subscribed to.
    fn places(&self, client: &NameSet) -> usize {
        self.held.intersection(client).count()
    }
}

/// Returns `count` trades whose symbols begin with a prefix.
fn of(prefix: &str, count: usize) -> NameSet {
    set(&(0..count).map(|number| format!("trades:{prefix}{number:03} ")).collect::<String>())
}

#[test]
fn client_alone_has_all_places() {
    let mut upstream = Upstream::with_room(28);
    let one = of("A", 40);
    upstream.share(std::slice::from_ref(&one));
    assert_eq!(upstream.places(&one), 28);
    assert_eq!(upstream.subscriber.refused(), 12);
}

#[test]
fn client_that_has_all_places_gives_others_theirs() {
    let mut upstream = Upstream::with_room(28);
    let greedy = of("A", 40);
    let modest = of("Z", 3);
    let second = of("Y", 40);
    upstream.share(std::slice::from_ref(&greedy));
    let before = upstream.held.clone();
    upstream.share(&[greedy.clone(), modest.clone()]);
    assert_eq!((upstream.places(&greedy), upstream.places(&modest)), (25, 3));
    assert_eq!(before.intersection(&upstream.held).count(), 25, "it keeps what it had");
    upstream.share(&[greedy.clone(), modest.clone(), second.clone()]);
    let places = [&greedy, &modest, &second].map(|client| upstream.places(client));
    assert!(places == [13, 3, 12] || places == [12, 3, 13], "{places:?}");
    upstream.share(std::slice::from_ref(&second));
    assert_eq!(upstream.places(&second), 28);
}

#[test]
fn name_of_several_clients_comes_in_the_earliest_turn() {
    let mut upstream = Upstream::with_room(10);
    let last = set("trades:A039");
    upstream.share(&[of("A", 40)]);
    assert_eq!(upstream.places(&last), 0);
    upstream.share(&[of("A", 40), last.clone()]);
    assert_eq!((upstream.places(&last), upstream.held.len()), (1, 10));
}

#[test]
fn places_do_not_change_hands_between_equals() {
    let mut upstream = Upstream::with_room(5);
    let clients: Vec<_> = ["A", "B", "C"].map(|prefix| of(prefix, 4)).into();
    upstream.share(&clients);
    let before = upstream.held.clone();
    for _ in 0..3 {
        upstream.share(&clients);
        assert_eq!((&upstream.held, upstream.requests), (&before, 0));
    }
}

#[test]
fn names_are_exchanged_between_channels_that_share_a_limit() {
    let quotes = set("quotes:Z1 quotes:Z2");
    let mut upstream = Upstream::with_room(10);
    upstream.share(&[of("A", 40)]);
    upstream.share(&[of("A", 40), quotes.clone()]);
    assert_eq!((upstream.places(&quotes), upstream.held.len()), (2, 10));
}

#[test]
fn channels_with_limits_of_their_own_keep_their_places() {
    let mut upstream = Upstream { is_per_channel: true, ..Upstream::with_room(3) };
    let greedy = set("trades:A1 trades:A2 trades:A3 trades:A4 quotes:A1 quotes:A2 quotes:A3");
    let modest = set("quotes:Z1 quotes:Z2 quotes:Z3");
    upstream.share(std::slice::from_ref(&greedy));
    assert_eq!(upstream.held.len(), 6);
    upstream.share(&[greedy.clone(), modest.clone()]);
    assert_eq!(upstream.held.len(), 6, "a place of one channel is none of another");
    assert!(upstream.places(&modest) >= 1, "{:?}", upstream.held);
    let before = upstream.held.clone();
    upstream.share(&[greedy, modest]);
    assert_eq!(upstream.held, before);
}

#[test]
fn invalid_names_take_no_places_from_their_client() {
    let mut upstream = Upstream::with_room(4);
    upstream.unknown = |symbol| symbol.starts_with("X");
    let greedy = of("A", 10);
    let careless = set("trades:X1 trades:X2 trades:X3 trades:Z1 trades:Z2");
    upstream.share(std::slice::from_ref(&greedy));
    upstream.share(&[greedy.clone(), careless.clone()]);
    assert_eq!((upstream.places(&greedy), upstream.places(&careless)), (2, 2));
}

#[test]
fn listed_symbols_keep_their_places() {
    let mut upstream = Upstream::with_room(3);
    upstream.subscriber.always = set("trades:L1 trades:L2");
    let clients = [of("A", 5), of("B", 5)];
    let wanted = clients.iter().flatten().copied().collect();
    upstream.set_demand(&wanted);
    upstream.subscriber.set_clients(&clients);
    upstream.settle();
    assert_eq!(upstream.places(&set("trades:L1 trades:L2")), 2);
    assert_eq!(upstream.held.len(), 3);
}

#[test]
fn exchanges_of_random_demand_end_and_are_fair() {
    let mut chance = seeds!().rng();
    for _ in 0..300 {
        let room = chance.random_range(1..12);
        let mut upstream = Upstream::with_room(room);
        upstream.is_per_channel = chance.random_bool(0.3);
        let all: Vec<_> =
            of("A", 12).into_iter().chain(set("quotes:A quotes:B quotes:C")).collect();
        for _ in 0..4 {
            let count = chance.random_range(1..5);
            let clients: Vec<NameSet> = (0..count)
                .map(|_| all.iter().copied().filter(|_| chance.random_bool(0.4)).collect())
                .collect();
            let wanted = clients.iter().flatten().copied().collect();
            upstream.requests = 0;
            upstream.set_demand(&wanted);
            upstream.subscriber.set_clients(&clients);
            upstream.settle();
            assert_eq!(upstream.held, upstream.subscriber.held);
            if !upstream.is_per_channel {
                assert_eq!(upstream.places(&wanted), room.min(wanted.len()));
                let without =
                    |client: &&NameSet| !client.is_empty() && upstream.places(client) == 0;
                let without = clients.iter().filter(without).count();
                assert!(without == 0 || room < count, "{without} of {count} have none of {room}");
            }
        }
    }
}
