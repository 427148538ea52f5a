//! Percentiles of what was measured.

use std::time::Duration;

/// Microseconds below which so many percent of the samples are; 0 where there are none.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = (sorted.len() * percent / 100).min(last);
    sorted[at].as_secs_f64() * 1e6
}

/// The middle one; 0 where there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        let of = |percent| percentile(&samples, percent).round();
        assert_eq!((of(0), of(50), of(99), of(100)), (1.0, 51.0, 100.0, 100.0));
        assert_eq!(percentile(&samples[..1], 99).round(), 1.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
