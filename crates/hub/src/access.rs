//! Who may connect, and what each session may do: admission, authentication and API keys.

pub(crate) mod admission;
pub(crate) mod auth_state;
pub mod keys;
pub(crate) mod page_policy;
pub(crate) mod refusal_log;
pub(crate) mod trusted_proxies;
