//! Pure: when a registry that gave no image is asked again.

use std::time::Duration;

use super::Error;

/// After what only a person can mend, such as an image that is not pushed yet.
const PERSON: Duration = Duration::from_mins(1);
/// The first and the longest pause while a registry cannot be reached.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// How long after the last of `failures` in a row the same is asked again, unless a person asks sooner. `jitter` from 0 to 1
/// spreads what failed together.
pub(super) fn pause(error: &Error, failures: u32, jitter: f64) -> Duration {
    match error {
        Error::RateLimited { retry_after, .. } => retry_after.unwrap_or(PERSON).max(PERSON),
        Error::Unreachable { .. } | Error::NoClient(_) => {
            let doubled = BACK_OFF.0.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16)));
            doubled.min(BACK_OFF.1).mul_f64(0.8 + 0.4 * jitter)
        }
        Error::Invalid { .. }
        | Error::NotFound { .. }
        | Error::Unauthorised { .. }
        | Error::Refused { .. }
        | Error::Unusable { .. } => PERSON,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_asked_ever_less_often_and_a_limit_is_kept() {
        let (image, registry) = (String::new(), String::new());
        let away = Error::Unreachable { image: image.clone(), registry: registry.clone(), why: String::new() };
        let seconds: Vec<u64> = (1..=10).map(|failures| pause(&away, failures, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(pause(&away, u32::MAX, 0.5).as_secs(), 300);
        let limited = |after: u64| Error::RateLimited {
            image: image.clone(),
            registry: registry.clone(),
            retry_after: Some(Duration::from_secs(after)),
        };
        assert_eq!([5, 600].map(|after| pause(&limited(after), 1, 0.0).as_secs()), [60, 600]);
        assert_eq!(pause(&Error::NotFound { image, registry }, 9, 0.0).as_secs(), 60);
    }
}
