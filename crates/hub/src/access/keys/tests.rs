//! Access control without sockets.

use std::path::Path;

use super::*;
use crate::serving::shard_loop;

const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const SECRET: &str = Key::TEST_SECRET;

fn list(keys: &[&Key]) -> KeyList {
    let keys = keys.iter().map(|key| (*key).clone()).collect();
    KeyList { keys, ..KeyList::default() }
}

/// Keys of a hub with a keys file. The file itself is empty.
fn guarded(keys: &[&Key]) -> Arc<Keys> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    std::fs::write(&path, "").unwrap();
    let guarded = Keys::new(&Config { keys: Some(path), ..Config::default() }).unwrap();
    guarded.lock().apply(list(keys));
    guarded
}

fn credentials(id: &str, secret: &str) -> Credentials {
    Credentials { id: id.to_owned(), secret: secret.to_owned() }
}

fn session_info() -> SessionInfo {
    let shard = shard_loop::prepare().unwrap().waker;
    SessionInfo { peer: NEAR, user_agent: Some("a/1".into()), shard }
}

fn open_session(keys: &Arc<Keys>, id: &str) -> Result<KeySession, KeyLimitReached> {
    let grant = keys.check(&credentials(id, SECRET), NEAR).unwrap();
    keys.register_subscriber(&grant, session_info())
}

fn logins(keys: &Keys) -> [u64; 3] {
    keys.logins().map(|(_, count)| count)
}

#[test]
fn open_hub_accepts_any_key_and_needs_none() {
    let keys = Keys::new(&Config::default()).unwrap();
    assert!(keys.is_open());
    for grant in [keys.anonymous().unwrap(), keys.check(&credentials("x", "y"), NEAR).unwrap()] {
        assert!(grant.may_read("sip") && grant.may_publish("main") && !grant.is_admin());
    }
    assert!(!keys.has_admins());
}

#[test]
fn tokens_give_their_role_whatever_characters_they_contain() {
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
fn each_wrong_key_doubles_the_delay_and_a_right_key_resets_it() {
    let keys = guarded(&[&Key::for_test("one")]);
    assert!(keys.anonymous().is_none());
    let mut delays = Vec::new();
    for (id, secret) in [("one", "wrong"), ("two", SECRET), ("", SECRET), ("one", "")] {
        delays.push(keys.check(&credentials(id, secret), NEAR).unwrap_err().delay.as_millis());
    }
    assert_eq!(delays, [100, 200, 400, 800]);
    assert_eq!(keys.delay(NEAR), Duration::from_millis(800));
    assert_eq!(keys.delay(IpAddr::from([192, 0, 2, 1])), Duration::ZERO);
    keys.check(&credentials("one", SECRET), NEAR).unwrap();
    assert_eq!(keys.delay(NEAR), Duration::ZERO);
    assert_eq!(logins(&keys), [1, 4, 0]);
}

/// R11.
#[test]
fn session_beyond_the_limit_is_refused_or_replaces_the_oldest() {
    let keys = guarded(&[&Key { sessions_max: Some(1), ..Key::for_test("one") }]);
    let first = open_session(&keys, "one").unwrap();
    let full = open_session(&keys, "one").unwrap_err();
    for part in ["name of one", "1 session,", "127.0.0.1 (a/1) since 20"] {
        assert!(full.detail.contains(part), "{full:?}");
    }
    assert_eq!(first.close_reason(), None);
    drop(first);
    drop(open_session(&keys, "one").unwrap());
    assert_eq!(logins(&keys)[2], 1);

    let newest =
        Key { sessions_max: Some(2), when_full: WhenFull::Replace, ..Key::for_test("one") };
    keys.lock().apply(list(&[&newest]));
    let [first, second, third] = [(); 3].map(|()| open_session(&keys, "one").unwrap());
    assert_eq!(first.close_reason(), Some(CloseReason::Replaced));
    assert_eq!((second.close_reason(), third.close_reason()), (None, None));
    assert_eq!(keys.closed_sessions(), 1);
    assert_eq!(keys.sessions()[0].sessions, 2);
    drop(first);
    assert_eq!(keys.sessions()[0].sessions, 2, "a newer session has replaced it");
}

#[test]
fn publishers_do_not_count_against_sessions_max() {
    let keys =
        guarded(&[&Key { sessions_max: Some(1), role: Role::Publish, ..Key::for_test("one") }]);
    let grant = keys.check(&credentials("one", SECRET), NEAR).unwrap();
    let _publishers = [(); 2].map(|()| keys.register_publisher(&grant, NEAR, None));
    let _subscriber = open_session(&keys, "one").unwrap();
    let sessions = &keys.sessions()[0];
    assert_eq!((sessions.sessions, sessions.publishers), (1, 2));
}

#[test]
fn only_sessions_of_changed_keys_are_revoked() {
    let [one, two, three] = ["one", "two", "three"].map(Key::for_test);
    let keys = guarded(&[&one, &two, &three]);
    let sessions = ["one", "two", "three"].map(|id| open_session(&keys, id).unwrap());
    let before = keys.check(&credentials("two", SECRET), NEAR).unwrap();
    let narrower = Key { symbols_max: Some(1), ..two };
    keys.lock().apply(list(&[&three, &narrower]));
    let ended = sessions.each_ref().map(KeySession::close_reason);
    assert_eq!(ended, [Some(CloseReason::Revoked), Some(CloseReason::Revoked), None]);
    assert_eq!(keys.closed_sessions(), 2);
    assert!(keys.check(&credentials("one", SECRET), NEAR).is_err());
    // The key is changed between the check of the credentials and the registration.
    let late = keys.register_subscriber(&before, session_info()).unwrap();
    assert_eq!(late.close_reason(), Some(CloseReason::Revoked));
    assert_eq!(open_session(&keys, "two").unwrap().close_reason(), None);
    assert!(!keys.lock().apply(list(&[&narrower, &three])), "the order does not matter");
}

#[test]
fn anonymous_sessions_are_revoked_when_a_key_becomes_necessary() {
    let keys = guarded(&[]);
    keys.lock().apply(KeyList { anonymous: Anonymous::Read, ..KeyList::default() });
    let grant = keys.anonymous().unwrap();
    assert!(grant.may_read("main") && !grant.may_publish("main"));
    let session = keys.register_subscriber(&grant, session_info()).unwrap();
    assert_eq!(keys.sessions()[0].name, "(no key)");
    keys.lock().apply(list(&[]));
    assert_eq!(session.close_reason(), Some(CloseReason::Revoked));
}

#[test]
fn sessions_of_tokens_do_not_depend_on_the_file() {
    let keys = guarded(&[]);
    let grant = Grant::Token(Role::Publish);
    let publisher = keys.register_publisher(&grant, NEAR, None);
    for anonymous in [Anonymous::Read, Anonymous::None] {
        assert!(keys.lock().apply(KeyList { anonymous, ..KeyList::default() }));
        assert_eq!(publisher.close_reason(), None);
    }
    let sessions = &keys.sessions()[0];
    assert_eq!((&*sessions.name, sessions.role), ("(publish token)", Role::Publish));
    assert_eq!((sessions.sessions, sessions.publishers), (0, 1));
    drop(publisher);
    assert_eq!(keys.sessions()[0].publishers, 0);
}

#[test]
fn logins_that_any_key_would_pass_are_not_counted() {
    let publish_token = Some("publish-me".to_owned());
    let keys = Keys::new(&Config { publish_token, ..Config::default() }).unwrap();
    assert!(keys.check(&credentials("any", SECRET), NEAR).unwrap().is_anonymous());
    assert_eq!(logins(&keys), [0, 0, 0]);
    keys.check(&Credentials::from_token("publish-me"), NEAR).unwrap();
    assert_eq!(logins(&keys), [1, 0, 0]);
}

#[test]
fn unusable_file_is_an_error_at_start_that_names_it() {
    let missing = Some(PathBuf::from("/nowhere/keys.toml"));
    let error = Keys::new(&Config { keys: missing, ..Config::default() }).unwrap_err();
    assert_eq!(error.to_string(), "cannot read keys file /nowhere/keys.toml");
    let error = KeyList::from_text("key = 1", Path::new("k.toml")).unwrap_err();
    assert!(error.to_string().starts_with("keys file k.toml, line 1: "), "{error}");
}

#[test]
fn debug_output_contains_no_secret_and_no_token() {
    let config = Config { publish_token: Some("publish-me".to_owned()), ..Config::default() };
    let keys = Keys::new(&config).unwrap();
    keys.lock().apply(list(&[&Key::for_test("one")]));
    let debug = format!("{keys:?} {:?}", credentials("one", SECRET));
    assert!(!debug.contains("publish-me") && !debug.contains(SECRET), "{debug}");
}
