//! `cargo xtask fuzz`: builds the targets of `tests/fuzz` with coverage, and runs them.
//!
//! Works with the pinned compiler: `tests/fuzz/instrument` says how.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::progress::{Step, build};
use crate::workspace;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fuzz                           every target, for a minute each
  cargo xtask fuzz schema --seconds 28800    one target, for a night
  cargo xtask fuzz schema --input FILE       one input again, e.g. of a crash
  cargo xtask test --only fuzz               every target for a moment, as the gate does

What a target has learned is kept below target/fuzz/corpus and used again. An input that breaks a target is
kept below target/fuzz/broken and named; when it is understood it goes into tests/fuzz/found/TARGET, where the
tests run it for ever.")]
pub(crate) struct Args {
    /// Run this target only: a file of tests/fuzz/fuzz_targets, without .rs.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Run the target with this input, once.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// For how long each target runs in the gate, and how often at most.
const GATE_SECONDS: u64 = 4;
const GATE_RUNS: u64 = 20_000;

/// One input may take so long: parsing is bounded work.
const INPUT_SECONDS: u64 = 5;
const MEMORY_MEBIBYTES: u64 = 1024;
const INPUT_MAX_BYTES: u64 = 8 * 1024;

/// `cargo xtask fuzz`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let targets = match &args.target {
        Some(target) => vec![target.clone()],
        None => targets()?,
    };
    for target in &targets {
        ensure!(
            source(target).is_file(),
            "there is no target {target}: {} are there",
            self::targets()?.join(", ")
        );
    }
    prepare()?;
    if let Some(input) = &args.input {
        let status = program(&targets[0]).arg(input).status()?;
        return Ok(exit(status.success()));
    }
    let mut is_good = true;
    for target in &targets {
        let corpus = folder("corpus", target)?;
        let mut command = fuzzer(target, Some(corpus))?;
        command.arg(format!("-max_total_time={}", args.seconds));
        is_good &= fuzz(target, &mut command)?;
    }
    Ok(exit(is_good))
}

/// Each target for a moment, beginning with the seeds only: the same inputs each time. How many held.
pub(crate) fn gate() -> Result<(usize, usize)> {
    prepare()?;
    let (mut held, mut broken) = (0, 0);
    for target in targets()? {
        let mut command = fuzzer(&target, None)?;
        command.arg("-seed=1");
        command.arg(format!("-runs={GATE_RUNS}"));
        command.arg(format!("-max_total_time={GATE_SECONDS}"));
        match fuzz(&target, &mut command)? {
            true => held += 1,
            false => broken += 1,
        }
    }
    Ok((held, broken))
}

/// Builds the targets and writes their seeds.
fn prepare() -> Result<()> {
    build(
        "building what has the seeds",
        &mut workspace::build_binaries(),
    )?;
    let seeds = workspace::target_dir().join("fuzz/seeds");
    let _ = std::fs::remove_dir_all(&seeds);
    let mut write = Command::new(workspace::target_dir().join("debug/fuzz-seeds"));
    let written = write.arg(&seeds).status()?;
    ensure!(written.success(), "the seeds could not be written");

    let mut command = workspace::cargo();
    // The whole workspace, as everywhere, or cargo would build the dependencies once more.
    command.args([
        "build",
        "--workspace",
        "--features",
        "outrigger-fuzz/libfuzzer",
    ]);
    for target in targets()? {
        command.args(["--bin", &format!("fuzz-{target}")]);
    }
    let wrapper = workspace::root().join("tests/fuzz/instrument");
    command.env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    build("building the fuzz targets", &mut command)
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(workspace::root().join("tests/fuzz/fuzz_targets"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|it| it.to_str());
        targets.extend(name.map(str::to_owned));
    }
    targets.sort();
    Ok(targets)
}

fn source(target: &str) -> PathBuf {
    let folder = workspace::root().join("tests/fuzz/fuzz_targets");
    folder.join(format!("{target}.rs"))
}

fn program(target: &str) -> Command {
    Command::new(workspace::target_dir().join(format!("debug/fuzz-{target}")))
}

/// A folder of build outputs, made where it is not there.
fn folder(kind: &str, target: &str) -> Result<PathBuf> {
    let folder = workspace::target_dir().join("fuzz").join(kind).join(target);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// libFuzzer, which begins with the seeds and with what is in `corpus`, and adds to that.
fn fuzzer(target: &str, corpus: Option<PathBuf>) -> Result<Command> {
    let broken = folder("broken", target)?;
    let mut command = program(target);
    // New inputs go into the first folder; the seeds are written anew each time.
    command.args(corpus).arg(folder("seeds", target)?);
    command.arg(format!("-artifact_prefix={}/", broken.display()));
    command.arg(format!("-timeout={INPUT_SECONDS}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MEBIBYTES}"));
    command.arg(format!("-max_len={INPUT_MAX_BYTES}"));
    command.arg("-print_final_stats=1");
    Ok(command)
}

/// Runs libFuzzer to its end; says what it found and where that is.
fn fuzz(target: &str, command: &mut Command) -> Result<bool> {
    let mut step = Step::start(&format!("fuzz {target}"));
    let finished = step.run(command)?;
    let number = |name: &str| {
        let line = finished
            .lines
            .iter()
            .rev()
            .find_map(|it| it.strip_prefix(name));
        line.map_or("?", str::trim).to_owned()
    };
    if finished.status.success() {
        let runs = number("stat::number_of_executed_units:");
        let speed = number("stat::average_exec_per_sec:");
        step.finish(&format!("ok, {runs} inputs, {speed} a second"));
        return Ok(true);
    }
    step.finish("FAILED");
    println!("{command:?}\n{}", finished.lines.join("\n"));
    let written = "Test unit written to ";
    let input = finished.lines.iter().find_map(|it| it.split_once(written));
    match input {
        Some((_, file)) => {
            println!("The input is in {file}. Again: cargo xtask fuzz {target} --input {file}")
        }
        None => println!("It left no input."),
    }
    Ok(false)
}

fn exit(is_good: bool) -> ExitCode {
    match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
