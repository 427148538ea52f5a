//! The figures to reach, each as a ratio within one run.

use super::server::{BARE, KUBE, OUTRIGGER, SAMPLE, STATIC};
use super::{Cost, Report};
use crate::loads;

/// Of the static server, on two cores that it shares with its client: 96,200 GETs per second of 8 × 32 clients were
/// measured on such a machine when it was quiet.
const STATIC_PER_SECOND: f64 = 0.8 * 96_200.0;
const STATIC_CLIENTS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Reached,
    Missed,
    NotMeasured,
}

pub(crate) struct Goal {
    pub(crate) load: &'static str,
    pub(crate) wanted: &'static str,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}
use Bound::{AtLeast, AtMost};

fn goal(
    load: &'static str,
    wanted: &'static str,
    bound: &Bound,
    measured: Option<f64>,
    unit: &str,
) -> Goal {
    let (measured, verdict) = match measured.filter(|it| it.is_finite()) {
        Some(value) => {
            let is_reached = match bound {
                AtLeast(bound) => value >= *bound,
                AtMost(bound) => value <= *bound,
            };
            let verdict = if is_reached {
                Verdict::Reached
            } else {
                Verdict::Missed
            };
            (format!("{value:.2}{unit}"), verdict)
        }
        None => ("-".into(), Verdict::NotMeasured),
    };
    Goal {
        load,
        wanted,
        measured,
        verdict,
    }
}

impl Report {
    /// Why the run does not count, if it does not: a slow yardstick flatters.
    pub(crate) fn disturbance(&self) -> Option<String> {
        let measured = self.cost(loads::GET, STATIC_CLIENTS, STATIC)?.per_second;
        (measured < STATIC_PER_SECOND).then(|| {
            format!(
                "**This run does not count**: the static server answered {measured:.0} requests per second, \
                 less than {STATIC_PER_SECOND:.0}: something else ran on the machine, or it is another machine."
            )
        })
    }

    pub(crate) fn goals(&self) -> Vec<Goal> {
        let mut goals = self.read_goals();
        goals.extend(self.write_goals());
        goals.extend(self.watch_goals());
        goals.extend(self.start_goals());
        goals.extend(self.plugin_goals());
        goals
    }

    /// `of` of one row over that of another.
    fn ratio(
        &self,
        (load, clients, server): (&str, usize, &str),
        (other, others, by): (&str, usize, &str),
        of: impl Fn(&Cost) -> f64,
    ) -> Option<f64> {
        let (one, two) = (
            self.cost(load, clients, server)?,
            self.cost(other, others, by)?,
        );
        Some(of(one) / of(two))
    }

    fn read_goals(&self) -> Vec<Goal> {
        let list = (loads::LIST, 1, OUTRIGGER);
        vec![
            goal(
                "GET 1 KiB, authenticated, server CPU",
                "0.70× of the static server",
                &AtLeast(0.7),
                self.ratio((loads::GET, 64, STATIC), (loads::GET, 64, OUTRIGGER), cpu),
                "×",
            ),
            goal(
                "GET 1 KiB, 64 clients, requests per second",
                "20× sample-apiserver",
                &AtLeast(20.0),
                self.ratio((loads::GET, 64, OUTRIGGER), (loads::GET, 64, SAMPLE), rate),
                "×",
            ),
            goal(
                "LIST 10,000, server CPU",
                "at most 1.5× of joining and sending",
                &AtMost(1.5),
                self.ratio(list, (loads::LIST, 1, STATIC), cpu),
                "×",
            ),
            goal(
                "LIST 10,000, more memory",
                "at most 1 MiB",
                &AtMost(1.0),
                self.value(loads::LIST_MEMORY, OUTRIGGER),
                " MiB",
            ),
            goal(
                "LIST 10,000, lists per second",
                "30× sample-apiserver",
                &AtLeast(30.0),
                self.ratio(list, (loads::LIST, 1, SAMPLE), rate),
                "×",
            ),
            goal(
                "LIST 10,000 as Table, second time, server CPU",
                "at most 3× LIST",
                &AtMost(3.0),
                self.ratio((loads::TABLE_AGAIN, 1, OUTRIGGER), list, cpu),
                "×",
            ),
        ]
    }

    fn write_goals(&self) -> Vec<Goal> {
        let create = |clients| self.cost(loads::CREATE, clients, OUTRIGGER);
        let cpu_of_parts = self.sum_of_parts(64, cpu);
        let latency_of_parts = self.sum_of_parts(1, |it| it.p50_us);
        vec![
            goal(
                "CREATE with default and validate in wasm, 64 clients, server CPU",
                "0.5× of the sum of the parts",
                &AtLeast(0.5),
                cpu_of_parts.zip(create(64)).map(|(sum, it)| sum / cpu(it)),
                "×",
            ),
            goal(
                "CREATE, 64 clients, requests per second",
                "10× sample-apiserver",
                &AtLeast(10.0),
                self.ratio(
                    (loads::CREATE, 64, OUTRIGGER),
                    (loads::CREATE, 64, SAMPLE),
                    rate,
                ),
                "×",
            ),
            goal(
                "CREATE, one client, p50",
                "at most 1.35× of the sum of the parts",
                &AtMost(1.35),
                latency_of_parts
                    .zip(create(1))
                    .map(|(sum, it)| it.p50_us / sum),
                "×",
            ),
            goal(
                "durable writes, 64 writers, store layer, writes per second",
                "0.6× of the bare store",
                &AtLeast(0.6),
                self.ratio(
                    (loads::DURABLE, 64, OUTRIGGER),
                    (loads::DURABLE, 64, BARE),
                    rate,
                ),
                "×",
            ),
            goal(
                "apply beside a merge patch, 10 KiB, five managers, server CPU",
                "at most 3×",
                &AtMost(3.0),
                self.ratio(
                    (loads::APPLY_MANAGED, 1, OUTRIGGER),
                    (loads::PATCH_MANAGED, 1, OUTRIGGER),
                    cpu,
                ),
                "×",
            ),
            goal(
                "the same apply beside kube-apiserver with etcd, server CPU",
                "less",
                &AtMost(1.0),
                self.ratio(
                    (loads::APPLY_MANAGED, 1, OUTRIGGER),
                    (loads::APPLY_MANAGED, 1, KUBE),
                    cpu,
                ),
                "×",
            ),
        ]
    }

    /// A request, a parse of metadata, two calls in one fresh instance, and a durable write.
    fn sum_of_parts(&self, clients: usize, of: impl Fn(&Cost) -> f64) -> Option<f64> {
        let request = of(self.cost(loads::GET, clients, STATIC)?);
        let parse = of(self.cost(loads::METADATA_PARSE, 1, BARE)?);
        let hooks = of(self.cost(loads::WASM_WRITE, 1, BARE)?);
        let store = of(self.cost(loads::DURABLE, clients, BARE)?);
        Some(request + parse + hooks + store)
    }

    fn watch_goals(&self) -> Vec<Goal> {
        let bursts = (loads::WATCH_BURSTS, 1_000, OUTRIGGER);
        vec![
            goal(
                "WATCH 1,000 watchers, bursts, server CPU for a delivery, without that of the writes",
                "0.7× of ring and join",
                &AtLeast(0.7),
                self.ratio((loads::WATCH_BURSTS, 1_000, STATIC), bursts, cpu),
                "×",
            ),
            goal(
                "WATCH 1,000 watchers, bursts, deliveries per second",
                "10× sample-apiserver",
                &AtLeast(10.0),
                self.ratio(bursts, (loads::WATCH_BURSTS, 1_000, SAMPLE), rate),
                "×",
            ),
        ]
    }

    fn start_goals(&self) -> Vec<Goal> {
        let ratio = |one: Option<f64>, two: Option<f64>| one.zip(two).map(|(one, two)| one / two);
        vec![
            goal(
                "memory per cached 1 KiB object",
                "at most 2.1 KB",
                &AtMost(2_100.0),
                self.value(loads::OBJECT_MEMORY, OUTRIGGER),
                " bytes",
            ),
            goal(
                "restart with 1,000,000 objects to ready",
                "at most 1.5× of scan and metadata parse",
                &AtMost(1.5),
                ratio(
                    self.value(loads::START_MANY, OUTRIGGER),
                    self.value(loads::SCAN, BARE),
                ),
                "×",
            ),
            goal(
                "idle, one plugin, ready: memory",
                "at most 0.35× of sample-apiserver with its etcd",
                &AtMost(0.35),
                ratio(
                    self.value(loads::IDLE, OUTRIGGER),
                    self.value(loads::IDLE, SAMPLE),
                ),
                "×",
            ),
            goal(
                "start",
                "at most 0.2 s",
                &AtMost(0.2),
                self.value(loads::START, OUTRIGGER),
                " s",
            ),
        ]
    }

    fn plugin_goals(&self) -> Vec<Goal> {
        let ready = self.value(loads::PLUGINS_READY, OUTRIGGER);
        let bare = self.value(loads::PLUGINS_BARE, BARE);
        vec![
            goal(
                "wasm: a fresh instance validates 1 KiB, p50",
                "at most 1.25× of a bare pooled call",
                &AtMost(1.25),
                self.ratio(
                    (loads::WASM_VALIDATE, 1, OUTRIGGER),
                    (loads::WASM_VALIDATE, 1, BARE),
                    |it| it.p50_us,
                ),
                "×",
            ),
            goal(
                "wasm: two threads beside one, calls per second",
                "1.5×",
                &AtLeast(1.5),
                self.ratio(
                    (loads::WASM_VALIDATE, 2, OUTRIGGER),
                    (loads::WASM_VALIDATE, 1, OUTRIGGER),
                    rate,
                ),
                "×",
            ),
            goal(
                "500 precompiled plugins to ready",
                "at most 2× of deserialising them",
                &AtMost(2.0),
                ready.zip(bare).map(|(ready, bare)| ready / bare),
                "×",
            ),
            goal(
                "500 precompiled plugins, memory for each",
                "at most 0.7 MiB",
                &AtMost(0.7),
                self.value(loads::PLUGIN_MEMORY, OUTRIGGER),
                " MiB",
            ),
        ]
    }
}

fn cpu(cost: &Cost) -> f64 {
    cost.server_cpu_us
}

fn rate(cost: &Cost) -> f64 {
    cost.per_second
}

#[cfg(test)]
mod tests {
    use super::super::testing::{row, value};
    use super::*;

    fn cost(per_second: f64, server_cpu_us: f64) -> Cost {
        Cost {
            per_second,
            server_cpu_us,
            p50_us: server_cpu_us,
            ..Cost::default()
        }
    }

    fn verdict(report: &Report, load: &str, wanted: &str) -> (String, Verdict) {
        let goals = report.goals();
        let mut found = goals.iter().filter(|it| it.load.starts_with(load));
        let goal = found.find(|it| it.wanted.contains(wanted));
        let goal = goal.expect("there is such a goal");
        (goal.measured.clone(), goal.verdict)
    }

    #[test]
    fn a_goal_is_a_ratio_of_two_rows() {
        let mut report = Report {
            rows: vec![
                row(loads::GET, 64, OUTRIGGER, cost(50_000.0, 20.0)),
                row(loads::GET, 64, STATIC, cost(80_000.0, 15.0)),
                row(loads::GET, 64, SAMPLE, cost(2_600.0, 550.0)),
            ],
            ..Report::default()
        };
        let get = |report: &Report, wanted| verdict(report, "GET", wanted);
        assert_eq!(get(&report, "static"), ("0.75×".into(), Verdict::Reached));
        assert_eq!(get(&report, "sample"), ("19.23×".into(), Verdict::Missed));
        report.rows.pop();
        assert_eq!(get(&report, "sample"), ("-".into(), Verdict::NotMeasured));
    }

    #[test]
    fn a_create_is_compared_with_the_sum_of_its_parts() {
        let mut report = Report {
            rows: vec![
                row(loads::GET, 64, STATIC, cost(0.0, 15.0)),
                row(loads::METADATA_PARSE, 1, BARE, cost(0.0, 5.0)),
                row(loads::WASM_WRITE, 1, BARE, cost(0.0, 40.0)),
                row(loads::DURABLE, 64, BARE, cost(0.0, 40.0)),
                row(loads::CREATE, 64, OUTRIGGER, cost(0.0, 250.0)),
            ],
            ..Report::default()
        };
        let measured = |report: &Report| verdict(report, "CREATE with", "sum");
        assert_eq!(measured(&report), ("0.40×".into(), Verdict::Missed));
        report.rows.remove(2);
        assert_eq!(measured(&report), ("-".into(), Verdict::NotMeasured));
    }

    #[test]
    fn values_have_bounds_of_their_own() {
        let report = Report {
            values: vec![
                value(loads::START, OUTRIGGER, 0.25),
                value(loads::IDLE, OUTRIGGER, 30.0),
                value(loads::IDLE, SAMPLE, 150.0),
            ],
            ..Report::default()
        };
        let start = verdict(&report, "start", "0.2 s");
        assert_eq!(start, ("0.25 s".into(), Verdict::Missed));
        let idle = verdict(&report, "idle", "0.35");
        assert_eq!(idle, ("0.20×".into(), Verdict::Reached));
    }

    #[test]
    fn a_slow_yardstick_does_not_count() {
        let report = |per_second| Report {
            rows: vec![row(loads::GET, 256, STATIC, cost(per_second, 12.0))],
            ..Report::default()
        };
        assert!(report(90_000.0).disturbance().is_none());
        assert!(report(60_000.0).disturbance().is_some());
        assert!(Report::default().disturbance().is_none());
    }
}
