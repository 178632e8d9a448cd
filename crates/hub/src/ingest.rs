//! How ticks enter the hub: publisher sessions, and the router that numbers every tick.

pub(crate) mod handle;
pub(crate) mod message;
pub(crate) mod publisher;
pub(crate) mod publisher_id;
pub(crate) mod router;
pub(crate) mod test_feed;
