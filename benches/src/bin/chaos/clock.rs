//! Wall clocks that jump: starts processes with a shifted wall clock, if libfaketime is installed.
//! Their monotonic clock is not changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::random::Random;

/// Offsets of a hub's wall clock, in seconds. Half of them are 0.
const OFFSETS_S: [i64; 8] = [0, 0, 0, 0, 3_600, -3_600, 90, -20];

/// Chooses the wall clock of each hub that is started.
#[derive(Debug)]
pub(crate) struct Clocks {
    library: Option<PathBuf>,
    random: Random,
    offset_s: i64,
}

impl Clocks {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random::new(seed, u64::from_le_bytes(*b"clocks!!"));
        Self { library: library(), random, offset_s: 0 }
    }

    /// Returns whether libfaketime is installed.
    pub(crate) const fn can_jump(&self) -> bool {
        self.library.is_some()
    }

    /// Gives a command the next clock offset. Returns whether it differs from the previous one.
    pub(crate) fn set(&mut self, command: &mut Command) -> bool {
        let next_s = OFFSETS_S[self.random.index(OFFSETS_S.len())];
        let Some(library) = &self.library else { return false };
        command.env("LD_PRELOAD", library).env("FAKETIME", format!("{next_s:+}s"));
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        std::mem::replace(&mut self.offset_s, next_s) != next_s
    }
}

/// Finds libfaketime where distributions install it, such as `/usr/lib/ARCHITECTURE/faketime`.
fn library() -> Option<PathBuf> {
    let within = |folder: &str| {
        let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
        folders.map(|folder| folder.path()).collect::<Vec<_>>()
    };
    let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
    let candidates = folders.iter().flat_map(|folder| {
        let mut below = within(folder);
        below.push(Path::new(folder).to_owned());
        below
    });
    let mut libraries = candidates.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.is_file())
}
