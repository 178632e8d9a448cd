//! Wall clocks that jump: a process is started with another idea of the time, where libfaketime is there
//! to give it one. Its monotonic clock stays as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::random::Random;

/// How far the clock of a hub may be off, in seconds; twice as often it is right.
const OFFSETS_S: [i64; 8] = [0, 0, 0, 0, 3_600, -3_600, 90, -20];

/// The clocks of one hub after the other.
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

    /// Whether they can jump at all.
    pub(crate) const fn can_jump(&self) -> bool {
        self.library.is_some()
    }

    /// Lets a process start with the next time; whether that is another than before.
    pub(crate) fn set(&mut self, command: &mut Command) -> bool {
        let next_s = OFFSETS_S[self.random.index(OFFSETS_S.len())];
        let Some(library) = &self.library else { return false };
        command.env("LD_PRELOAD", library).env("FAKETIME", format!("{next_s:+}s"));
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        std::mem::replace(&mut self.offset_s, next_s) != next_s
    }
}

/// Where distributions put it: `/usr/lib/ARCHITECTURE/faketime` and the like.
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
