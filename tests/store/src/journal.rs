//! What a writer did and what it was told, one line an entry: `done 7 41` is attempt 7, acknowledged at revision 41.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result};

/// What is under a key: no value is written twice. `None`: nothing.
pub type Value = Option<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A process has opened the store and found it at this revision.
    Opened { revision: u64 },
    /// A write is about to be asked for, all keys in one commit.
    Tried {
        attempt: u64,
        writes: Vec<(String, Value)>,
    },
    /// It was acknowledged.
    Done { attempt: u64, revision: u64 },
    /// It was refused: whether it is there is not known.
    Refused { attempt: u64 },
    /// A watcher was sent this commit, all of it.
    Saw {
        revision: u64,
        writes: Vec<(String, Value)>,
    },
    /// A watcher could not resume and begins anew from a list at this revision.
    Relisted { revision: u64, items: Items },
    /// The process is inside an operation of the disk and stays there.
    Inside { phase: String },
}

/// All that is under a prefix: the revision that wrote a key, and its value.
pub type Items = BTreeMap<String, (u64, String)>;

/// All entries, over all lives of the writer.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    pub entries: Vec<Entry>,
}

/// What is found in the store after its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub revision: u64,
    pub items: Items,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Value| value.clone().unwrap_or_else(|| "-".into());
        match self {
            Self::Opened { revision } => write!(f, "opened {revision}"),
            Self::Tried { attempt, writes } => {
                write!(f, "tried {attempt}")?;
                for (key, value) in writes {
                    write!(f, " {key}={}", shown(value))?;
                }
                Ok(())
            }
            Self::Done { attempt, revision } => write!(f, "done {attempt} {revision}"),
            Self::Refused { attempt } => write!(f, "refused {attempt}"),
            Self::Saw { revision, writes } => {
                write!(f, "saw {revision}")?;
                for (key, value) in writes {
                    write!(f, " {key}={}", shown(value))?;
                }
                Ok(())
            }
            Self::Relisted { revision, items } => {
                write!(f, "relisted {revision}")?;
                for (key, (at, value)) in items {
                    write!(f, " {key}={value}@{at}")?;
                }
                Ok(())
            }
            Self::Inside { phase } => write!(f, "inside {phase}"),
        }
    }
}

impl FromStr for Entry {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let mut word = || {
            words
                .next()
                .with_context(|| format!("half a line: {line:?}"))
        };
        Ok(match kind {
            "opened" => Self::Opened {
                revision: word()?.parse()?,
            },
            "tried" => Self::Tried {
                attempt: word()?.parse()?,
                writes: words.map(write).collect::<Result<_>>()?,
            },
            "done" => Self::Done {
                attempt: word()?.parse()?,
                revision: word()?.parse()?,
            },
            "refused" => Self::Refused {
                attempt: word()?.parse()?,
            },
            "saw" => Self::Saw {
                revision: word()?.parse()?,
                writes: words.map(write).collect::<Result<_>>()?,
            },
            "relisted" => Self::Relisted {
                revision: word()?.parse()?,
                items: words.map(item).collect::<Result<_>>()?,
            },
            "inside" => Self::Inside {
                phase: word()?.into(),
            },
            _ => anyhow::bail!("no entry: {line:?}"),
        })
    }
}

fn write(text: &str) -> Result<(String, Value)> {
    let (key, value) = text.split_once('=').context("no key=value")?;
    Ok((key.into(), (value != "-").then(|| value.into())))
}

fn item(text: &str) -> Result<(String, (u64, String))> {
    let (key, rest) = text.split_once('=').context("no key=value@revision")?;
    let (value, at) = rest.split_once('@').context("no key=value@revision")?;
    Ok((key.into(), (at.parse()?, value.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let lines = [
            "opened 1",
            "tried 7 a=x b=-",
            "done 7 41",
            "refused 8",
            "saw 41 b=- c=y",
            "relisted 41 a=x@41 c=y@3",
            "inside commit",
        ];
        for line in lines {
            let entry: Entry = line.parse().expect("an entry");
            assert_eq!(entry.to_string(), line);
        }
        for broken in ["", "done 7", "saw x a=-", "tried 7 a", "test result: ok"] {
            assert!(broken.parse::<Entry>().is_err(), "{broken}");
        }
    }
}
