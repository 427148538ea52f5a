//! A row's cells as they are kept: JSON, with gaps where times pass.
//!
//! Everything in a row but an age stays as it is for as long as its object does, so that a row is made once and
//! shown to everybody. Behind the JSON stand the gaps, 16 bytes each (where: 4, since when: 8 and 4), and their
//! number in 4.

use bytes::{BufMut, Bytes};
use jiff::Timestamp;
use serde_json::Value;

use super::duration;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Value(Value),
    /// How long ago this was.
    Since(Timestamp),
}

impl Cell {
    pub fn at(self, now: Timestamp) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Since(time) => age(time, now).into(),
        }
    }
}

fn age(time: Timestamp, now: Timestamp) -> String {
    duration::human(now.duration_since(time))
}

const COUNT_BYTES: usize = 4;
const GAP_BYTES: usize = 16;

/// A JSON array of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Bytes);

impl Row {
    pub fn new(cells: &[Cell]) -> Self {
        let mut json = vec![b'['];
        let mut gaps = Vec::new();
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            match cell {
                Cell::Value(value) => serde_json::to_writer(&mut json, value)
                    .expect("a JSON tree has only string keys"),
                Cell::Since(time) => gaps.push((json.len(), *time)),
            }
        }
        json.push(b']');
        for (at, time) in &gaps {
            json.extend_from_slice(&short(*at).to_le_bytes());
            json.extend_from_slice(&time.as_second().to_le_bytes());
            json.extend_from_slice(&time.subsec_nanosecond().to_le_bytes());
        }
        json.extend_from_slice(&short(gaps.len()).to_le_bytes());
        Self(json.into_boxed_slice().into())
    }

    /// What [`Row::as_bytes`] has returned.
    pub fn of(bytes: &Bytes) -> Self {
        Self(bytes.clone())
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    pub fn length(&self, now: Timestamp) -> usize {
        let (json, gaps) = self.parts();
        let ages = gaps.map(|(_, time)| age(time, now).len() + "\"\"".len());
        json.len() + ages.sum::<usize>()
    }

    /// No row is longer at any time: a gap takes more bytes than an age in quotes.
    pub fn longest(&self) -> usize {
        self.0.len()
    }

    pub fn write(&self, now: Timestamp, out: &mut impl BufMut) {
        let (json, gaps) = self.parts();
        let mut written = 0;
        for (at, time) in gaps {
            out.put_slice(&json[written..at]);
            out.put_slice(b"\"");
            out.put_slice(age(time, now).as_bytes());
            out.put_slice(b"\"");
            written = at;
        }
        out.put_slice(&json[written..]);
    }

    fn parts(&self) -> (&[u8], impl Iterator<Item = (usize, Timestamp)>) {
        let (rest, count) = self.0.split_at(self.0.len() - COUNT_BYTES);
        let count = u32::from_le_bytes(count.try_into().expect("four bytes"));
        let (json, gaps) = rest.split_at(rest.len() - count as usize * GAP_BYTES);
        let gaps = gaps.chunks_exact(GAP_BYTES).map(|gap| {
            let at = u32::from_le_bytes(gap[..4].try_into().expect("four bytes"));
            let second = i64::from_le_bytes(gap[4..12].try_into().expect("eight bytes"));
            let nanosecond = i32::from_le_bytes(gap[12..].try_into().expect("four bytes"));
            let time = Timestamp::new(second, nanosecond).expect("it was a time stamp");
            (at as usize, time)
        });
        (json, gaps)
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("an object has a few MiB at most")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ages_grow_and_the_rest_stays() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let made = time("2026-01-01T00:00:00.25Z");
        let cells = [
            Cell::Value(json!("a\"b")),
            Cell::Since(made),
            Cell::Value(json!(null)),
            Cell::Since(time("2026-01-01T00:04:00Z")),
        ];
        let row = Row::new(&cells);
        let shown = |now: &str| {
            let now = time(now);
            let mut out = Vec::new();
            Row::of(row.as_bytes()).write(now, &mut out);
            assert_eq!(row.length(now), out.len());
            assert!(out.len() <= row.longest());
            let as_values = cells.clone().map(|it| it.at(now));
            assert_eq!(out, serde_json::to_vec(&as_values).expect("JSON"));
            String::from_utf8(out).expect("UTF-8")
        };
        let first = shown("2026-01-01T00:05:00Z");
        assert_eq!(first, r#"["a\"b","4m59s",null,"60s"]"#);
        assert_eq!(
            shown("2026-01-02T00:05:00Z"),
            r#"["a\"b","24h",null,"24h"]"#
        );
        assert_eq!(Row::new(&[]).length(made), 2);
    }
}
