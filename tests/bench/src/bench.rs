//! What all parts share: the settings, the report that they fill, the bar that shows how far they are.

use std::path::PathBuf;
use std::time::Duration;

use crate::parts::Part;
use crate::progress::Progress;
use crate::report::{Cost, Report, Row, Value};

pub(crate) struct Settings {
    /// The server's program.
    pub(crate) server: PathBuf,
    /// The component of examples/wardle.
    pub(crate) plugin: PathBuf,
    pub(crate) sample_apiserver: Option<PathBuf>,
    pub(crate) without_peers: bool,
    pub(crate) is_quick: bool,
    pub(crate) seconds: u64,
    pub(crate) parts: Vec<Part>,
}

impl Settings {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Of one row.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) report: Report,
    pub(crate) progress: Progress,
}

impl Bench {
    pub(crate) fn row(&mut self, part: Part, load: &str, clients: usize, server: &str, cost: Cost) {
        self.report.rows.push(Row {
            part: part.title().to_owned(),
            load: load.to_owned(),
            clients,
            server: server.to_owned(),
            cost,
        });
    }

    pub(crate) fn value(
        &mut self,
        part: &str,
        what: &str,
        server: &str,
        (value, unit): (f64, &str),
    ) {
        self.report.values.push(Value {
            part: part.to_owned(),
            what: what.to_owned(),
            server: server.to_owned(),
            value,
            unit: unit.to_owned(),
        });
    }

    pub(crate) fn note(&mut self, note: &str) {
        self.report.notes.push(note.to_owned());
    }

    /// Shows what is measured now, and that it takes as long as a row.
    pub(crate) fn step(&self, load: &str, clients: usize, server: &str) {
        let message = format!("{load}, {clients} clients, {server}");
        self.progress.step(self.settings.seconds + 1, &message);
    }
}
