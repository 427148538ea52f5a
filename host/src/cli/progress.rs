//! Says on standard error how far a long command is: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::storage::sqlite::Progress;

/// Between two lines where there is no terminal.
const REMINDER: Duration = Duration::from_secs(5);

/// Does `work`, and shows what it tells of its progress.
pub(super) fn shown<T>(work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
    if !std::io::stderr().is_terminal() {
        let mut last = Instant::now();
        return work(&mut |progress| {
            if last.elapsed() < REMINDER {
                return;
            }
            last = Instant::now();
            let Progress { step, done, of } = progress;
            let percent = (done * 100).checked_div(of).unwrap_or(0);
            // Where standard error has gone, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{step}: {done} of {of} ({percent} %)");
        });
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} [{elapsed}, {eta} left]");
    let bar = ProgressBar::new(0).with_style(style.expect("the template is a constant"));
    let done = work(&mut |progress| {
        bar.set_message(progress.step);
        bar.set_length(progress.of);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    done
}
