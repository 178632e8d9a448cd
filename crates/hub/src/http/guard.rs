//! Who may ask for what over HTTP.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::refuse;
use crate::access::admission::is_address_or_localhost;
use crate::access::keys::{Grant, WrongKey, presented_credentials};
use crate::metrics::Refused;
use crate::server::Shared;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// Ask.
    Read,
    /// Publish to a feed.
    Publish(&'a str),
    /// Change the hub, or see who is there.
    Admin,
}

impl Need<'_> {
    fn is_met_by(self, grant: &Grant) -> bool {
        match self {
            Self::Read => true,
            Self::Publish(feed) => grant.may_publish(feed),
            Self::Admin => grant.is_admin(),
        }
    }

    fn described(self) -> String {
        match self {
            Self::Read => "that may read".to_owned(),
            Self::Publish(feed) => format!("that may publish to {feed}"),
            Self::Admin => "of an administrator".to_owned(),
        }
    }
}

/// Whether what a hub tells anybody may be told to who names it so in `Host`.
///
/// A page that asks its own server sends no `Origin`, so a website could let its own name point at loopback and read what
/// the hub there tells (DNS rebinding). On loopback a name therefore has to be localhost or that of an allowed origin;
/// elsewhere a hub has names that only its network knows.
pub(super) fn host_allowed(
    shared: &Shared,
    peer: IpAddr,
    headers: &HeaderMap,
    grant: &Grant,
) -> Result<(), String> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or("(not text)");
    let is_of = |origin: &String| origin.split_once("://").is_some_and(|(_, name)| name == host);
    if !grant.is_anonymous()
        || !peer.to_canonical().is_loopback()
        || is_address_or_localhost(host)
        || shared.config.allow_origins.iter().any(is_of)
    {
        return Ok(());
    }
    let shown: String = host.chars().take(100).collect();
    Err(format!(
        "host {shown} is not known here; ask for localhost or an address, or the hub's operator can allow it with \
         --allow-origins http://{shown}"
    ))
}

/// What the sender of a request may do, if that is enough. A wrong key is answered late, and the more so
/// the more there were; a right one at once.
pub(super) async fn guard(
    shared: &Shared,
    peer: IpAddr,
    headers: &HeaderMap,
    need: Need<'_>,
) -> Result<Grant, Box<Response>> {
    let refused = |status, text: String| Box::new(refuse(shared, status, Refused::Token, text));
    let wanted = need.described();
    let credentials = presented_credentials(headers)
        .map_err(|expected| refused(StatusCode::UNAUTHORIZED, expected.to_owned()))?;
    let grant = match &credentials {
        Some(credentials) => shared.keys.check(credentials, peer),
        None => shared.keys.anonymous().ok_or_else(WrongKey::default),
    };
    let why_not = match grant {
        Ok(grant) if need.is_met_by(&grant) => {
            let name_known = match need {
                Need::Read => host_allowed(shared, peer, headers, &grant),
                Need::Publish(_) | Need::Admin => Ok(()),
            };
            return match name_known {
                Ok(()) => Ok(grant),
                Err(text) => {
                    Err(Box::new(refuse(shared, StatusCode::FORBIDDEN, Refused::Origin, text)))
                }
            };
        }
        // It may do other things: to try it again will not help.
        Ok(Grant::Key(key)) => {
            let text = format!("key {} is not one {wanted}", key.name);
            return Err(refused(StatusCode::FORBIDDEN, text));
        }
        Ok(_) if credentials.is_some() => shared.keys.wrong(peer),
        Ok(_) => WrongKey::default(),
        Err(wrong) => wrong,
    };
    tokio::time::sleep(why_not.delay).await;
    let text = match credentials {
        Some(_) => format!("wrong key or token; expected one {wanted}"),
        None => format!("a key {wanted} is needed here: Authorization: Bearer ID:SECRET"),
    };
    Err(refused(StatusCode::UNAUTHORIZED, text))
}
