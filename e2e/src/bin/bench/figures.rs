//! Numbers, and how they are shown.

use std::time::Duration;

/// A line of the table.
pub struct Row {
    what: String,
    value: String,
}

impl Row {
    /// A line.
    pub fn new(what: impl Into<String>, value: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into() }
    }
}

/// Prints lines of the table, in Markdown.
pub fn print(rows: &[Row]) {
    for Row { what, value } in rows {
        println!("| {what} | {value} |");
    }
}

/// The value below which `percent` of the samples lie: of 20 samples, the 99th is the largest.
pub fn percentile(samples: &[Duration], percent: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// A duration as the table shows it.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_were_measured() {
        let samples: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&samples, 50), Duration::from_millis(10));
        assert_eq!(percentile(&samples, 99), Duration::from_millis(20));
        assert_eq!(percentile(&samples[..1], 50), Duration::from_millis(20));
    }
}
