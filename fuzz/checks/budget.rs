//! Accounts of readers in a budget of messages.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tickwire_hub::{BudgetAccount, MessageBudget, OnEviction};

/// An owner that ignores evictions: its reader finds them itself.
#[derive(Debug)]
struct Ignore;

impl OnEviction for Ignore {
    fn evicted(&self, _token: u64) {}
}

/// Returns the account of a client that has a budget to itself.
pub(super) fn account(budget: &Arc<MessageBudget>) -> BudgetAccount {
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    BudgetAccount::new(budget.clone(), address, 0, Arc::new(Ignore))
}
