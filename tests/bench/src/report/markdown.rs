//! A report as Markdown: for the terminal, and for docs/benchmarks.md.

use std::fmt::Write as _;

use super::goals::{Goal, Verdict};
use super::{Cost, Report, Row, SchemaCost};

/// What a run writes into a document stands between these lines; the rest of the document stays.
const BEGIN: &str = "<!-- cargo xtask bench --write: from here -->";
const END: &str = "<!-- cargo xtask bench --write: to here -->";

impl Report {
    /// All tables; beside the figures of `before`, if there are any.
    pub(crate) fn markdown(&self, before: Option<&Self>) -> String {
        let mut out = String::new();
        self.head(&mut out);
        let goals = self.goals();
        if goals.iter().any(|it| it.verdict != Verdict::NotMeasured) {
            goal_table(&mut out, &goals);
        }
        if let Some(cost) = &self.schema {
            schema_table(&mut out, cost, before.and_then(|it| it.schema.as_ref()));
        }
        for part in self.parts() {
            let _ = writeln!(out, "## {part}\n");
            self.row_table(&mut out, part, before);
            self.value_table(&mut out, part, before);
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }

    /// The document with this run in the place of the one before; a new one where there was none.
    pub(crate) fn in_document(&self, document: &str) -> String {
        let (before, rest) = document.split_once(BEGIN).unwrap_or((document, ""));
        let behind = rest.split_once(END).map_or("\n", |it| it.1);
        format!("{before}{BEGIN}\n\n{}\n{END}{behind}", self.markdown(None))
    }

    fn head(&self, out: &mut String) {
        let machine = &self.machine;
        let kind = if self.is_full { "full" } else { "partial" };
        // Writing to a text cannot fail.
        let _ = writeln!(
            out,
            "A {kind} run of {}: {}, {} cores, {} GiB, Linux {}; {} s for each row.",
            self.date,
            machine.processor,
            machine.cores,
            machine.memory_gibibytes,
            machine.kernel,
            self.seconds_each
        );
        let versions = self.versions.iter();
        let versions: Vec<String> = versions.map(|(name, it)| format!("{name} {it}")).collect();
        let _ = writeln!(out, "{}.\n", versions.join(", "));
        for note in &self.notes {
            let _ = writeln!(out, "- {note}");
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
    }

    /// In the order in which they were measured.
    fn parts(&self) -> Vec<&str> {
        let of_rows = self.rows.iter().map(|it| it.part.as_str());
        let of_values = self.values.iter().map(|it| it.part.as_str());
        let mut parts: Vec<&str> = Vec::new();
        for part in of_rows.chain(of_values) {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts
    }

    fn row_table(&self, out: &mut String, part: &str, before: Option<&Self>) {
        let rows: Vec<&Row> = self.rows.iter().filter(|it| it.part == part).collect();
        if rows.is_empty() {
            return;
        }
        let head = "| load | clients | server | per second | p50 µs | p99 µs | server CPU µs | client CPU µs |";
        let rule = "|---|---:|---|---:|---:|---:|---:|---:|";
        let (more_head, more_rule) = match before {
            Some(_) => (
                " per second before | × | CPU before | × |",
                "---:|---:|---:|---:|",
            ),
            None => ("", ""),
        };
        let _ = writeln!(out, "{head}{more_head}\n{rule}{more_rule}");
        for row in rows {
            let Row {
                load,
                clients,
                server,
                cost,
                ..
            } = row;
            let Cost {
                per_second,
                p50_us,
                p99_us,
                server_cpu_us,
                client_cpu_us,
            } = cost;
            let _ = write!(
                out,
                "| {load} | {clients} | {server} | {} | {} | {} | {} | {} |",
                number(*per_second),
                number(*p50_us),
                number(*p99_us),
                number(*server_cpu_us),
                number(*client_cpu_us)
            );
            if let Some(before) = before {
                let _ = match before.cost(load, *clients, server) {
                    Some(old) => write!(
                        out,
                        " {} | {:.2} | {} | {:.2} |",
                        number(old.per_second),
                        per_second / old.per_second,
                        number(old.server_cpu_us),
                        server_cpu_us / old.server_cpu_us
                    ),
                    None => write!(out, " - | - | - | - |"),
                };
            }
            out.push('\n');
        }
        out.push('\n');
    }

    fn value_table(&self, out: &mut String, part: &str, before: Option<&Self>) {
        let values: Vec<_> = self.values.iter().filter(|it| it.part == part).collect();
        if values.is_empty() {
            return;
        }
        let (more_head, more_rule) = match before {
            Some(_) => (" before |", "---:|"),
            None => ("", ""),
        };
        let _ = writeln!(
            out,
            "| figure | server | value |{more_head}\n|---|---|---:|{more_rule}"
        );
        for it in values {
            let (what, server, unit) = (&it.what, &it.server, &it.unit);
            let _ = write!(out, "| {what} | {server} | {} {unit} |", number(it.value));
            if let Some(before) = before {
                let _ = match before.value(what, server) {
                    Some(old) => write!(out, " {} {unit} |", number(old)),
                    None => write!(out, " - |"),
                };
            }
            out.push('\n');
        }
        out.push('\n');
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn goal_table(out: &mut String, goals: &[Goal]) {
    let _ = writeln!(
        out,
        "## Figures to reach\n\n| load | at least | measured | |\n|---|---|---|---|"
    );
    for goal in goals {
        let verdict = match goal.verdict {
            Verdict::Reached => "reached",
            Verdict::Missed => "**missed**",
            Verdict::NotMeasured => "not measured",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {verdict} |",
            goal.load, goal.wanted, goal.measured
        );
    }
    out.push('\n');
}

fn schema_table(out: &mut String, cost: &SchemaCost, before: Option<&SchemaCost>) {
    type Figure = fn(&SchemaCost) -> f64;

    let _ = writeln!(
        out,
        "## Schema\n\nAn object of {} bytes with {} fields, µs for one:\n",
        cost.object_bytes, cost.fields
    );
    let head = ["", " before |"][usize::from(before.is_some())];
    let rule = ["", "---:|"][usize::from(before.is_some())];
    let _ = writeln!(out, "| step | now |{head}\n|---|---:|{rule}");
    let rows: [(&str, Figure); 4] = [
        ("JSON parsed", |it| it.parse_ns / 1000.0),
        ("JSON decoded as a body", |it| it.decode_ns / 1000.0),
        ("pruned, defaulted, validated", |it| {
            it.prune_default_validate_ns / 1000.0
        }),
        ("ratio of the last to the first", SchemaCost::ratio),
    ];
    for (title, value) in rows {
        let _ = write!(out, "| {title} | {:.2} |", value(cost));
        if let Some(before) = before {
            let _ = write!(out, " {:.2} |", value(before));
        }
        out.push('\n');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::testing::{row, value};
    use super::*;

    fn report(per_second: f64) -> Report {
        let cost = Cost {
            per_second,
            p50_us: 100.0,
            p99_us: 900.0,
            server_cpu_us: 50.0,
            client_cpu_us: 7.25,
        };
        Report {
            rows: vec![row("get", 1, "outrigger", cost)],
            values: vec![value("idle", "outrigger", per_second / 100.0)],
            ..Report::default()
        }
    }

    #[test]
    fn shows_what_was_before_beside_what_is_now() {
        let text = report(3000.0).markdown(Some(&report(2000.0)));
        for line in [
            "| get | 1 | outrigger | 3000 | 100 | 900 | 50.0 | 7.25 | 2000 | 1.50 | 50.0 | 1.00 |\n",
            "| idle | outrigger | 30.0 MiB | 20.0 MiB |\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let text = report(3000.0).markdown(None);
        for line in [
            "| get | 1 | outrigger | 3000 | 100 | 900 | 50.0 | 7.25 |\n",
            "| idle | outrigger | 30.0 MiB |\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn replaces_the_run_in_a_document_and_nothing_else() {
        let first = report(3000.0).in_document("# Benchmarks\n\n");
        assert!(first.starts_with("# Benchmarks\n\n<!--"), "{first}");
        let more = format!("{first}\n## More\n");
        let second = report(2000.0).in_document(&more);
        assert!(second.ends_with("to here -->\n\n## More\n"), "{second}");
        assert!(
            second.contains("| 2000 |") && !second.contains("| 3000 |"),
            "{second}"
        );
        assert_eq!(report(2000.0).in_document(&second), second);
    }

    #[test]
    fn a_table_has_as_many_cells_in_each_line() {
        let text = report(3000.0).markdown(Some(&report(2000.0)));
        let cells = |line: &str| line.matches('|').count();
        let tables = text.split("\n\n").filter(|it| it.starts_with('|'));
        for table in tables {
            let lines: Vec<usize> = table.lines().map(cells).collect();
            assert!(lines.iter().all(|it| *it == lines[0]), "{table}");
        }
    }

    #[test]
    fn figures_have_three_digits() {
        let texts = [0.0, 0.1234, 1.234, 12.34, 123.4, 12345.6].map(number);
        assert_eq!(texts, ["0", "0.123", "1.23", "12.3", "123", "12346"]);
    }
}
