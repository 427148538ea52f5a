//! Random cases, answered by this crate and by Go's library: the answers must be the same.
//!
//! `OUTRIGGER_SMD_DIFF` names the program in Go; `cargo xtask test --only differential` builds it from `tests/smd-diff`
//! and sets it. Without it nothing runs, and that is said; with `CI=true` it is a failure. `SMD_DIFF_SEED` repeats a
//! run, `SMD_DIFF_CASES` asks for another number of cases than ten thousand.

#![expect(
    clippy::print_stdout,
    reason = "a test runner answers on standard output"
)]

mod cases;
mod compare;
mod random;
mod rust_side;
mod types;
mod values;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::cases::Content;
use crate::random::Random;

const CASES: usize = 10_000;
/// Of each kind of thing, at least so many.
const OF_EACH: usize = 1_000;
/// A run ends, even if something is too rare.
const CASES_MAX: usize = 100_000;
/// Each with a program in Go of its own.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    if std::env::args().any(|it| it == "--list") {
        return ExitCode::SUCCESS;
    }
    let Some(program) = std::env::var_os("OUTRIGGER_SMD_DIFF") else {
        let is_required = std::env::var("CI").is_ok_and(|it| it == "true");
        println!(
            "differential needs a program in Go: `cargo xtask test --only differential` builds it"
        );
        return finish(0, usize::from(is_required), usize::from(!is_required));
    };
    let seed = number("SMD_DIFF_SEED").unwrap_or_else(seed_of_now);
    println!("seed {seed}: repeat with SMD_DIFF_SEED={seed}");
    match run_all(seed, &program) {
        Ok(total) => {
            println!("{total:?}");
            finish(1, 0, 0)
        }
        Err(difference) => {
            println!("{difference}");
            finish(0, 1, 0)
        }
    }
}

fn finish(passed: usize, failed: usize, ignored: usize) -> ExitCode {
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out"
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |it| it.as_nanos() as u64)
}

/// In workers, whose number is always the same: the seed alone decides what is run.
fn run_all(seed: u64, program: &OsStr) -> Result<Content, String> {
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|it| {
                scope.spawn(move || run(seed.wrapping_add(it as u64), &mut Go::start(program)))
            })
            .collect();
        workers.into_iter().map(|it| it.join()).collect()
    });
    let mut total = Content::default();
    for result in results {
        let content = result.map_err(|_| "a worker panicked".to_owned())??;
        total.add_all(&content);
    }
    Ok(total)
}

fn run(seed: u64, go: &mut Go) -> Result<Content, String> {
    let wanted = number("SMD_DIFF_CASES").map_or(CASES, |it| it as usize) / WORKERS;
    let of_each = OF_EACH * wanted / CASES;
    let mut random = Random::new(seed);
    let mut total = Content::default();
    while total.cases < wanted || !total.has_each(of_each) {
        if total.cases >= CASES_MAX.max(wanted) {
            return Err(format!("too few of something: {total:?}"));
        }
        let (case, content) = cases::case(&mut random);
        check(&case, go).map_err(|err| format!("seed {seed}, case {}: {err}", total.cases))?;
        total.add_all(&content);
        total.cases += 1;
    }
    Ok(total)
}

impl Content {
    fn has_each(&self, count: usize) -> bool {
        let all = [
            self.conflicts,
            self.forces,
            self.losses,
            self.keyed,
            self.refused,
            self.removals,
        ];
        all.iter().all(|it| *it >= count)
    }

    fn add_all(&mut self, other: &Self) {
        self.cases += other.cases;
        self.conflicts += other.conflicts;
        self.forces += other.forces;
        self.losses += other.losses;
        self.keyed += other.keyed;
        self.refused += other.refused;
        self.removals += other.removals;
        self.operations += other.operations;
    }
}

fn check(case: &Value, go: &mut Go) -> Result<(), String> {
    if difference(case, go).is_none() {
        return Ok(());
    }
    let case = smallest(case, go);
    let (at, here, there) = difference(&case, go).ok_or("the difference went away")?;
    Err(format!(
        "operation {at} is answered differently\nhere:  {here}\nin Go: {there}\ncase: {case}"
    ))
}

/// The first operation that is answered differently, and both answers.
fn difference(case: &Value, go: &mut Go) -> Option<(usize, Value, Value)> {
    let here = rust_side::run(case);
    let there = go.ask(case);
    let (here, there) = (here.as_array()?, there.as_array()?);
    if here.len() != there.len() {
        return Some((0, here.clone().into(), there.clone().into()));
    }
    let at = (0..here.len()).find(|at| !compare::is_same(&here[*at], &there[*at]))?;
    Some((at, here[at].clone(), there[at].clone()))
}

/// Leaves out operations while the answers still differ.
fn smallest(case: &Value, go: &mut Go) -> Value {
    let mut case = case.clone();
    let mut at = 0;
    while let Some(operations) = case["ops"].as_array().filter(|it| at < it.len()) {
        let mut fewer = operations.clone();
        fewer.remove(at);
        let mut smaller = case.clone();
        smaller["ops"] = fewer.into();
        match difference(&smaller, go) {
            Some(_) => case = smaller,
            None => at += 1,
        }
    }
    case
}

/// The program in Go. It ends with its input.
struct Go {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Go {
    fn start(program: &OsStr) -> Self {
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("OUTRIGGER_SMD_DIFF names a program");
        let input = process.stdin.take();
        let output = process.stdout.take().expect("it is piped");
        Self {
            process,
            input,
            output: BufReader::new(output),
        }
    }

    fn ask(&mut self, case: &Value) -> Value {
        let input = self.input.as_mut().expect("it is taken at the end only");
        writeln!(input, "{case}").expect("the program reads");
        input.flush().expect("the program reads");
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the program answers");
        serde_json::from_str(&line).expect("the program answers in JSON")
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        drop(self.input.take());
        _ = self.process.wait();
    }
}
