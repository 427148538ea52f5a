//! A recorded case: requests in order, and what they were answered with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::json::Json;

/// How long a watch is read, and how many events of it, where the case does not say.
const WATCH_SECONDS: f64 = 5.0;
const WATCH_EVENTS: u64 = 1000;

/// One file.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder that it lies in.
    pub suite: String,
    pub name: String,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub enum Step {
    /// The recorded client waited.
    Pause(Duration),
    Request(Request),
}

#[derive(Debug, Clone)]
pub struct Request {
    pub id: String,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Body>,
    /// Events are read, not a body.
    pub watch: Option<Watch>,
    /// It goes on while the next steps run.
    pub is_background: bool,
    /// It only takes away what the case made.
    pub is_cleanup: bool,
    /// The answer, normalised; without one, nothing is compared.
    pub recorded: Option<Json>,
}

#[derive(Debug, Clone)]
pub enum Body {
    /// With placeholders.
    Text(String),
    Bytes(Vec<u8>),
}

/// Events are read until there are so many, the server ends the watch, or the time is over.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    pub duration: Duration,
    pub events: u64,
}

impl Case {
    pub fn read(file: &Path) -> Result<Self> {
        let name = |path: Option<&Path>| {
            let name = path.and_then(Path::file_stem);
            name.map_or_else(String::new, |it| it.to_string_lossy().into_owned())
        };
        let text = std::fs::read_to_string(file)?;
        let steps = Json::read(&text)
            .map_err(anyhow::Error::from)
            .and_then(|it| {
                let steps = it.get("steps").context("no steps")?.items().iter();
                steps.map(Step::read).collect()
            })
            .with_context(|| file.display().to_string())?;
        Ok(Self {
            suite: name(file.parent()),
            name: name(Some(file)),
            steps,
        })
    }

    /// All cases in a folder, by their names.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let entries = std::fs::read_dir(folder)
            .with_context(|| folder.display().to_string())?
            .map(|it| Ok(it?.path()));
        let mut files = entries.collect::<Result<Vec<PathBuf>>>()?;
        files.retain(|it| it.extension().is_some_and(|it| it == "json"));
        files.sort();
        files.iter().map(|it| Self::read(it)).collect()
    }

    /// The requests whose answers are compared.
    pub fn compared(&self) -> impl Iterator<Item = (&Request, &Json)> {
        self.steps.iter().filter_map(|it| match it {
            Step::Request(request) => Some((request, request.recorded.as_ref()?)),
            Step::Pause(_) => None,
        })
    }

    /// `case/step`, by which the tables name an answer.
    #[must_use]
    pub fn label(&self, step: &Request) -> String {
        format!("{}/{}", self.name, step.id)
    }
}

impl Step {
    fn read(step: &Json) -> Result<Self> {
        if let Some(pause) = step.get("sleep") {
            return Ok(Self::Pause(Duration::try_from_secs_f64(number(pause)?)?));
        }
        let mut request = Request {
            id: String::new(),
            method: "GET".into(),
            path: String::new(),
            headers: Vec::new(),
            body: None,
            watch: None,
            is_background: false,
            is_cleanup: false,
            recorded: None,
        };
        for (key, value) in step.fields() {
            match key.as_str() {
                "id" => request.id = text(value)?,
                "method" => request.method = text(value)?,
                "path" => request.path = text(value)?,
                "headers" => {
                    let headers = value.fields().iter();
                    request.headers = headers
                        .map(|(name, value)| Ok((name.clone(), text(value)?)))
                        .collect::<Result<_>>()?;
                }
                "body" => request.body = Some(Body::Text(text(value)?)),
                "bodyHex" => request.body = Some(Body::Bytes(bytes(&text(value)?)?)),
                "watch" => request.watch = Some(Watch::read(value)?),
                "background" => request.is_background = *value == Json::Bool(true),
                "cleanup" => request.is_cleanup = *value == Json::Bool(true),
                "answer" => request.recorded = Some(value.clone()),
                // For people: the text is mostly of the recorded server's own making.
                "loose" => {}
                other => bail!("unknown field of a step: {other}"),
            }
        }
        ensure!(
            !request.id.is_empty() && !request.path.is_empty(),
            "a step without id or path: {step}"
        );
        Ok(Self::Request(request))
    }
}

impl Watch {
    fn read(watch: &Json) -> Result<Self> {
        let value = |key: &str, otherwise: f64| watch.get(key).map_or(Ok(otherwise), number);
        let events = match watch.get("count") {
            Some(Json::Number(count)) => count.as_u64().context("count: not a number of events")?,
            _ => WATCH_EVENTS,
        };
        Ok(Self {
            duration: Duration::try_from_secs_f64(value("seconds", WATCH_SECONDS)?)?,
            events,
        })
    }
}

fn text(value: &Json) -> Result<String> {
    let text = value.as_text().map(str::to_owned);
    text.with_context(|| format!("not a text: {value}"))
}

fn number(value: &Json) -> Result<f64> {
    match value {
        Json::Number(number) => number.as_f64().context("not a number"),
        other => bail!("not a number: {other}"),
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    ensure!(
        hex.len().is_multiple_of(2) && hex.is_ascii(),
        "bodyHex: {hex}"
    );
    let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    pairs
        .map(|pair| Ok(u8::from_str_radix(pair, 16)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> Result<Step> {
        Step::read(&Json::read(text)?)
    }

    #[test]
    fn reads_a_request() -> Result<()> {
        let text = r#"{"id": "w", "path": "/a", "bodyHex": "00ff", "watch": {"count": 2}, "background": true}"#;
        let Step::Request(request) = step(text)? else {
            bail!("a pause");
        };
        assert_eq!(request.method, "GET");
        assert!(matches!(request.body, Some(Body::Bytes(it)) if it == [0, 255]));
        let watch = request.watch.context("no watch")?;
        assert_eq!((watch.duration.as_secs(), watch.events), (5, 2));
        assert!(request.is_background && !request.is_cleanup && request.recorded.is_none());
        Ok(())
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            r#"{"id": "a", "path": "/", "retries": 1}"#,
            r#"{"id": "a"}"#,
            r#"{"id": "a", "path": "/", "bodyHex": "0"}"#,
            r#"{"sleep": -1}"#,
        ] {
            assert!(step(text).is_err(), "{text}");
        }
    }
}
