//! A program of another language, and what it and the harness say to each other: lines.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Clients;

/// Programs end by themselves before it.
const DEADLINE: Duration = Duration::from_secs(500);
/// How much of what a failed program said is shown.
const SHOWN_LINES: usize = 60;

/// Ends when dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Its standard error.
    log: PathBuf,
}

impl Program {
    /// A command of the program in `go/`.
    pub(crate) fn go(it: &Clients, args: &[&str]) -> Result<Self> {
        Self::go_with(it, args, &[])
    }

    pub(crate) fn go_with(
        it: &Clients,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = Command::new(&it.go);
        command
            .arg("--aggregated")
            .arg(&it.aggregated)
            .arg("--direct")
            .arg(&it.direct)
            .args(args)
            .envs(environment.iter().copied());
        let name = [args, &environment.iter().map(|it| it.1).collect::<Vec<_>>()].concat();
        let file = format!("{}.log", name.join("-").replace('/', "_"));
        Self::start(
            &name.join(" "),
            &mut command,
            &it.installed.cluster.path(&file),
        )
    }

    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let input = child.stdin.take().context("standard input is piped")?;
        let output = child.stdout.take().context("standard output is piped")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            input,
            output: BufReader::new(output).lines(),
            log: log.to_owned(),
        })
    }

    /// Waits until it says this.
    pub(crate) async fn says(&mut self, line: &str) -> Result<()> {
        match self.next_line().await? {
            Some(said) if said == line => Ok(()),
            Some(said) => bail!("{} says `{said}` and not `{line}`", self.name),
            None => bail!("{} has ended:\n{}", self.name, self.last_words()),
        }
    }

    async fn next_line(&mut self) -> Result<Option<String>> {
        let next = tokio::time::timeout(DEADLINE, self.output.next_line()).await;
        let next =
            next.with_context(|| format!("{} says nothing:\n{}", self.name, self.last_words()));
        Ok(next??)
    }

    pub(crate) async fn tell(&mut self, line: &str) -> Result<()> {
        let bytes = format!("{line}\n");
        let written = self.input.write_all(bytes.as_bytes()).await;
        written.with_context(|| format!("{} does not listen:\n{}", self.name, self.last_words()))
    }

    /// Waits for its end, which must be a good one, and returns what it said last.
    pub(crate) async fn finish(mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while let Some(line) = self.next_line().await? {
            lines.push(line);
        }
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await??;
        ensure!(
            status.success(),
            "{} ended with {status}:\n{}\n{}",
            self.name,
            lines.join("\n"),
            self.last_words()
        );
        Ok(lines)
    }

    fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}
