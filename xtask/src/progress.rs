//! Shows long steps: a spinner on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a step without a terminal says that it still runs.
const REMINDER: Duration = Duration::from_secs(30);
/// How many lines of a failed command are kept to be shown.
const KEPT_LINES: usize = 20_000;

/// One step that takes a while.
pub(crate) struct Step {
    title: String,
    started: Instant,
    bar: Option<ProgressBar>,
    reminded: Instant,
}

/// What a command said and how it ended.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// Standard output and standard error, in the order of arrival.
    pub(crate) lines: Vec<String>,
}

impl Step {
    pub(crate) fn start(title: &str) -> Self {
        let bar = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}")
                .expect("the template is a constant");
            bar.set_style(style);
            bar.set_prefix(title.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            println!("{title} ...");
        }
        Self {
            title: title.to_owned(),
            started: Instant::now(),
            bar,
            reminded: Instant::now(),
        }
    }

    /// Ends the step with a line of its own.
    pub(crate) fn finish(self, outcome: &str) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        println!("{} ... {outcome} ({seconds:.1} s)", self.title);
    }

    /// Runs a command to its end; its last line is what the step shows.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<Finished> {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {shown}"))?;
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        let readers = [forward(stdout, sender.clone()), forward(stderr, sender)];
        let mut kept = VecDeque::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => {
                    self.show(&line);
                    if kept.len() == KEPT_LINES {
                        kept.pop_front();
                    }
                    kept.push_back(line);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.remind(kept.back().map_or("", |it: &String| it.as_str()));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        for reader in readers {
            let _ = reader.join();
        }
        Ok(Finished {
            status: child.wait()?,
            lines: kept.into(),
        })
    }

    fn show(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(line.trim().to_owned()),
            None => self.remind(line),
        }
    }

    fn remind(&mut self, line: &str) {
        if self.bar.is_none() && self.reminded.elapsed() > REMINDER {
            self.reminded = Instant::now();
            let seconds = self.started.elapsed().as_secs();
            println!("{} ... {seconds} s: {}", self.title, line.trim());
        }
    }
}

/// A build that must succeed; what it said is shown only if it does not.
pub(crate) fn build(title: &str, command: &mut Command) -> Result<()> {
    let mut step = Step::start(title);
    let finished = step.run(command)?;
    if finished.status.success() {
        step.finish("done");
        return Ok(());
    }
    step.finish("failed");
    bail!("{command:?} failed:\n{}", finished.lines.join("\n"));
}

fn forward(
    stream: impl Read + Send + 'static,
    lines: mpsc::Sender<String>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if lines.send(text).is_err() {
                break;
            }
        }
    })
}
