//! What stands for something else in a recorded request.
//!
//! `$NS` is a namespace of the case's own and `$ID` a name of its own; `${*3:text*}` is the text three times;
//! `${step:dotted.path}` is a value out of the JSON that an earlier step was answered with, and
//! `${step:dotted.path+1}` that number and one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use regex::{Captures, Regex};

use super::json::Json;

static REPEAT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)\$\{\*(\d+):(.*?)\*\}").expect("the pattern is a constant"));
static LOOK_UP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$\{([\w-]+):([\w.\-]+)(\+\d+)?\}").expect("the pattern is a constant")
});

/// What placeholders stand for at one point of a case.
#[derive(Debug, Clone)]
pub struct Values {
    pub namespace: String,
    pub id: String,
    /// What the steps before were answered with.
    pub answers: BTreeMap<String, Json>,
}

impl Values {
    /// # Errors
    /// If an answer that is asked for does not have the value.
    pub fn fill_in(&self, text: &str) -> Result<String> {
        let text = text
            .replace("$NS", &self.namespace)
            .replace("$ID", &self.id);
        let repeated = REPEAT.replace_all(&text, |found: &Captures<'_>| {
            found[1]
                .parse()
                .map_or_else(|_| found[0].to_owned(), |times| found[2].repeat(times))
        });
        let mut filled = String::new();
        let mut end = 0;
        for found in LOOK_UP.captures_iter(&repeated) {
            let whole = found.get_match();
            filled.push_str(&repeated[end..whole.start()]);
            let value = self
                .look_up(&found[1], &found[2], found.get(3).map(|it| it.as_str()))
                .with_context(|| whole.as_str().to_owned())?;
            filled.push_str(&value);
            end = whole.end();
        }
        filled.push_str(&repeated[end..]);
        Ok(filled)
    }

    fn look_up(&self, step: &str, path: &str, plus: Option<&str>) -> Result<String> {
        let mut found = self
            .answers
            .get(step)
            .with_context(|| format!("the step {step} was not answered with a body"))?;
        for part in path.split('.') {
            found = match found {
                Json::List(items) => items.get(part.parse::<usize>()?),
                _ => found.get(part),
            }
            .with_context(|| format!("no {part} in what {step} was answered with"))?;
        }
        let text = match found {
            Json::Text(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            other => anyhow::bail!("neither a text nor a number: {other}"),
        };
        match plus {
            Some(plus) => Ok((text.parse::<i64>()? + plus.parse::<i64>()?).to_string()),
            None => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Result<Values> {
        let answer = r#"{"metadata": {"resourceVersion": "41"}, "items": [{"size": 3}]}"#;
        Ok(Values {
            namespace: "ns-1".into(),
            id: "id-1".into(),
            answers: [("a-b".to_owned(), Json::read(answer)?)].into(),
        })
    }

    #[test]
    fn fills_in_names_repetitions_and_earlier_values() -> Result<()> {
        let text =
            "$NS/x-$ID/${*3:a\n*}/${a-b:metadata.resourceVersion+1}/${a-b:items.0.size}/${no}";
        let filled = values()?.fill_in(text)?;
        assert_eq!(filled, "ns-1/x-id-1/a\na\na\n/42/3/${no}");
        Ok(())
    }

    #[test]
    fn says_which_value_is_missing() -> Result<()> {
        for text in ["${a-b:metadata.uid}", "${c:metadata}", "${a-b:items.x}"] {
            let err = values()?.fill_in(text).expect_err(text);
            assert_eq!(err.to_string(), text);
        }
        Ok(())
    }
}
