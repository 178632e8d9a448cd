use std::path::Path;

use super::*;
use crate::serving::shard_loop;

const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const SECRET: &str = Key::TEST_SECRET;

fn list(keys: &[&Key]) -> KeyList {
    let keys = keys.iter().map(|key| (*key).clone()).collect();
    KeyList { anonymous: Anonymous::None, keys }
}

/// Keys of a guarded hub, with an empty file behind them.
fn guarded(keys: &[&Key]) -> Arc<Keys> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    std::fs::write(&path, "").unwrap();
    let guarded = Keys::new(&Config { keys: Some(path), ..Config::default() }).unwrap();
    guarded.lock().take_over(list(keys));
    guarded
}

fn shown(id: &str, secret: &str) -> Credentials {
    Credentials { id: id.to_owned(), secret: secret.to_owned() }
}

fn entrant() -> Entrant {
    let shard = shard_loop::prepare().unwrap().waker;
    Entrant { peer: NEAR, user_agent: Some("a/1".into()), shard }
}

fn enter(keys: &Arc<Keys>, id: &str) -> Result<KeySession, KeyFull> {
    let grant = keys.check(&shown(id, SECRET), NEAR).unwrap();
    keys.enter(&grant, entrant())
}

fn logins(keys: &Keys) -> [u64; 3] {
    keys.logins().map(|(_, count)| count)
}

#[test]
fn an_open_hub_takes_any_key_and_none() {
    let keys = Keys::new(&Config::default()).unwrap();
    assert!(keys.is_open());
    for grant in [keys.anonymous().unwrap(), keys.check(&shown("x", "y"), NEAR).unwrap()] {
        assert!(grant.may_read("sip") && grant.may_publish("main") && !grant.is_admin());
    }
    assert!(!keys.has_admins());
}

#[test]
fn tokens_are_one_more_way_whatever_stands_in_them() {
    for token in ["publish-me", "with:a:colon", "oauth:x1234"] {
        let publish_token = Some(token.to_owned());
        let admin_token = Some("administer".to_owned());
        let config = Config { publish_token, admin_token, ..Config::default() };
        let keys = Keys::new(&config).unwrap();
        let of = |token| keys.check(&Credentials::from_token(token), NEAR).unwrap();
        assert!(of(token).may_publish("main") && !of(token).is_admin());
        assert!(of("administer").is_admin() && of("administer").may_publish("main"));
        assert!(
            !of("another").may_publish("main") && !keys.anonymous().unwrap().may_publish("main")
        );
    }
}

#[test]
fn a_wrong_key_is_told_ever_later_and_a_right_one_at_once() {
    let keys = guarded(&[&Key::for_test("one")]);
    assert!(keys.anonymous().is_none());
    let mut delays = Vec::new();
    for (id, secret) in [("one", "wrong"), ("two", SECRET), ("", SECRET), ("one", "")] {
        delays.push(keys.check(&shown(id, secret), NEAR).unwrap_err().delay.as_millis());
    }
    assert_eq!(delays, [100, 200, 400, 800]);
    assert_eq!(keys.delay(NEAR), Duration::from_millis(800));
    assert_eq!(keys.delay(IpAddr::from([192, 0, 2, 1])), Duration::ZERO);
    keys.check(&shown("one", SECRET), NEAR).unwrap();
    assert_eq!(keys.delay(NEAR), Duration::ZERO);
    assert_eq!(logins(&keys), [1, 4, 0]);
}

/// R11.
#[test]
fn the_oldest_wins_unless_the_key_says_the_newest() {
    let keys = guarded(&[&Key { sessions_max: Some(1), ..Key::for_test("one") }]);
    let first = enter(&keys, "one").unwrap();
    let full = enter(&keys, "one").unwrap_err();
    for part in ["name of one", "1 session,", "127.0.0.1 (a/1) since 20"] {
        assert!(full.detail.contains(part), "{full:?}");
    }
    assert_eq!(first.ended(), None);
    drop(first);
    drop(enter(&keys, "one").unwrap());
    assert_eq!(logins(&keys)[2], 1);

    let newest =
        Key { sessions_max: Some(2), when_full: WhenFull::Replace, ..Key::for_test("one") };
    keys.lock().take_over(list(&[&newest]));
    let [first, second, third] = [(); 3].map(|()| enter(&keys, "one").unwrap());
    assert_eq!(first.ended(), Some(CloseReason::Replaced));
    assert_eq!((second.ended(), third.ended()), (None, None));
    assert_eq!(keys.endings(), 1);
    assert_eq!(keys.sessions()[0].sessions, 2);
    drop(first);
    assert_eq!(keys.sessions()[0].sessions, 2, "its place was given away already");
}

#[test]
fn publishers_do_not_take_the_places_of_subscribers() {
    let keys =
        guarded(&[&Key { sessions_max: Some(1), role: Role::Publish, ..Key::for_test("one") }]);
    let grant = keys.check(&shown("one", SECRET), NEAR).unwrap();
    let _publishers = [(); 2].map(|()| keys.enter_publisher(&grant, NEAR, None));
    let _subscriber = enter(&keys, "one").unwrap();
    let sessions = &keys.sessions()[0];
    assert_eq!((sessions.sessions, sessions.publishers), (1, 2));
}

#[test]
fn only_sessions_of_changed_keys_end() {
    let (one, two, three) = (Key::for_test("one"), Key::for_test("two"), Key::for_test("three"));
    let keys = guarded(&[&one, &two, &three]);
    let sessions = ["one", "two", "three"].map(|id| enter(&keys, id).unwrap());
    let before = keys.check(&shown("two", SECRET), NEAR).unwrap();
    let narrower = Key { symbols_max: Some(1), ..two };
    keys.lock().take_over(list(&[&three, &narrower]));
    let ended = sessions.each_ref().map(KeySession::ended);
    assert_eq!(ended, [Some(CloseReason::Revoked), Some(CloseReason::Revoked), None]);
    assert_eq!(keys.endings(), 2);
    assert!(keys.check(&shown("one", SECRET), NEAR).is_err());
    // Whoever logged in just before the change and enters just after.
    let late = keys.enter(&before, entrant()).unwrap();
    assert_eq!(late.ended(), Some(CloseReason::Revoked));
    assert_eq!(enter(&keys, "two").unwrap().ended(), None);
    assert!(!keys.lock().take_over(list(&[&narrower, &three])), "the order does not matter");
}

#[test]
fn sessions_without_a_key_end_when_they_need_one() {
    let keys = guarded(&[]);
    keys.lock().take_over(KeyList { anonymous: Anonymous::Read, keys: Vec::new() });
    let grant = keys.anonymous().unwrap();
    assert!(grant.may_read("main") && !grant.may_publish("main"));
    let session = keys.enter(&grant, entrant()).unwrap();
    assert_eq!(keys.sessions()[0].name, "(no key)");
    keys.lock().take_over(list(&[]));
    assert_eq!(session.ended(), Some(CloseReason::Revoked));
}

#[test]
fn what_a_token_allows_does_not_depend_on_the_file() {
    let keys = guarded(&[]);
    let grant = Grant::Token(Role::Publish);
    let publisher = keys.enter_publisher(&grant, NEAR, None);
    for anonymous in [Anonymous::Read, Anonymous::None] {
        assert!(keys.lock().take_over(KeyList { anonymous, keys: Vec::new() }));
        assert_eq!(publisher.ended(), None);
    }
    let sessions = &keys.sessions()[0];
    assert_eq!((&*sessions.name, sessions.role), ("(publish token)", Role::Publish));
    assert_eq!((sessions.sessions, sessions.publishers), (0, 1));
    drop(publisher);
    assert_eq!(keys.sessions()[0].publishers, 0);
}

#[test]
fn what_is_taken_from_anybody_is_not_counted_as_right() {
    let publish_token = Some("publish-me".to_owned());
    let keys = Keys::new(&Config { publish_token, ..Config::default() }).unwrap();
    assert!(keys.check(&shown("any", SECRET), NEAR).unwrap().is_anyones());
    assert_eq!(logins(&keys), [0, 0, 0]);
    keys.check(&Credentials::from_token("publish-me"), NEAR).unwrap();
    assert_eq!(logins(&keys), [1, 0, 0]);
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_at_start_that_names_it() {
    let missing = Some(PathBuf::from("/nowhere/keys.toml"));
    let error = Keys::new(&Config { keys: missing, ..Config::default() }).unwrap_err();
    assert_eq!(error.to_string(), "cannot read keys file /nowhere/keys.toml");
    let error = KeyList::from_text("key = 1", Path::new("k.toml")).unwrap_err();
    assert!(error.to_string().starts_with("keys file k.toml, line 1: "), "{error}");
}

#[test]
fn nothing_shows_a_secret_or_a_token() {
    let config = Config { publish_token: Some("publish-me".to_owned()), ..Config::default() };
    let keys = Keys::new(&config).unwrap();
    keys.lock().take_over(list(&[&Key::for_test("one")]));
    let shown = format!("{keys:?} {:?}", shown("one", SECRET));
    assert!(!shown.contains("publish-me") && !shown.contains(SECRET), "{shown}");
}
