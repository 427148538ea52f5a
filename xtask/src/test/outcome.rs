//! What comes of the commands of a stage.

use std::process::Command;

use anyhow::Result;

use crate::progress::Step;

/// What came of one command.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

pub(super) fn skipped(title: &str, why: &dyn std::fmt::Display) -> Count {
    println!("{title} ... SKIPPED: {why}");
    Count {
        skipped: 1,
        ..Count::default()
    }
}

/// A command that passes or fails as a whole.
pub(super) fn check(title: &str, command: &mut Command) -> Result<Count> {
    let mut step = Step::start(title);
    let finished = step.run(command)?;
    if finished.status.success() {
        step.finish("ok");
        return Ok(Count {
            passed: 1,
            ..Count::default()
        });
    }
    step.finish("FAILED");
    println!("{command:?}\n{}", finished.lines.join("\n"));
    Ok(Count {
        failed: 1,
        ..Count::default()
    })
}

/// A command that prints what is wrong.
pub(super) fn prints_nothing(title: &str, command: &mut Command) -> Result<Count> {
    let mut step = Step::start(title);
    let finished = step.run(command)?;
    let is_good = finished.status.success() && finished.lines.is_empty();
    step.finish(if is_good { "ok" } else { "FAILED" });
    if !is_good {
        println!("{command:?}\n{}", finished.lines.join("\n"));
    }
    Ok(Count {
        passed: is_good.into(),
        failed: (!is_good).into(),
        ..Count::default()
    })
}

/// A `cargo test`: its tests are counted one by one.
pub(super) fn cargo_test(title: &str, command: &mut Command) -> Result<Count> {
    let mut step = Step::start(title);
    let finished = step.run(command)?;
    let mut count = Count::default();
    for line in &finished.lines {
        count.add(test_result(line));
    }
    if !finished.status.success() && count.failed == 0 {
        count.failed = 1; // It did not compile, or ended before it could count.
    }
    step.finish(&format!("{} passed, {} failed", count.passed, count.failed));
    if count.failed > 0 {
        println!("{command:?}\n{}", finished.lines.join("\n"));
    }
    Ok(count)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn test_result(line: &str) -> Count {
    let mut count = Count::default();
    let Some(result) = line.trim().strip_prefix("test result: ") else {
        return count;
    };
    for part in result.split([';', '.']) {
        let mut words = part.split_whitespace();
        let number = words.next().and_then(|it| it.parse().ok());
        match (number, words.next()) {
            (Some(number), Some("passed")) => count.passed = number,
            (Some(number), Some("failed")) => count.failed = number,
            (Some(number), Some("ignored")) => count.skipped = number,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_result_line_of_cargo_test() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        let expected = Count {
            passed: 3,
            failed: 2,
            skipped: 1,
        };
        assert_eq!(test_result(line), expected);
        assert_eq!(test_result("test a_name ... ok"), Count::default());
    }
}
