//! Expensive work of requests, done by threads that neither accept connections nor carry ticks.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::gate::Gate;
use crate::access::admission::ConnectionLimiter;
use crate::metrics::Refused;

/// Maximum number of requests whose expensive work waits or is done.
const JOBS_MAX: usize = 256;
/// Maximum number of such requests of one client.
const JOBS_PER_CLIENT_MAX: usize = JOBS_MAX / 4;

/// Does expensive work of requests, for a limited number of them.
#[derive(Debug)]
pub(crate) struct Background {
    runtime: Handle,
    jobs: Mutex<Jobs>,
}

#[derive(Debug)]
struct Jobs {
    total: usize,
    by_client: ConnectionLimiter,
}

/// The right to have expensive work done. Dropping it makes room for another request.
#[derive(Debug)]
pub(super) struct Job {
    background: Arc<Background>,
    address: IpAddr,
}

/// Why expensive work is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// Too many requests wait.
    Hub,
    /// Too many requests of the client wait.
    Client,
}

impl Background {
    /// Creates the access to a runtime with threads for this work.
    pub(crate) fn new(runtime: Handle) -> Arc<Self> {
        let jobs = Jobs { total: 0, by_client: ConnectionLimiter::new(JOBS_PER_CLIENT_MAX) };
        Arc::new(Self { runtime, jobs: Mutex::new(jobs) })
    }

    /// Admits a request from an address.
    ///
    /// # Errors
    /// Fails if the hub or the client has as many such requests as are allowed.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Job, Busy> {
        let mut jobs = self.lock();
        if jobs.total >= JOBS_MAX {
            return Err(Busy::Hub);
        }
        jobs.by_client.admit(address).map_err(|_| Busy::Client)?;
        jobs.total += 1;
        drop(jobs);
        Ok(Job { background: self.clone(), address })
    }

    /// Completes a future on the threads for expensive work. It is given up if the caller is.
    /// Returns `None` if the hub is stopping.
    pub(super) async fn complete<F>(&self, future: F) -> Option<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        AbortOnDropHandle::new(self.runtime.spawn(future)).await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// Does the work. Returns `None` if the hub is stopping.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let background = self.background.clone();
        let job = async move {
            let output = work();
            drop(self);
            output
        };
        background.complete(job).await
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut jobs = self.background.lock();
        jobs.total -= 1;
        jobs.by_client.release(self.address);
    }
}

impl Busy {
    /// Refuses the request. `Retry-After` says when to try again.
    pub(super) fn refuse(self, gate: &Gate) -> Response {
        let (status, text) = match self {
            Self::Hub => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "{JOBS_MAX} requests of this kind are waiting, the most allowed; try again"
                ),
            ),
            Self::Client => (
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "{JOBS_PER_CLIENT_MAX} requests of this kind are waiting from this address, \
                     the most allowed; wait for their answers"
                ),
            ),
        };
        let mut response = gate.refuse(status, Refused::SessionLimit, text);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_limited_in_total_and_by_client() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let background = Background::new(runtime.handle().clone());
        let admit = |address: &str| background.admit(address.parse().unwrap());
        let far: Vec<_> = (0..64).map(|_| admit("192.0.2.1").unwrap()).collect();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Busy::Client);
        let near: Vec<_> = (0..192).map(|_| admit("127.0.0.1").unwrap()).collect();
        assert_eq!(admit("192.0.2.2").unwrap_err(), Busy::Hub);
        drop(far);
        admit("192.0.2.1").unwrap();
        drop(near);
        assert_eq!(background.lock().total, 0);
    }

    #[test]
    fn work_that_no_client_waits_for_is_not_done() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let background = Background::new(runtime.handle().clone());
        let job = background.admit(IpAddr::from([127, 0, 0, 1])).unwrap();
        let abandoned = Box::pin(job.run(|| panic!("no client waits for this")));
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = abandoned => {}
                () = std::future::ready(()) => {}
            }
            tokio::task::yield_now().await;
        });
        assert_eq!(background.lock().total, 0);
    }
}
