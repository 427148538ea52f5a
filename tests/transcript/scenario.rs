//! The files of commands.
//!
//! ```text
//! What it is about.
//!
//! === robot.yaml          a file beside the commands, until the next `===`
//! kind: Robot
//! ===
//! # Why the next command is there.
//! $ kubectl create -f robot.yaml
//! ! kubectl create -f robot.yaml
//! $ cat <<END
//! > a line more of the same command
//! > END
//! ```
//!
//! `$` must succeed and `!` must fail, with both servers: a scenario that goes wrong alike with both shows nothing.
//! Each scenario has a namespace of its own name, which is kubectl's default.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use outrigger_tests::artifacts::root;

pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Name and text.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) commands: Vec<Command>,
}

pub(crate) struct Command {
    pub(crate) line_number: usize,
    /// For `sh`.
    pub(crate) text: String,
    pub(crate) must_succeed: bool,
}

impl Scenario {
    pub(crate) fn read_all() -> Result<Vec<Self>> {
        let folder = root().join("tests/transcript/scenarios");
        let mut scenarios = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            scenarios.push(Self::read(&path).with_context(|| path.display().to_string())?);
        }
        scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scenarios)
    }

    fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().context("no name")?.to_string_lossy();
        let mut scenario = Self {
            name: name.into_owned(),
            files: Vec::new(),
            commands: Vec::new(),
        };
        let text = std::fs::read_to_string(path)?;
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            if let Some(name) = line.strip_prefix("=== ") {
                let body = lines.by_ref().map(|it| it.1).take_while(|it| *it != "===");
                let body: String = body.flat_map(|it| [it, "\n"]).collect();
                scenario.files.push((name.to_owned(), body));
            } else {
                scenario.read_line(at + 1, line)?;
            }
        }
        ensure!(!scenario.commands.is_empty(), "no commands");
        Ok(scenario)
    }

    fn read_line(&mut self, line_number: usize, line: &str) -> Result<()> {
        let (mark, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        match (mark.trim_end(), self.commands.last_mut()) {
            ("$" | "!", _) => self.commands.push(Command {
                line_number,
                text: rest.to_owned(),
                must_succeed: mark == "$ ",
            }),
            (">", Some(command)) => {
                command.text.push('\n');
                command.text.push_str(rest);
            }
            ("" | "#", _) | (_, None) => {}
            _ => bail!("line {line_number} is no command: {line}"),
        }
        Ok(())
    }
}
