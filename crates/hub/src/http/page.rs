//! The page, embedded in the binary at build time.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

/// Whether this build embeds the page. Where it does not, `/` shows a note on how to get it.
pub const HAS_PAGE: bool = cfg!(tickwire_page);

/// The files that `build.rs` has copied: the built page, or the note.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Page;

/// Content security policy: the page may connect only to the hub that served it.
const POLICY: &str = "default-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves a file of the page; `None` if there is none at this path.
pub(super) fn page(method: &Method, uri: &Uri) -> Option<Response> {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let file = Page::get(path)?;
    if method != Method::GET && method != Method::HEAD {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET\n").into_response());
    }
    // The names of assets contain a hash of the content; the name of the page does not.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, file.metadata.mimetype()),
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Some((headers, file.data).into_response())
}
