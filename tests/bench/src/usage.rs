//! What processes use, from proc(5): processor time in steps of 10 ms, and memory.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Pid;

/// In MiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// Of that, what is no page of a file.
    pub(crate) anonymous: f64,
    /// The most that was ever resident, or since [`reset_peak`].
    pub(crate) peak: f64,
}

/// User and system time of processes and their threads, ended threads too.
pub(crate) fn cpu_time(pids: &[Pid]) -> Result<Duration> {
    pids.iter().map(|it| cpu_time_of(*it)).sum()
}

/// Of this process.
pub(crate) fn own_cpu_time() -> Result<Duration> {
    cpu_time_of(rustix::process::getpid())
}

fn cpu_time_of(pid: Pid) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    // The program's name, in parentheses, may contain anything.
    let fields = stat.rsplit_once(')').context("no stat")?.1;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || anyhow::Ok(times.next().context("no time")??);
    // Linux shows it in hundredths of a second.
    Ok(Duration::from_millis(10 * (next()? + next()?)))
}

/// Of all the processes together.
pub(crate) fn memory(pids: &[Pid]) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in pids {
        let path = format!("/proc/{}/status", pid.as_raw_nonzero());
        let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        sum.resident += field(&status, "VmRSS:")?;
        sum.anonymous += field(&status, "RssAnon:")?;
        sum.peak += field(&status, "VmHWM:")?;
    }
    Ok(sum)
}

fn field(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|it| it.strip_prefix(name));
    let kibibytes: f64 = line
        .and_then(|it| it.split_whitespace().next())
        .with_context(|| format!("no {name}"))?
        .parse()?;
    Ok(kibibytes / 1024.0)
}

/// Forgets the peak of a process: it is what it has now.
pub(crate) fn reset_peak(pid: Pid) -> Result<()> {
    let path = format!("/proc/{}/clear_refs", pid.as_raw_nonzero());
    std::fs::write(&path, "5").with_context(|| format!("cannot write {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_this_process_uses() {
        let here = [rustix::process::getpid()];
        let memory = memory(&here).expect("Linux tells it");
        assert!(memory.resident > 0.0 && memory.peak >= memory.resident / 2.0);
        assert!(memory.anonymous <= memory.resident);
        assert!(cpu_time(&here).is_ok());
    }
}
