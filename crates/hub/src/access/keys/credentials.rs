//! Credentials in the headers of a request.

use axum::http::{HeaderMap, header};
use data_encoding::BASE64;
use tickwire_protocol::Credentials;

const KEY_ID: &str = "apca-api-key-id";
const SECRET_KEY: &str = "apca-api-secret-key";

/// Returns the credentials in the headers of a request; `None` if it has no header for them.
///
/// # Errors
/// Returns the form that is expected, if a header is malformed.
pub(crate) fn presented_credentials(
    headers: &HeaderMap,
) -> Result<Option<Credentials>, &'static str> {
    if headers.contains_key(KEY_ID) || headers.contains_key(SECRET_KEY) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        return match (text(KEY_ID), text(SECRET_KEY)) {
            (Some(id), Some(secret)) => {
                Ok(Some(Credentials::from_pair(id.to_owned(), secret.to_owned())))
            }
            _ => Err("expected APCA-API-KEY-ID and APCA-API-SECRET-KEY together"),
        };
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    const EXPECTED: &str =
        "expected Authorization: Bearer ID:SECRET, or Authorization: Basic and base64 of ID:SECRET";
    let (scheme, rest) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(EXPECTED)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credentials::from_token(rest)));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(EXPECTED);
    }
    let bytes = BASE64.decode(rest.as_bytes()).map_err(|_| EXPECTED)?;
    let text = String::from_utf8(bytes).map_err(|_| EXPECTED)?;
    let (id, secret) = text.split_once(':').ok_or(EXPECTED)?;
    Ok(Some(Credentials::from_pair(id.to_owned(), secret.to_owned())))
}

/// Length to which a `User-Agent` is truncated, in characters.
const USER_AGENT_CHARS_MAX: usize = 80;

/// Returns the `User-Agent` of a request without control characters, truncated to
/// [`USER_AGENT_CHARS_MAX`].
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<Box<str>> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(pairs: &[(&'static str, &str)]) -> Result<Option<(String, String)>, &'static str> {
        let headers =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let presented = presented_credentials(&headers.collect())?;
        Ok(presented.map(|credentials| (credentials.id, credentials.secret)))
    }

    /// Case R10 of docs/alpaca.md.
    #[test]
    fn credentials_are_found_in_every_supported_header() {
        let expected = Ok(Some(("TW1".to_owned(), "s3cret".to_owned())));
        assert_eq!(
            presented(&[("apca-api-key-id", "TW1"), ("apca-api-secret-key", "s3cret")]),
            expected
        );
        assert_eq!(presented(&[("authorization", "Bearer TW1:s3cret")]), expected);
        assert_eq!(presented(&[("authorization", "bearer  TW1:s3cret ")]), expected);
        assert_eq!(presented(&[("authorization", "Basic VFcxOnMzY3JldA==")]), expected);
        assert_eq!(presented(&[("host", "h")]), Ok(None));
    }

    #[test]
    fn bearer_without_a_colon_is_a_token() {
        let expected = Ok(Some((String::new(), "s3cret".to_owned())));
        assert_eq!(presented(&[("authorization", "Bearer s3cret")]), expected);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for value in ["Bearer", "Digest x", "Basic ???", "Basic VFcx", "\u{fc}"] {
            assert!(presented(&[("authorization", value)]).is_err(), "{value}");
        }
        assert!(presented(&[("apca-api-key-id", "TW1")]).unwrap_err().contains("together"));
    }
}
