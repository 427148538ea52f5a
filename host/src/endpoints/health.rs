//! `/livez`, `/readyz` and `/healthz` with their checks (H2; k8s.io/apiserver, pkg/server/healthz).

use std::sync::Arc;

use http::{HeaderValue, StatusCode, Uri};

use super::{Response, response};

/// One part of the server.
pub struct Check {
    pub name: String,
    /// Why it fails; shown to nobody but in the log, unless `is_notice`.
    pub problem: Option<String>,
    /// A feature that is off, or a plugin that could not be loaded: shown with `?verbose`, and never a reason
    /// not to be ready.
    pub is_notice: bool,
    /// Whether a failure means that a restart helps.
    pub is_alive_check: bool,
}

/// Says how the parts are, each time it is asked.
pub type Checks = dyn Fn() -> Vec<Check> + Send + Sync;

pub struct Health {
    checks: Arc<Checks>,
}

impl Health {
    pub fn new(checks: Arc<Checks>) -> Self {
        Self { checks }
    }

    pub fn is_ready(&self) -> bool {
        (self.checks)()
            .iter()
            .all(|it| it.is_notice || it.problem.is_none())
    }

    /// `None` where the path is none of health, or names no check.
    pub fn answer(&self, uri: &Uri) -> Option<Response> {
        let path = uri.path().trim_end_matches('/');
        let (endpoint, single) = match path.strip_prefix('/')?.split_once('/') {
            Some((endpoint, single)) => (endpoint, Some(single)),
            None => (path.strip_prefix('/')?, None),
        };
        if !matches!(endpoint, "livez" | "readyz" | "healthz") {
            return None;
        }
        let mut checks = (self.checks)();
        checks.insert(
            0,
            Check {
                name: "ping".into(),
                problem: None,
                is_notice: false,
                is_alive_check: true,
            },
        );
        checks.retain(|it| endpoint != "livez" || it.is_alive_check);
        match single {
            Some(name) => single_check(endpoint, name, &checks),
            None => Some(all_checks(
                endpoint,
                uri.query().unwrap_or_default(),
                checks,
            )),
        }
    }
}

fn single_check(endpoint: &str, name: &str, checks: &[Check]) -> Option<Response> {
    let check = checks.iter().find(|it| it.name == name)?;
    Some(match &check.problem {
        Some(problem) if !check.is_notice => {
            tracing::debug!(check = name, problem, "a check of {endpoint} failed");
            let text = format!("internal server error: {problem}\n");
            response::text(StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
        _ => response::text(StatusCode::OK, "ok"),
    })
}

fn all_checks(endpoint: &str, query: &str, mut checks: Vec<Check>) -> Response {
    let mut is_verbose = false;
    let mut excluded = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "verbose" => is_verbose = true,
            "exclude" => excluded.extend(value.split(',').map(str::to_owned)),
            _ => {}
        }
    }
    let mut text = String::new();
    let mut failed = Vec::new();
    checks.sort_by_key(|it| it.is_notice);
    for check in &checks {
        if let Some(at) = excluded.iter().position(|it| *it == check.name) {
            excluded.remove(at);
            text += &format!("[+]{} excluded: ok\n", check.name);
            continue;
        }
        match &check.problem {
            None => text += &format!("[+]{} ok\n", check.name),
            Some(problem) if check.is_notice => text += &format!("[!]{}: {problem}\n", check.name),
            Some(problem) => {
                text += &format!("[-]{} failed: {problem}\n", check.name);
                failed.push(format!("{}: {problem}", check.name));
            }
        }
    }
    if !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|it| format!("{it:?}")).collect();
        text += &format!(
            "warn: some health checks cannot be excluded: no matches for {}\n",
            names.join(",")
        );
    }
    if !failed.is_empty() {
        tracing::debug!(problems = failed.join("; "), "{endpoint} failed");
        text += &format!("{endpoint} check failed\n");
        return response::text(StatusCode::INTERNAL_SERVER_ERROR, &text);
    }
    if !is_verbose {
        return plain(StatusCode::OK, "ok");
    }
    text += &format!("{endpoint} check passed\n");
    plain(StatusCode::OK, &text)
}

fn plain(code: StatusCode, text: &str) -> Response {
    let mut answer = response::text(code, text);
    answer.headers_mut().insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}
