//! How ticks enter the hub: publisher sessions and the router that numbers every tick.

pub(crate) mod publisher;
pub(crate) mod router;
pub(crate) mod test_feed;
