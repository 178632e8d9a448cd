//! What the session of an honest client is guaranteed, counted in turns of its shard.

/// The turns and writes of the session of an honest client.
#[derive(Debug, Default)]
pub(crate) struct Fairness {
    /// What the session is due in this turn: it was live when writing began, and its socket
    /// accepts data.
    due: Option<Due>,
    /// What the client must have received once it has read a part of the connection.
    promise: Option<Promise>,
    /// Whether the hub knows of a command that it has not read.
    pub(crate) is_announced: bool,
    /// Number of turns in which the hub knew of a command and could read it, but did not.
    unread_turns: usize,
    /// Number of turns since a command over many topics arrived; 0 in the turn itself.
    long_turns: usize,
    /// Whether a command over many topics has arrived in this turn.
    begins_long: bool,
}

#[derive(Debug)]
struct Due {
    /// Position of the shard when it began to write.
    head: u64,
    writes: usize,
    is_drained: bool,
}

/// A part of a connection, and the position that the client has reached after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    /// Number of bytes from the start of the connection.
    pub(crate) bytes: u64,
    /// Position of the first tick that the client may lack.
    pub(crate) head: u64,
}

impl Fairness {
    /// Begins the writing of a turn. `head` is the position of the shard if the session is due.
    pub(crate) fn begin_writing(&mut self, head: Option<u64>) {
        self.due = head.map(|head| Due { head, writes: 0, is_drained: false });
    }

    pub(crate) fn note_write(&mut self) {
        if let Some(due) = &mut self.due {
            due.writes += 1;
        }
    }

    /// Notes that nothing is pending after a number of bytes of the connection.
    pub(crate) fn note_drained(&mut self, bytes: u64) {
        if let Some(due) = &mut self.due {
            due.is_drained = true;
            // One promise at a time: a check of each would make the simulation slow.
            self.promise.get_or_insert(Promise { bytes, head: due.head });
        }
    }

    /// Notes that the session is no longer due in this turn: its socket is full, or it has sent
    /// another command.
    pub(crate) fn waive(&mut self) {
        self.due = None;
    }

    /// Asserts that the session was written until nothing was pending, or as often as is allowed
    /// in one turn.
    pub(crate) fn end_writing(&mut self, writes_max: usize) {
        if let Some(Due { head, writes, is_drained }) = self.due.take() {
            assert!(
                is_drained || writes >= writes_max,
                "a live session got {writes} writes, and has pending ticks before {head}"
            );
        }
    }

    /// Takes the promise if a client that has read `bytes` would reach it.
    pub(crate) fn take_promise(&mut self, bytes: u64) -> Option<Promise> {
        self.promise.take_if(|promise| promise.bytes <= bytes)
    }

    pub(crate) fn note_received(&mut self) {
        self.unread_turns = 0;
        self.is_announced = false;
    }

    /// Ends a turn in which the hub could have read a command, unless `waits` is false.
    pub(crate) fn end_reading(&mut self, waits: bool, turns_max: usize) {
        self.unread_turns = if waits && self.is_announced { self.unread_turns + 1 } else { 0 };
        let turns = self.unread_turns;
        assert!(turns <= turns_max, "a command was not read in {turns} turns");
    }

    /// Notes that a command over many topics has arrived.
    pub(crate) fn note_long(&mut self) {
        self.begins_long = true;
    }

    /// Ends a turn in which a command over many topics was in progress, or not. `is_short` tells
    /// that there was time for one piece only: a command takes more.
    pub(crate) fn end_pieces(&mut self, is_in_progress: bool, is_short: bool, turns_max: usize) {
        let begins = std::mem::take(&mut self.begins_long);
        assert!(is_in_progress || !begins || !is_short, "a command was carried out in one piece");
        self.long_turns = if is_in_progress { self.long_turns + 1 } else { 0 };
        let turns = self.long_turns;
        assert!(turns <= turns_max, "a command over many topics has taken {turns} turns");
    }
}
