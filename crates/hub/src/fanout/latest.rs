//! Data structures for `latest`: sessions that are sent only the newest tick of a topic.

pub(super) mod dirty_set;
pub(super) mod rate_groups;
pub(super) mod timer_wheel;
