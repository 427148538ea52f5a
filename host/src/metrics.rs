//! Every metric, named once. Names and labels are kube-apiserver's where it has the same thing
//! (k8s.io/apiserver, pkg/endpoints/metrics/metrics.go); ours begin with `plugin_`.
//!
//! No label takes what a client sends: unknown groups, versions and resources are counted without a name.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::api::RequestInfo;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    dry_run: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    /// `cluster`, `namespace` or `resource`; empty for paths.
    scope: &'static str,
    component: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestCodeLabels {
    verb: &'static str,
    dry_run: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    component: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    request_kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Boundaries of kube-apiserver's request durations, in seconds.
const REQUEST_SECONDS: [f64; 16] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0,
];

pub struct Metrics {
    registry: Registry,
    requests: Family<RequestCodeLabels, Counter>,
    durations: Family<RequestLabels, Histogram, fn() -> Histogram>,
    /// Looked up once: each request counts in them.
    in_flight: InFlightGauges,
    long_running: Family<RequestLabels, Gauge>,
    authentications: Results,
    authorizations: Results,
    plugins: Gauge<i64, AtomicI64>,
}

struct InFlightGauges {
    read_only: Gauge,
    mutating: Gauge,
}

/// Counts by result, the usual one at hand.
struct Results {
    all: Family<ResultLabel, Counter>,
    usual: (&'static str, Counter),
}

impl Results {
    fn of(all: Family<ResultLabel, Counter>, usual: &'static str) -> Self {
        let counter = all.get_or_create_owned(&ResultLabel { result: usual });
        Self {
            all,
            usual: (usual, counter),
        }
    }

    fn count(&self, result: &'static str) {
        match result == self.usual.0 {
            true => self.usual.1.inc(),
            false => self.all.get_or_create(&ResultLabel { result }).inc(),
        };
    }
}

/// Counts a request as in flight for as long as it lives.
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        registry.register(
            "apiserver_request",
            "Requests by what was asked and how it was answered",
            requests.clone(),
        );
        let durations =
            Family::new_with_constructor((|| Histogram::new(REQUEST_SECONDS)) as fn() -> Histogram);
        registry.register_with_unit(
            "apiserver_request_duration",
            "How long answers took, watches apart",
            Unit::Seconds,
            durations.clone(),
        );
        let in_flight = Family::<KindLabel, Gauge>::default();
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests that are being answered",
            in_flight.clone(),
        );
        let kind = |request_kind| in_flight.get_or_create_owned(&KindLabel { request_kind });
        let in_flight = InFlightGauges {
            read_only: kind("readOnly"),
            mutating: kind("mutating"),
        };
        let long_running = Family::default();
        registry.register(
            "apiserver_longrunning_requests",
            "Watches that are open",
            long_running.clone(),
        );
        let authentications = Family::default();
        registry.register(
            "authentication_attempts",
            "Authentications by their result",
            authentications.clone(),
        );
        let authorizations = Family::default();
        registry.register(
            "authorization_attempts",
            "Authorizations by their result",
            authorizations.clone(),
        );
        let plugins = Gauge::default();
        registry.register("plugin_loaded", "Plugins that are served", plugins.clone());
        registry.register_collector(Box::new(Process));
        Self {
            registry,
            requests,
            durations,
            in_flight,
            long_running,
            authentications: Results::of(authentications, "success"),
            authorizations: Results::of(authorizations, "allowed"),
            plugins,
        }
    }
}

impl Metrics {
    /// With the state of a store.
    #[must_use]
    pub fn with_store(mut self, is_read_only: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let collector = StoreReadOnly(Box::new(is_read_only));
        self.registry.register_collector(Box::new(collector));
        self
    }

    /// OpenMetrics text, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                String::new()
            }
        }
    }

    /// `is_served`: whether the request is for a resource that there is; else it is counted without its name.
    pub fn observe_request(
        &self,
        info: &RequestInfo,
        is_served: bool,
        code: u16,
        duration: Duration,
    ) {
        let labels = request_labels(info, is_served);
        if !info.is_long_running() {
            self.durations
                .get_or_create(&labels)
                .observe(duration.as_secs_f64());
        }
        let RequestLabels {
            verb,
            dry_run,
            group,
            version,
            resource,
            subresource,
            scope,
            component,
        } = labels;
        let labels = RequestCodeLabels {
            verb,
            dry_run,
            group,
            version,
            resource,
            subresource,
            scope,
            component,
            code,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub fn begin_request(&self, info: &RequestInfo) -> InFlight {
        let is_read = matches!(
            info.verb.as_str(),
            "get" | "list" | "watch" | "head" | "options"
        );
        let gauge = match is_read {
            true => self.in_flight.read_only.clone(),
            false => self.in_flight.mutating.clone(),
        };
        gauge.inc();
        InFlight(gauge)
    }

    /// For the life of a watch on a resource that there is.
    pub fn begin_watch(&self, info: &RequestInfo) -> InFlight {
        let gauge = self
            .long_running
            .get_or_create(&request_labels(info, true))
            .clone();
        gauge.inc();
        InFlight(gauge)
    }

    /// `result`: `success`, `failure` or `error`.
    pub fn count_authentication(&self, result: &'static str) {
        self.authentications.count(result);
    }

    /// `result`: `allowed`, `denied` or `error`.
    pub fn count_authorization(&self, result: &'static str) {
        self.authorizations.count(result);
    }

    pub fn set_plugins(&self, count: usize) {
        self.plugins.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

fn request_labels(info: &RequestInfo, is_served: bool) -> RequestLabels {
    let verb = match info.verb.as_str() {
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "head" => "HEAD",
        _ => "other",
    };
    let named = |text: &str| {
        if is_served {
            text.to_owned()
        } else {
            String::new()
        }
    };
    let scope = match (is_served, info.name.is_empty(), info.namespace.is_empty()) {
        (false, ..) => "",
        (true, false, _) => "resource",
        (true, true, false) => "namespace",
        (true, true, true) => "cluster",
    };
    RequestLabels {
        verb,
        dry_run: "",
        group: named(&info.group),
        version: named(&info.version),
        resource: named(&info.resource),
        subresource: if info.subresource == "status" {
            named("status")
        } else {
            String::new()
        },
        scope,
        component: "apiserver",
    }
}

/// Whether the store refuses writes, asked when it is asked for.
struct StoreReadOnly(Box<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for StoreReadOnly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreReadOnly")
    }
}

impl Collector for StoreReadOnly {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::<i64>::new(i64::from((self.0)()));
        gauge.encode(encoder.encode_descriptor(
            "store_read_only",
            "1 while the store refuses writes: its disk is full or broken",
            None,
            gauge.metric_type(),
        )?)
    }
}

/// What the kernel says of this process (`/proc/self`), read when it is asked for.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Behind the command in parentheses, which may hold spaces: utime is field 14, stime 15, rss 24.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let field = |index: usize| {
            fields
                .get(index - 3)
                .and_then(|it| it.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let page = rustix::param::page_size() as u64;
        let ticks = rustix::param::clock_ticks_per_second();
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of CPU time are far below 2^52 ticks"
        )]
        let seconds = (field(14) + field(15)) as f64 / ticks as f64;
        let cpu = ConstCounter::new(seconds);
        cpu.encode(encoder.encode_descriptor(
            "process_cpu_seconds",
            "CPU time",
            None,
            cpu.metric_type(),
        )?)?;
        let memory = ConstGauge::<i64>::new(i64::try_from(field(24) * page).unwrap_or(i64::MAX));
        memory.encode(encoder.encode_descriptor(
            "process_resident_memory_bytes",
            "Memory",
            None,
            memory.metric_type(),
        )?)?;
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let files = ConstGauge::<i64>::new(i64::try_from(open).unwrap_or(i64::MAX));
        files.encode(encoder.encode_descriptor(
            "process_open_fds",
            "Open files",
            None,
            files.metric_type(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_without_names_what_is_not_served() {
        let metrics = Metrics::default();
        let info = RequestInfo {
            verb: "get".into(),
            group: "made.up".into(),
            ..RequestInfo::default()
        };
        metrics.observe_request(&info, false, 404, Duration::from_millis(1));
        let text = metrics.encode();
        assert!(
            text.contains("apiserver_request_total{verb=\"GET\""),
            "{text}"
        );
        assert!(!text.contains("made.up"), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
