//! Compiles components in a child process: a component that makes the compiler run for ever, or eat all
//! memory, costs that process only (compilation is outside of wasmtime's security policy).
//!
//! The child is this program with the subcommand `compile`. It reads the component from its standard input,
//! has 2 GiB of data, 60 s of time, no environment, and the lowest priority; one runs at a time.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::LoadError;

/// The largest component.
pub const COMPONENT_MAX_BYTES: usize = 64 << 20;
/// Exit status of a child whose component cannot be compiled: its standard error says why.
pub const REFUSED: u8 = 65;
const TIME_MAX: Duration = Duration::from_secs(60);
const DATA_MAX_BYTES: u64 = 2 << 30;
/// Of all threads of the child together.
const CPU_MAX_SECONDS: u64 = 240;
const REASON_MAX_BYTES: usize = 1_000;

pub(crate) struct Compiler {
    /// The program that has the subcommand `compile`.
    program: PathBuf,
    turn: Semaphore,
}

impl Compiler {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self {
            program,
            turn: Semaphore::new(1),
        }
    }

    /// Compiles `component` into the file `output`. Cancel-safe: the child is killed.
    pub(crate) async fn compile(&self, component: &[u8], output: &Path) -> Result<(), LoadError> {
        let Ok(_turn) = self.turn.acquire().await else {
            return Err(LoadError::passing("the compiler is shut down".into()));
        };
        let compiled = tokio::time::timeout(TIME_MAX, self.run(component, output)).await;
        match compiled {
            Ok(result) => result,
            Err(_) => Err(LoadError::lasting(format!(
                "takes more than {} s to compile: make it smaller",
                TIME_MAX.as_secs()
            ))),
        }
    }

    async fn run(&self, component: &[u8], output: &Path) -> Result<(), LoadError> {
        let cannot_start = |error: std::io::Error| {
            LoadError::passing(format!(
                "cannot be compiled now: {} cannot be run: {error}",
                self.program.display()
            ))
        };
        let mut child = Command::new(&self.program)
            .arg("compile")
            .arg(output)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot_start)?;
        let mut stdin = child.stdin.take();
        let feed = async {
            if let Some(stdin) = &mut stdin {
                // A child that ends before it has read everything says why by its status.
                let _ = stdin.write_all(component).await;
            }
            drop(stdin.take());
        };
        let (result, ()) = tokio::join!(child.wait_with_output(), feed);
        let result = result.map_err(cannot_start)?;
        if result.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&result.stderr);
        let reason = one_line(&stderr);
        if result.status.code() == Some(i32::from(REFUSED)) {
            return Err(LoadError::lasting(format!("cannot be compiled: {reason}")));
        }
        Err(LoadError::lasting(format!(
            "makes the compiler fail ({}): {reason}",
            result.status
        )))
    }
}

/// What a person can read: one line, not too long.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut line = words.join(" ");
    if line.len() > REASON_MAX_BYTES {
        let mut end = REASON_MAX_BYTES;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

/// The child's side: limits itself, then compiles `component` into `output`.
///
/// # Errors
/// The component is not valid, or uses what this host does not run.
pub fn compile_here(component: &[u8], output: &Path) -> anyhow::Result<()> {
    let engine = super::engine::Engine::on_demand()?;
    let compiled = engine
        .wasmtime()
        .precompile_component(component)
        .map_err(|error| anyhow::anyhow!("{error:#}"))?;
    std::fs::write(output, compiled)
        .with_context(|| format!("{} cannot be written", output.display()))
}

/// Lowers what this process may use, for good.
///
/// # Errors
/// The operating system refuses.
pub fn limit_this_process() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let limits = [
        (Resource::Data, DATA_MAX_BYTES),
        (Resource::Cpu, CPU_MAX_SECONDS),
        (Resource::Core, 0),
    ];
    for (resource, limit) in limits {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        setrlimit(resource, limit).context("a limit cannot be set")?;
    }
    // Serving goes first.
    nice(19).context("the priority cannot be lowered")?;
    Ok(())
}
