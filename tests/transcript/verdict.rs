//! What two servers made kubectl print, beside each other.

use std::fmt::Write as _;

use crate::scenario::{Command, Scenario};
use crate::side::Heard;

/// How many commands differ, and how.
pub(crate) fn compare(scenario: &Scenario, custom: &[Heard], ours: &[Heard]) -> (usize, String) {
    let mut failed = 0;
    let mut text = String::new();
    for ((command, custom), ours) in scenario.commands.iter().zip(custom).zip(ours) {
        let differences = differences(command, custom, ours);
        if !differences.is_empty() {
            failed += 1;
            let at = command.line_number;
            let _ = writeln!(text, "FAIL {}.txt:{at}: {}", scenario.name, command.text);
            text.push_str(&differences);
        }
    }
    (failed, text)
}

fn differences(command: &Command, custom: &Heard, ours: &Heard) -> String {
    let mut text = String::new();
    if (custom.code == Some(0)) != command.must_succeed {
        let word = if command.must_succeed {
            "succeed"
        } else {
            "fail"
        };
        let _ = writeln!(text, "    must {word}: {custom:#?}");
    }
    if custom.code != ours.code {
        let _ = writeln!(
            text,
            "    exit code {:?}, ours {:?}",
            custom.code, ours.code
        );
    }
    for (what, custom, ours) in [
        ("stdout", &custom.stdout, &ours.stdout),
        ("stderr", &custom.stderr, &ours.stderr),
    ] {
        if custom != ours {
            let _ = writeln!(text, "  {what}: - kube-apiserver, + ours");
            text.push_str(&line_by_line(custom, ours));
        }
    }
    text
}

/// The lines between the first and the last that differ.
fn line_by_line(custom: &str, ours: &str) -> String {
    let custom: Vec<_> = custom.lines().collect();
    let ours: Vec<_> = ours.lines().collect();
    let shortest = custom.len().min(ours.len());
    let same_start = (0..shortest)
        .take_while(|&it| custom[it] == ours[it])
        .count();
    let same_end = (0..shortest - same_start)
        .take_while(|&it| custom[custom.len() - 1 - it] == ours[ours.len() - 1 - it])
        .count();
    let mut text = String::new();
    for line in &custom[same_start..custom.len() - same_end] {
        let _ = writeln!(text, "    - {line}");
    }
    for line in &ours[same_start..ours.len() - same_end] {
        let _ = writeln!(text, "    + {line}");
    }
    text
}
