//! `/livez`, `/readyz` and `/healthz` with their checks (H2; k8s.io/apiserver, pkg/server/healthz).

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{StatusCode, Uri};

use super::{Response, response};
use crate::api::{query, quote};

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
        _ => {
            let mut response = response::text(StatusCode::OK, "ok");
            // Upstream writes it itself here, without the helper that sets this header.
            response.headers_mut().remove(X_CONTENT_TYPE_OPTIONS);
            response
        }
    })
}

fn all_checks(endpoint: &str, parameters: &str, mut checks: Vec<Check>) -> Response {
    let mut is_verbose = false;
    let mut excluded = BTreeSet::new();
    for (key, value) in query::pairs(parameters) {
        match &*key {
            "verbose" => is_verbose = true,
            "exclude" => {
                excluded.insert(value.into_owned());
            }
            _ => {}
        }
    }
    let known: Vec<String> = checks.iter().map(|it| it.name.clone()).collect();
    let unknown: Vec<String> = excluded
        .iter()
        .filter(|it| !known.contains(it))
        .map(|it| quote(it))
        .collect();
    let mut text = String::new();
    let mut failed = Vec::new();
    checks.sort_by_key(|it| it.is_notice);
    for check in &checks {
        if excluded.contains(&check.name) {
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
    if !unknown.is_empty() {
        text += &format!(
            "warn: some health checks cannot be excluded: no matches for {}\n",
            unknown.join(",")
        );
    }
    if !failed.is_empty() {
        tracing::debug!(problems = failed.join("; "), "{endpoint} failed");
        text += &format!("{endpoint} check failed\n");
        return response::text(StatusCode::INTERNAL_SERVER_ERROR, &text);
    }
    if !is_verbose {
        return response::text(StatusCode::OK, "ok");
    }
    text += &format!("{endpoint} check passed\n");
    response::text(StatusCode::OK, &text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.expect("infallible");
        String::from_utf8_lossy(&body.to_bytes()).into_owned()
    }

    #[tokio::test]
    async fn leaves_out_the_checks_that_are_named() {
        let check = |name: &str, problem: Option<&str>| Check {
            name: name.into(),
            problem: problem.map(str::to_owned),
            is_notice: false,
            is_alive_check: true,
        };
        let checks = move || vec![check("b", Some("broken")), check("a,c", None)];
        let health = Health::new(Arc::new(checks));
        let ask = |target: &str| {
            health
                .answer(&target.parse().expect("a path"))
                .expect("health")
        };
        assert_eq!(ask("/livez").status(), 500);
        let answer = ask("/livez?exclude=b");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        expect![[r#"
            [+]ping ok
            [+]b excluded: ok
            [+]a,c ok
            warn: some health checks cannot be excluded: no matches for "a","c"
            livez check passed
        "#]]
        .assert_eq(
            &text(ask(
                "/livez?verbose&exclude=c&exclude=b&exclude=a&exclude=b",
            ))
            .await,
        );
    }
}
