//! kubectl, with a home folder of its own: nothing of this machine's user is read or written.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const DEADLINE: Duration = Duration::from_secs(60);

/// kubectl of one user of one server.
#[derive(Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    flags: Vec<String>,
}

/// What kubectl said.
#[derive(Debug)]
pub struct Said {
    pub is_success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A `kubectl … --watch` that runs; it ends when dropped.
pub struct KubectlWatch {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Kubectl {
    /// `home` must be an empty folder of the test's: kubectl keeps its discovery cache there.
    #[must_use]
    pub fn new(program: &Path, kubeconfig: &Path, home: &Path) -> Self {
        Self {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
            flags: Vec::new(),
        }
    }

    /// The same with a flag in front, e.g. `--as=jane`.
    #[must_use]
    pub fn with(&self, flag: &str) -> Self {
        let mut other = self.clone();
        other.flags.push(flag.to_owned());
        other
    }

    /// The same with discovery read anew: kubectl believes its cache for ten minutes.
    #[must_use]
    pub fn with_cache(&self, name: &str) -> Self {
        let cache = self.home.join(name);
        self.with(&format!("--cache-dir={}", cache.display()))
    }

    pub async fn run(&self, args: &[&str], stdin: &str) -> Result<Said> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut input = child.stdin.take().context("standard input is piped")?;
        let write = async move {
            // kubectl may refuse without reading.
            let _ = input.write_all(stdin.as_bytes()).await;
            drop(input);
        };
        let both = async { tokio::join!(write, child.wait_with_output()).1 };
        let output = tokio::time::timeout(DEADLINE, both)
            .await
            .with_context(|| format!("kubectl {} did not end", args.join(" ")))??;
        Ok(Said {
            is_success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.flags)
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .env_remove("KUBECACHEDIR")
            .kill_on_drop(true);
        command
    }

    /// Standard output of a command that must succeed.
    pub async fn ok(&self, args: &[&str]) -> Result<String> {
        self.ok_with(args, "").await
    }

    /// The same, with text on standard input.
    pub async fn ok_with(&self, args: &[&str], stdin: &str) -> Result<String> {
        let said = self.run(args, stdin).await?;
        if !said.is_success {
            bail!("kubectl {}: {}{}", args.join(" "), said.stdout, said.stderr);
        }
        Ok(said.stdout)
    }

    /// Standard error of a command that must fail.
    pub async fn refused(&self, args: &[&str], stdin: &str) -> Result<String> {
        let said = self.run(args, stdin).await?;
        if said.is_success {
            bail!("kubectl {} succeeded: {}", args.join(" "), said.stdout);
        }
        Ok(said.stderr)
    }

    /// An object by `kubectl get -o json`.
    pub async fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let mut args = args.to_vec();
        args.extend(["-o", "json"]);
        Ok(serde_json::from_str(&self.ok(&args).await?)?)
    }

    pub fn watch(&self, args: &[&str]) -> Result<KubectlWatch> {
        let mut child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        Ok(KubectlWatch {
            _child: child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// The line that a person would type.
    #[must_use]
    pub fn line(args: &[&str]) -> String {
        format!("kubectl {}", args.join(" "))
    }
}

impl KubectlWatch {
    /// The next line that contains `part`.
    pub async fn line_with(&mut self, part: &str) -> Result<String> {
        let read = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains(part) {
                    return Ok(line);
                }
            }
            bail!("kubectl ended its watch")
        };
        tokio::time::timeout(DEADLINE, read)
            .await
            .with_context(|| format!("the watch showed no {part}"))?
    }
}
