//! Forces written records to the disk, on a separate thread.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::disk::Disk;
use super::status::LogStatus;
use crate::config::Fsync;

const INTERVAL: Duration = Duration::from_secs(1);

/// An action to run once everything written before it is on the disk.
pub(crate) type AfterSync = Box<dyn FnOnce() + Send>;

/// The router's handle of the syncing thread.
#[derive(Debug)]
pub(super) struct Syncer {
    inbox: Arc<Inbox>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Inbox {
    work: Mutex<Work>,
    arrived: Condvar,
}

/// The files to sync, and the actions to run once they are synced. The size is bounded: each
/// waiting action holds a permit of the queue between publishers and router.
#[derive(Default)]
struct Work {
    files: Vec<Arc<File>>,
    waiting: Vec<AfterSync>,
    ends: bool,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, waiting, ends } = self;
        let waiting = waiting.len();
        f.debug_struct("Work")
            .field("files", files)
            .field("waiting", &waiting)
            .field("ends", ends)
            .finish()
    }
}

impl Syncer {
    pub(super) fn start(fsync: Fsync, folder: Disk, status: Arc<LogStatus>) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let thread = match fsync {
            Fsync::Never => None,
            Fsync::EverySecond | Fsync::Ack => {
                let pause = (fsync == Fsync::EverySecond).then_some(INTERVAL);
                let task = Task { inbox: inbox.clone(), folder, status, pause };
                let name = "log-sync".to_owned();
                Some(thread::Builder::new().name(name).spawn(move || task.run())?)
            }
        };
        Ok(Self { inbox, thread })
    }

    /// Marks a file as written, to be synced next time.
    pub(super) fn mark_written(&self, file: &Arc<File>) {
        if self.thread.is_some() {
            self.inbox.lock().note(file);
        }
    }

    /// Runs `action` once everything written so far is on the disk.
    pub(super) fn after_sync(&self, action: AfterSync) {
        self.inbox.lock().waiting.push(action);
        self.inbox.arrived.notify_one();
    }

    /// Ends the thread after a last sync and all waiting actions.
    pub(super) fn end(self) {
        self.inbox.lock().ends = true;
        self.inbox.arrived.notify_one();
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the log on disk panicked");
        }
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    fn note(&mut self, file: &Arc<File>) {
        if !self.files.last().is_some_and(|last| Arc::ptr_eq(last, file)) {
            self.files.push(file.clone());
        }
    }
}

struct Task {
    inbox: Arc<Inbox>,
    folder: Disk,
    status: Arc<LogStatus>,
    /// Time between two syncs; `None` to sync as soon as an action waits.
    pause: Option<Duration>,
}

impl Task {
    fn run(self) {
        let mut last_file: Option<Arc<File>> = None;
        loop {
            let Work { files, waiting, ends } = self.wait();
            let is_new = files
                .iter()
                .any(|file| !last_file.as_ref().is_some_and(|last| Arc::ptr_eq(last, file)));
            let synced = files.iter().try_for_each(|file| file.sync_data());
            let synced =
                synced.and_then(|()| if is_new { self.folder.sync_names() } else { Ok(()) });
            if let Err(error) = synced {
                self.status.fail("forced to the disk", &error);
            }
            last_file = files.last().cloned().or(last_file);
            waiting.into_iter().for_each(|action| action());
            if ends {
                return;
            }
        }
    }

    /// Waits until the next sync is due, and takes the work.
    fn wait(&self) -> Work {
        let work = self.inbox.lock();
        let mut work = match self.pause {
            Some(pause) => {
                let waited = self.inbox.arrived.wait_timeout_while(work, pause, |work| !work.ends);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let is_idle = |work: &mut Work| work.waiting.is_empty() && !work.ends;
                self.inbox.arrived.wait_while(work, is_idle).unwrap_or_else(PoisonError::into_inner)
            }
        };
        let ends = work.ends;
        Work { ends, ..std::mem::take(&mut *work) }
    }
}
