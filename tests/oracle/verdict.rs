//! What came of the answers, and the tally of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use outrigger_tests::artifacts::root;
use outrigger_tests::recording::case::{Case, Request};
use outrigger_tests::recording::compare::{Difference, differences};
use outrigger_tests::recording::json::Json;
use outrigger_tests::recording::openapi::comparable;
use outrigger_tests::recording::tables::{Accepted, Pending, Used};

use crate::replay::{Reach, Server};

/// How many differences of one answer are shown.
const SHOWN: usize = 12;

/// kube-aggregator sets its own.
const AGGREGATORS: [&str; 2] = ["/headers/cache-control", "/headers/vary"];

/// The two tables, and what has been counted.
pub(crate) struct Tally {
    accepted: Accepted,
    pending: Pending,
    used: Used,
    passed: usize,
    failed: usize,
    ignored: usize,
    accepted_count: usize,
    /// What answers wait for, and how many.
    waiting: BTreeMap<String, usize>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        let read = |name: &str| {
            let file = root().join("tests/oracle").join(name);
            std::fs::read_to_string(&file).with_context(|| file.display().to_string())
        };
        Ok(Self {
            accepted: Accepted::read(&read("ignore.tsv")?).context("ignore.tsv")?,
            pending: Pending::read(&read("pending.tsv")?).context("pending.tsv")?,
            used: Used::default(),
            passed: 0,
            failed: 0,
            ignored: 0,
            accepted_count: 0,
            waiting: BTreeMap::new(),
        })
    }

    /// Judges every recorded answer of a case that was played.
    pub(crate) fn judge(
        &mut self,
        case: &Case,
        server: &Server,
        played: Result<BTreeMap<String, Json>>,
    ) {
        let compared = case.compared().filter(|it| server.reach.has(it.0));
        match played {
            Ok(answers) => {
                for (step, recorded) in compared {
                    let nothing = Json::Object(Vec::new());
                    let got = answers.get(&step.id).unwrap_or(&nothing);
                    let mut found = differences(&comparable(recorded), &comparable(got));
                    if matches!(server.reach, Reach::Below(_)) {
                        found.retain(|it| !AGGREGATORS.contains(&it.pointer.as_str()));
                    }
                    self.answer(case, step, recorded, found);
                }
            }
            Err(err) => {
                println!("FAIL {}: {err:#}", case.name);
                self.failed += compared.count();
            }
        }
    }

    fn answer(&mut self, case: &Case, step: &Request, recorded: &Json, all: Vec<Difference>) {
        let label = case.label(step);
        let is_same = all.is_empty();
        let mut found = all;
        found.retain(|it| {
            let used = &mut self.used;
            !self.accepted.accepts(&label, &it.pointer, recorded, used)
        });
        let waits_for = self.pending.waits_for(case, step, &mut self.used);
        if let Some(reason) = waits_for {
            if found.is_empty() {
                println!(
                    "FAIL {label}: it waits for {reason}, but is as recorded: take it from pending.tsv"
                );
                self.failed += 1;
            } else {
                *self.waiting.entry(reason.to_owned()).or_default() += 1;
            }
        } else if found.is_empty() {
            self.passed += 1;
            self.accepted_count += usize::from(!is_same);
        } else {
            let mut text = format!("FAIL {label}: {} {}", step.method, step.path);
            for it in found.iter().take(SHOWN) {
                let _ = write!(text, "\n    {}: {}", it.pointer, it.what);
            }
            println!("{text}");
            self.failed += 1;
        }
    }

    /// What these cases are played against could not be started: all of their answers fail.
    pub(crate) fn not_started(&mut self, cases: &[&Case], reach: Reach, why: &anyhow::Error) {
        println!("FAIL {why:#}");
        self.failed += count(cases, reach);
    }

    pub(crate) fn ignore(&mut self, cases: &[&Case], reach: Reach) {
        self.ignored += count(cases, reach);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// Lines that nothing needed; only after every case has been played.
    pub(crate) fn check_tables(&mut self) {
        let unused = [
            ("ignore.tsv", self.accepted.unused(&self.used)),
            ("pending.tsv", self.pending.unused(&self.used)),
        ];
        for (table, lines) in unused {
            for line in lines {
                println!("FAIL {table}: nothing needs this line any more: {line}");
                self.failed += 1;
            }
        }
    }

    pub(crate) fn finish(self) -> ExitCode {
        for (reason, count) in &self.waiting {
            println!("{count} answers wait for {reason}");
        }
        let is_good = self.failed == 0;
        let word = if is_good { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {} passed; {} failed; {} ignored; {} with accepted differences; {} pending",
            self.passed,
            self.failed,
            self.ignored,
            self.accepted_count,
            self.waiting.values().sum::<usize>()
        );
        match is_good {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

fn count(cases: &[&Case], reach: Reach) -> usize {
    let compared = cases.iter().flat_map(|it| it.compared());
    compared.filter(|it| reach.has(it.0)).count()
}
