//! A bar that knows how long each part takes, roughly.

use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) struct Progress {
    bar: ProgressBar,
    /// Where the part that runs ends, in seconds of the whole.
    end: u64,
}

impl Progress {
    /// For so many seconds in all.
    pub(crate) fn start(seconds: u64) -> Result<Self> {
        let bar = ProgressBar::new(seconds);
        let style = "{bar:30} {percent:>3} % [{elapsed}, {eta} left] {prefix}: {wide_msg}";
        bar.set_style(ProgressStyle::with_template(style)?);
        bar.enable_steady_tick(Duration::from_millis(250));
        Ok(Self { bar, end: 0 })
    }

    pub(crate) fn begin(&mut self, part: &str, seconds: u64) {
        self.bar.set_position(self.end);
        self.end += seconds;
        self.bar.set_prefix(part.to_owned());
        self.say("");
    }

    /// Moves on by what a step takes, but not past the part's end.
    pub(crate) fn step(&self, seconds: u64, message: &str) {
        self.say(message);
        let to = (self.bar.position() + seconds).min(self.end);
        self.bar.set_position(to);
    }

    pub(crate) fn say(&self, message: &str) {
        self.bar.set_message(message.to_owned());
        if self.bar.is_hidden() && !message.is_empty() {
            eprintln!("{}: {message}", self.bar.prefix());
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
