//! The history reader: a thread that reads old ticks from disk for all shards, so that no shard
//! waits for a disk.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, mem, thread};

use crate::clock;
use crate::durable::{Archive, Storage};
use crate::fanout::{DISK_READS_MAX, DiskIndex, DiskReadRequest};
use crate::serving::shard_handle::{DiskReadReply, ShardHandle};

/// Bytes of ticks read for one request, as charged in memory.
const REPLY_BYTES: usize = 1 << 20;
/// Time between two updates of the disk index.
const INTERVAL: Duration = Duration::from_secs(1);

/// How shards reach the history reader.
#[derive(Debug)]
pub(crate) struct HistoryReaderHandle {
    requests: SyncSender<Request>,
    /// Which ticks are on disk.
    disk_index: Mutex<DiskIndex>,
    /// Version of `disk_index`; grows with every update.
    version: AtomicU64,
}

/// A message to the history reader.
#[derive(Debug)]
pub(crate) enum Request {
    /// A shard asks for old ticks.
    Read { shard: Arc<ShardHandle>, request: DiskReadRequest },
    /// The thread has to end.
    End,
}

impl HistoryReaderHandle {
    /// Creates the handle for a number of shards, and the queue that the thread reads.
    pub(crate) fn new(shards: usize, disk_index: DiskIndex) -> (Self, Receiver<Request>) {
        let (requests, queue) = sync_channel(shards * DISK_READS_MAX + 1);
        (Self { requests, disk_index: Mutex::new(disk_index), version: AtomicU64::new(1) }, queue)
    }

    /// Asks for ticks on behalf of a shard. Returns whether there will be a reply: the queue has
    /// room for as many requests as all shards may have open, so this fails only if the thread has
    /// ended.
    pub(crate) fn ask(&self, shard: Arc<ShardHandle>, request: DiskReadRequest) -> bool {
        self.requests.try_send(Request::Read { shard, request }).is_ok()
    }

    /// Returns which ticks are on disk, if that has changed since the version `known`, and updates
    /// `known`.
    pub(crate) fn disk_index_since(&self, known: &mut u64) -> Option<DiskIndex> {
        let version = self.version.load(Ordering::Acquire);
        (mem::replace(known, version) != version)
            .then(|| self.disk_index.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn set_disk_index(&self, disk_index: DiskIndex) {
        *self.disk_index.lock().unwrap_or_else(PoisonError::into_inner) = disk_index;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Ends the thread once it has answered the open requests.
    pub(crate) fn end(&self) {
        let _ended = self.requests.send(Request::End); // fails if the thread has ended
    }
}

/// Starts the thread. It ends after [`HistoryReaderHandle::end`].
///
/// # Errors
/// Fails if the thread cannot be started.
pub(crate) fn spawn<S>(
    archive: Archive<S>,
    queue: Receiver<Request>,
    handle: Arc<HistoryReaderHandle>,
) -> io::Result<thread::JoinHandle<()>>
where
    S: Storage + Clone + Send + 'static,
{
    thread::Builder::new()
        .name("log-reader".to_owned())
        .spawn(move || serve(archive, &queue, &handle))
}

fn serve<S: Storage + Clone>(
    archive: Archive<S>,
    queue: &Receiver<Request>,
    handle: &HistoryReaderHandle,
) {
    let mut updated = clock::monotonic();
    let mut reads = Reads::new(archive);
    let mut ends = false;
    loop {
        let first = if reads.is_empty() {
            match queue.recv_timeout(INTERVAL) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => {
                    reads.close();
                    None
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        } else {
            None
        };
        for request in first.into_iter().chain(queue.try_iter()) {
            match request {
                Request::Read { shard, request } => reads.add(shard, request),
                Request::End => ends = true,
            }
        }
        reads.answer_some();
        if ends && reads.is_empty() {
            return;
        }
        if updated.elapsed() >= INTERVAL {
            updated = clock::monotonic();
            handle.set_disk_index(reads.prompt.archive.disk_index(clock::wall()));
        }
    }
}

/// The requests that wait for an answer. Paced replays have a reader of their own, so that the two
/// kinds of reads do not make each other load segments again.
struct Reads<S: Storage> {
    prompt: ReadQueue<S>,
    paced: ReadQueue<S>,
}

/// Requests of one kind, and the reader that serves them.
struct ReadQueue<S: Storage> {
    archive: Archive<S>,
    /// Requests that have arrived since the round began.
    arrived: Vec<Asked>,
    /// Requests of the round, the last position in the log first.
    round: Vec<Asked>,
}

type Asked = (Arc<ShardHandle>, DiskReadRequest);

impl<S: Storage + Clone> Reads<S> {
    fn new(archive: Archive<S>) -> Self {
        let paced = ReadQueue::new(archive.reader());
        Self { prompt: ReadQueue::new(archive), paced }
    }

    fn add(&mut self, shard: Arc<ShardHandle>, request: DiskReadRequest) {
        let queue = if request.is_paced() { &mut self.paced } else { &mut self.prompt };
        queue.arrived.push((shard, request));
    }

    fn is_empty(&self) -> bool {
        self.prompt.is_empty() && self.paced.is_empty()
    }

    /// Does one round of prompt reads and one paced read.
    fn answer_some(&mut self) {
        self.prompt.begin_round();
        while self.prompt.answer_next() {}
        self.paced.begin_round();
        self.paced.answer_next();
    }

    /// Releases the loaded segments.
    fn close(&mut self) {
        self.prompt.archive.close();
        self.paced.archive.close();
    }
}

impl<S: Storage> ReadQueue<S> {
    const fn new(archive: Archive<S>) -> Self {
        Self { archive, arrived: Vec::new(), round: Vec::new() }
    }

    const fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.round.is_empty()
    }

    /// Begins a round if there is none. A round follows the order of the log, so that each file is
    /// read once.
    fn begin_round(&mut self) {
        if self.round.is_empty() {
            self.round = mem::take(&mut self.arrived);
            self.round.sort_by_key(|(_, request)| Reverse(request.from));
        }
    }

    /// Answers the next request of the round and all others for the same position, which share one
    /// read. Returns whether there was one.
    fn answer_next(&mut self) -> bool {
        let Some(from) = self.round.last().map(|(_, request)| request.from) else { return false };
        let found = self.archive.read(from, REPLY_BYTES).ok();
        while let Some((shard, request)) = self.round.pop_if(|(_, next)| next.from == from) {
            let reply = DiskReadReply { request, found: found.clone() };
            // The queue has room for all requests that the shard may have open. The shard may have
            // ended.
            let _ended = shard.disk_reads.try_send(reply);
            shard.waker.wake();
        }
        true
    }
}
