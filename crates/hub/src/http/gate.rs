//! Admits requests by their origin, host, key and role, and refuses the others.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tickwire_protocol::Printable;

use super::peer::Peer;
use super::upgrade;
use crate::access::keys::{Grant, Keys, Role, presented_credentials};
use crate::access::page_policy::PagePolicy;
use crate::access::refusal_log;
use crate::clock;
use crate::metrics::{HubMetrics, Refused};
use crate::retry::session_retry_delay;
use crate::state::lifecycle::Lifecycle;

/// Decides which requests are admitted. A refusal says why in one line of text.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) keys: Arc<Keys>,
    pub(crate) page_policy: PagePolicy,
    pub(crate) epoch: Arc<str>,
    pub(crate) metrics: Arc<HubMetrics>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// Duration of a drain.
    pub(crate) drain_duration: Duration,
}

/// A right that a request needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// Read from the API.
    Read,
    /// Publish to the feed with this name.
    Publish(&'a str),
    /// Learn to which feeds the sender may publish.
    PublishSome,
    /// Read the metrics of the hub.
    Metrics,
    /// Drain the hub, or see the sessions of all keys.
    Admin,
}

impl Need<'_> {
    fn is_met_by(self, grant: &Grant) -> bool {
        match self {
            Self::Read => true,
            Self::Publish(feed) => grant.may_publish(feed),
            Self::PublishSome => grant.role() >= Role::Publish,
            Self::Metrics => grant.may_read_metrics(),
            Self::Admin => grant.is_admin(),
        }
    }

    /// Describes a key with this right, to complete "a key …" in messages.
    fn description(self) -> String {
        match self {
            Self::Read => "that may read".to_owned(),
            Self::Publish(feed) => format!("that may publish to {feed}"),
            Self::PublishSome => "that may publish".to_owned(),
            Self::Metrics => "that may read metrics".to_owned(),
            Self::Admin => "with the role admin".to_owned(),
        }
    }
}

/// The authenticated sender of a request.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) grant: Grant,
    /// Whether the request has a key or a token.
    has_key: bool,
}

/// Why a request cannot be authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthError {
    /// The credentials have the wrong form. The text says what is expected.
    Malformed(&'static str),
    /// There are no credentials, and the hub is not open.
    Missing,
    /// There is no such key or token.
    Wrong,
}

impl Gate {
    /// Checks the `Origin` of a request that opens a session or changes the hub: see
    /// [`PagePolicy::check_origin`].
    pub(super) fn check_origin(
        &self,
        peer: Peer,
        headers: &HeaderMap,
    ) -> Result<(), Box<Response>> {
        let refused = |text| self.refuse_page(peer, text);
        Ok(self.page_policy.check_origin(headers, peer.transport).map_err(refused)?)
    }

    /// Refuses a request because of its origin or host. Pages and most programs hide the reason
    /// from their users, so it is logged.
    fn refuse_page(&self, peer: Peer, text: String) -> Response {
        refusal_log::note(clock::monotonic(), peer.address, "", None, &text);
        self.refuse(StatusCode::FORBIDDEN, Refused::Origin, text)
    }

    /// Checks the `Host` of a request whose sender needs no key for its rights: see
    /// [`PagePolicy::check_host`].
    ///
    /// # Errors
    /// Names the host, and how to allow it.
    pub(super) fn check_host(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        grant: &Grant,
    ) -> Result<(), String> {
        if !grant.is_anonymous() {
            return Ok(()); // no website knows a key
        }
        self.page_policy.check_host(headers, peer.transport)
    }

    /// Authenticates the sender of a request. Wrong credentials are answered after a delay, which
    /// grows with the number of failures from the address; valid ones are never delayed.
    ///
    /// # Errors
    /// If the credentials are malformed, missing or wrong.
    pub(super) async fn authenticate(
        &self,
        peer: Peer,
        headers: &HeaderMap,
    ) -> Result<Sender, AuthError> {
        let Some(credentials) = presented_credentials(headers).map_err(AuthError::Malformed)?
        else {
            let grant = self.keys.anonymous().ok_or(AuthError::Missing)?;
            return Ok(Sender { grant, has_key: false });
        };
        match self.keys.check(&credentials, peer.address) {
            Ok(grant) => Ok(Sender { grant, has_key: true }),
            Err(wrong) => {
                tokio::time::sleep(wrong.delay).await;
                Err(AuthError::Wrong)
            }
        }
    }

    /// Returns the rights of the sender of a request; `None` if they are not known, or if it may be
    /// a web page that must not learn anything. For answers that name views.
    pub(super) async fn reader(&self, peer: Peer, headers: &HeaderMap) -> Option<Grant> {
        let Sender { grant, .. } = self.authenticate(peer, headers).await.ok()?;
        self.check_host(peer, headers, &grant).is_ok().then_some(grant)
    }

    /// Authenticates the sender of a request, and checks that it has the rights that the request
    /// needs.
    ///
    /// # Errors
    /// The response that refuses the request.
    pub(super) async fn authorize(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        need: Need<'_>,
    ) -> Result<Grant, Box<Response>> {
        let wanted = need.description();
        let Sender { grant, has_key } = self
            .authenticate(peer, headers)
            .await
            .map_err(|error| self.refuse_unauthenticated(error, &wanted))?;
        if need.is_met_by(&grant) {
            if matches!(need, Need::Read) {
                self.check_host(peer, headers, &grant)
                    .map_err(|text| self.refuse_page(peer, text))?;
            }
            return Ok(grant);
        }
        // The key is valid, so no delay is needed.
        if let Grant::Key(key) = grant {
            let text = format!("key {} is not allowed; expected one {wanted}", key.name);
            return Err(Box::new(self.refuse(StatusCode::FORBIDDEN, Refused::Token, text)));
        }
        if !has_key {
            return Err(Box::new(self.refuse_unauthenticated(AuthError::Missing, &wanted)));
        }
        tokio::time::sleep(self.keys.wrong(peer.address).delay).await;
        Err(Box::new(self.refuse_unauthenticated(AuthError::Wrong, &wanted)))
    }

    fn refuse_unauthenticated(&self, error: AuthError, wanted: &str) -> Response {
        let text = match error {
            AuthError::Malformed(expected) => expected.to_owned(),
            AuthError::Missing => {
                format!("a key {wanted} is required: Authorization: Bearer ID:SECRET")
            }
            AuthError::Wrong => format!("wrong key or token; expected one {wanted}"),
        };
        self.refuse(StatusCode::UNAUTHORIZED, Refused::Token, text)
    }

    /// Answers the opening handshake of a WebSocket with 101.
    ///
    /// # Errors
    /// The response that refuses an invalid handshake.
    pub(super) fn accept_upgrade(
        &self,
        headers: &HeaderMap,
        subprotocol: Option<&'static str>,
    ) -> Result<Response, Box<Response>> {
        upgrade::accept(headers, subprotocol, &self.epoch).map_err(|error| {
            let text = error.to_string();
            let refusal = self.refuse(StatusCode::BAD_REQUEST, Refused::Handshake, text);
            Box::new(error.response(refusal))
        })
    }

    /// Counts a refusal, and returns a response with the reason in one line of text.
    pub(super) fn refuse(
        &self,
        status: StatusCode,
        why: Refused,
        text: impl Into<String>,
    ) -> Response {
        self.metrics.refuse(why, 1);
        let mut text = text.into();
        tracing::debug!(%status, text = %Printable(&text), "request refused");
        text.push('\n');
        let mut response = (status, text).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }

    /// Refuses a session or publisher because the hub shuts down. `Retry-After` says when to come
    /// back.
    pub(super) fn refuse_while_draining(&self) -> Response {
        let text = "the hub is shutting down";
        let mut response =
            self.refuse(StatusCode::SERVICE_UNAVAILABLE, Refused::SessionLimit, text);
        let retry_s = session_retry_delay(self.drain_duration).as_millis().div_ceil(1_000);
        if let Ok(seconds) = HeaderValue::try_from(retry_s.to_string()) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
