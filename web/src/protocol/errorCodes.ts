// The codes of error elements that this page reacts to; docs/protocol/subscriber.md lists all.

/** A command was sent before authentication, on a hub that requires a key. */
export const NOT_AUTHENTICATED = 401;
/** The key or its secret is wrong. */
export const AUTH_FAILED = 402;
/** The session is already authenticated, or the hub requires no key. */
export const ALREADY_AUTHENTICATED = 403;
/** No key arrived in time. */
export const AUTH_TIMEOUT = 404;
/** The key may not subscribe to a symbol, or to as many symbols; the hub changed nothing. */
export const SYMBOL_LIMIT_EXCEEDED = 405;
/** The key already has its maximum number of sessions. */
export const CONNECTION_LIMIT_EXCEEDED = 406;
/** The key has no access to the feed. */
export const INSUFFICIENT_SUBSCRIPTION = 409;
