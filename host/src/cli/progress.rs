//! Says on standard error how far a long command is: in place on a terminal, else a line now and then.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::storage::sqlite::Progress;

const ON_TERMINAL: Duration = Duration::from_millis(100);
const ELSEWHERE: Duration = Duration::from_secs(5);

pub(super) struct Shown {
    last: Instant,
    is_terminal: bool,
    /// Whether the terminal's line must be cleared.
    is_dirty: bool,
}

impl Shown {
    pub(super) fn new() -> Self {
        Self {
            last: Instant::now(),
            is_terminal: std::io::stderr().is_terminal(),
            is_dirty: false,
        }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        let every = if self.is_terminal {
            ON_TERMINAL
        } else {
            ELSEWHERE
        };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        let Progress { step, done, of } = progress;
        let percent = (done * 100).checked_div(of).unwrap_or(0);
        let line = format!("{step}: {done} of {of} ({percent} %)");
        // Where standard error has gone, there is nobody to tell.
        let _ = match self.is_terminal {
            true => write!(std::io::stderr(), "\r\x1b[K{line}"),
            false => writeln!(std::io::stderr(), "{line}"),
        };
        self.is_dirty = self.is_terminal;
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if self.is_dirty {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
