//! A program that runs beside a test and ends with it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// What programs said that have ended, for a runner that shows it only where a test failed. Without such a
/// runner it goes to standard error, which cargo's test harness keeps back in the same way.
static KEPT: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Keeps what ending programs said from now on, and returns what was kept until now.
pub fn keep_logs() -> Vec<String> {
    let kept = KEPT.lock().map(|mut it| it.replace(Vec::new()));
    kept.ok().flatten().unwrap_or_default()
}

/// How many of a program's last bytes a failed test shows.
const SHOWN_BYTES: usize = 8_000;

/// Killed by its id when dropped; what it said then goes to the test's output, which a failed test shows.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both its outputs appended to the file `log`.
    pub fn spawn(name: &str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Everything it has said until now.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map_or_else(
            |_| String::new(),
            |it| String::from_utf8_lossy(&it).into_owned(),
        )
    }

    /// Fails, with what it said, if it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log()),
            None => Ok(()),
        }
    }

    /// Waits for its end.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        let child = &mut self.child;
        wait::until(&what, deadline, || {
            let status = child.try_wait();
            async move { status?.context("it still runs") }
        })
        .await
    }

    /// Asks it to end, as Ctrl-C or a kubelet does, and waits for that.
    pub async fn stop(&mut self, deadline: Duration) -> Result<ExitStatus> {
        kill_process(self.pid(), Signal::TERM)
            .with_context(|| format!("cannot signal {}", self.name))?;
        self.wait(deadline).await
    }

    /// Ends it at once, as a crash does (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let log = self.log();
        let from = log.len().saturating_sub(SHOWN_BYTES);
        let from = (from..=log.len()).find(|&it| log.is_char_boundary(it));
        let shown = format!("--- {}:\n{}", self.name, &log[from.unwrap_or(0)..]);
        match KEPT.lock().as_deref_mut() {
            Ok(Some(kept)) => kept.push(shown),
            _ => eprintln!("{shown}"),
        }
    }
}
