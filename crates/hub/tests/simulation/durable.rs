//! The simulated hub's log on disk, across restarts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tickwire_hub::durable::{
    RecoverOptions, Recovered, RollPolicy, Turn, Writer, forget_epoch, recover,
};
use tickwire_hub::fanout::{Batch, LastTick, Numbering, PublisherChanges};
use tickwire_protocol::{Feed, UnixNanos};

use crate::disk::{Disk, DiskFault};
use crate::random::Random;
use crate::source::FEEDS;

/// The log on disk of one hub.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) disk: Disk,
    /// `None` after a failure, or after a kill during a write.
    writer: Option<Writer<Disk>>,
    /// Whether acks wait for a sync.
    pub(crate) waits: bool,
    /// Whether the log has failed, so that later turns do not survive the hub.
    pub(crate) has_failed: bool,
}

/// The state from which a hub starts.
pub(crate) struct StartState {
    pub(crate) durable: Durable,
    pub(crate) continues: bool,
    pub(crate) epoch: String,
    pub(crate) numbering: Numbering,
    pub(crate) batches: VecDeque<Arc<Batch>>,
    pub(crate) last_before: Vec<LastTick>,
}

/// Error: the hub was killed during a write, before any peer received a part of the turn.
pub(crate) struct Killed;

impl Durable {
    pub(crate) fn begin(
        disk: Disk,
        waits: bool,
        boot: u64,
        epoch: String,
        log_ticks: usize,
        random: &mut Random,
    ) -> StartState {
        let feeds: Vec<Feed> =
            (0..FEEDS).map(|feed| Feed::new(&format!("feed{feed}")).unwrap()).collect();
        let boot = format!("boot-{boot}");
        let options = RecoverOptions {
            feeds: &feeds,
            boot: &boot,
            epoch,
            checkpointed: &|| Box::new(()),
            bytes_max: usize::MAX,
            ticks_max: log_ticks,
            age_max: Duration::MAX,
            now: UnixNanos::MAX,
        };
        let mut recovered = recover(&disk, options, |_, _| {}).unwrap();
        let bytes = random.pick(&[2_000, 20_000, 1 << 20]);
        let policy = RollPolicy { bytes, time: Duration::from_secs(1 << 20) };
        let writer = Writer::begin(disk.clone(), &mut recovered, policy, &boot).unwrap();
        let Recovered { state, continues, batches, last_before, .. } = recovered;
        StartState {
            durable: Self { disk, writer: Some(writer), waits, has_failed: false },
            continues,
            epoch: state.epoch().to_owned(),
            numbering: state.numbering(),
            batches,
            last_before,
        }
    }

    /// Writes the record of a turn.
    pub(crate) fn turn(
        &mut self,
        batch: Option<&Batch>,
        changes: &PublisherChanges,
        received: UnixNanos,
        fault: Option<DiskFault>,
    ) -> Result<(), Killed> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        self.disk.set_fault(fault);
        let written = writer.append(&Turn { batch, made: 0, changes, without_bars: &[], received });
        let written = written.and_then(|()| writer.roll(received).map(drop));
        self.disk.set_fault(None);
        match (written, fault) {
            (Ok(()), _) => self.writer = Some(writer),
            (Err(_), Some(DiskFault::Killed { .. })) => return Err(Killed),
            (Err(_), _) => {
                forget_epoch(&self.disk).unwrap();
                self.has_failed = true;
            }
        }
        Ok(())
    }

    /// Closes the log cleanly.
    pub(crate) fn finish(self) -> Disk {
        self.disk.sync();
        if let Some(writer) = self.writer {
            writer.finish().unwrap();
        }
        self.disk
    }
}
