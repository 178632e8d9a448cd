//! The async runtimes of the hub. Each has threads of its own, so that the load of one does not
//! delay the others.

use std::io;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};

/// How much the threads of the HTTP front give way to others (`nice`). On a busy machine, ticks
/// come before requests.
const HTTP_NICENESS: i32 = 5;
/// How much threads give way that do the expensive work of requests.
const BACKGROUND_NICENESS: i32 = 10;

/// The largest niceness, which gives way to everything else.
#[cfg(target_os = "linux")]
const NICENESS_MAX: i32 = 19;

/// The runtimes. Dropping them ends their threads as soon as what each runs lets go.
#[derive(Debug)]
pub(super) struct Runtimes {
    http: Owned,
    publishers: Owned,
    background: Owned,
}

impl Runtimes {
    /// Starts the threads.
    ///
    /// # Errors
    /// Fails if the system refuses to create threads or event queues.
    pub(super) fn new() -> io::Result<Self> {
        // Few, since shards are threads of their own, and two workers on two cores would wake each
        // other for every message.
        let few = available_parallelism().map_or(1, |cores| cores.get().div_ceil(4));
        Ok(Self {
            http: Owned::new("http", few, HTTP_NICENESS)?,
            publishers: Owned::new("publishers", few, 0)?,
            background: Owned::new("background", few, BACKGROUND_NICENESS)?,
        })
    }

    /// Returns the runtime of the HTTP front.
    pub(super) fn http(&self) -> &Handle {
        self.http.handle()
    }

    /// Returns the runtime of publisher sessions and of tasks that ticks depend on.
    pub(super) fn publishers(&self) -> &Handle {
        self.publishers.handle()
    }

    /// Returns the runtime of TLS handshakes and expensive answers.
    pub(super) fn background(&self) -> &Handle {
        self.background.handle()
    }
}

/// A runtime that can be dropped within another runtime.
#[derive(Debug)]
struct Owned {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Owned {
    /// Starts threads that give way by `added` more than the current one.
    fn new(name: &str, workers: usize, added: i32) -> io::Result<Self> {
        let before = niceness();
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name(name)
            .on_thread_start(move || {
                // Not relative to this thread: it has inherited that of the one that started it.
                if let Some(before) = before {
                    set_niceness(before + added);
                }
            })
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns the niceness of the current thread, on systems where threads have one of their own.
#[cfg(target_os = "linux")]
fn niceness() -> Option<i32> {
    rustix::process::getpriority_process(None).ok()
}

#[cfg(not(target_os = "linux"))]
fn niceness() -> Option<i32> {
    None
}

/// Sets the niceness of the current thread.
#[cfg(target_os = "linux")]
fn set_niceness(niceness: i32) {
    let _kept = rustix::process::setpriority_process(None, niceness.min(NICENESS_MAX));
}

#[cfg(not(target_os = "linux"))]
fn set_niceness(_niceness: i32) {}
