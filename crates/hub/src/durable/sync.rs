//! Forces what was written to the disk, on a thread of its own.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::disk::Disk;
use super::status::Status;
use crate::config::Fsync;

const INTERVAL: Duration = Duration::from_secs(1);

/// What is to be done once a turn's record is on the disk.
pub(crate) type Then = Box<dyn FnOnce() + Send>;

/// The thread, as the router sees it.
#[derive(Debug)]
pub(super) struct Syncer {
    inbox: Arc<Inbox>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Inbox {
    work: Mutex<Work>,
    came: Condvar,
}

/// What was written since the last time. It is bounded: what waits holds the publishers' permits.
#[derive(Default)]
struct Work {
    files: Vec<Arc<File>>,
    waiting: Vec<Then>,
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
    pub(super) fn start(fsync: Fsync, folder: Disk, status: Arc<Status>) -> io::Result<Self> {
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

    /// Something was written to a file.
    pub(super) fn written(&self, file: &Arc<File>) {
        if self.thread.is_some() {
            self.inbox.lock().note(file);
        }
    }

    /// Does something once all that was written so far is on the disk.
    pub(super) fn then(&self, then: Then) {
        self.inbox.lock().waiting.push(then);
        self.inbox.came.notify_one();
    }

    /// Ends it; what was to be done has been done.
    pub(super) fn end(self) {
        self.inbox.lock().ends = true;
        self.inbox.came.notify_one();
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that forces the log to the disk had panicked");
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
    status: Arc<Status>,
    /// Time between two times; none if somebody always waits.
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
            waiting.into_iter().for_each(|then| then());
            if ends {
                return;
            }
        }
    }

    /// Waits until it is time, and takes what there is.
    fn wait(&self) -> Work {
        let work = self.inbox.lock();
        let mut work = match self.pause {
            Some(pause) => {
                let waited = self.inbox.came.wait_timeout_while(work, pause, |work| !work.ends);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let nothing = |work: &mut Work| work.waiting.is_empty() && !work.ends;
                self.inbox.came.wait_while(work, nothing).unwrap_or_else(PoisonError::into_inner)
            }
        };
        let ends = work.ends;
        Work { ends, ..std::mem::take(&mut *work) }
    }
}
