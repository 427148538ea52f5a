//! The runner of tests that share a cluster: one after another, counted as cargo's own runner counts.

#![expect(
    clippy::print_stdout,
    reason = "a test runner answers on standard output"
)]

use std::future::Future;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::process;

/// What came of the tests.
#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub ignored: usize,
}

/// Whether a test that cannot run is a failure.
#[must_use]
pub fn is_everything_required() -> bool {
    std::env::var("CI").is_ok_and(|it| it == "true")
}

impl Tally {
    /// Runs a test, if no argument is given or one is a part of its name, and says what came of it; the logs of the
    /// programs it used, too, if it failed.
    pub async fn test(&mut self, name: &str, test: impl Future<Output = Result<()>>) {
        let filters: Vec<_> = std::env::args()
            .skip(1)
            .filter(|it| !it.starts_with('-'))
            .collect();
        if filters.is_empty() || filters.iter().any(|it| name.contains(it)) {
            self.needed(name, test).await;
        }
    }

    /// The same of a test that others need: it is run whatever the arguments are.
    pub async fn needed<T>(
        &mut self,
        name: &str,
        test: impl Future<Output = Result<T>>,
    ) -> Option<T> {
        let started = Instant::now();
        let outcome = test.await;
        let seconds = started.elapsed().as_secs_f64();
        let logs = process::keep_logs();
        match outcome {
            Ok(value) => {
                println!("test {name} ... ok ({seconds:.1} s)");
                self.passed += 1;
                Some(value)
            }
            Err(err) => {
                println!("test {name} ... FAILED ({seconds:.1} s)\n{err:?}");
                println!("{}", logs.join("\n"));
                self.failed += 1;
                None
            }
        }
    }

    /// Counts tests that cannot run here; a failure where everything is required.
    pub fn leave_out(&mut self, tests: usize) {
        match is_everything_required() {
            true => self.failed += tests,
            false => self.ignored += tests,
        }
    }

    /// The line that cargo's own runner ends with.
    #[must_use]
    pub fn finish(self) -> ExitCode {
        let is_good = self.failed == 0;
        let word = if is_good { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {} passed; {} failed; {} ignored",
            self.passed, self.failed, self.ignored
        );
        match is_good {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}
