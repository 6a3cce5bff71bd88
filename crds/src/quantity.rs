//! Sizes, and the comparison of quantities.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of memory or storage with its unit, such as `5Gi`. It is kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Size(String);

/// The text is not a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSize(String);

impl fmt::Display for InvalidSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(40).flat_map(char::escape_debug).collect();
        write!(f, "`{shown}` is not a size: write a number and a unit, such as 500Mi or 5Gi")
    }
}

impl std::error::Error for InvalidSize {}

impl Size {
    /// The pattern that the API server checks.
    pub const PATTERN: &'static str = r"^[0-9]{1,15}(\.[0-9]{1,3})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)$";

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Thousandths of a byte, to compare with other quantities.
    ///
    /// # Panics
    /// Never: a constructed size is a valid quantity.
    pub fn milli_bytes(&self) -> i128 {
        milli_units(&self.0).expect("checked when it was made")
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let known = ["k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"].contains(&unit);
        match milli_units(text) {
            Some(_) if known => Ok(Self(text.to_owned())),
            _ => Err(InvalidSize(text.to_owned())),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN, "minLength": 2, "maxLength": 24})
    }
}

/// The value of a Kubernetes quantity in thousandths, rounded up, as the API server rounds; `None` when it is not one, is
/// negative, or is beyond what a 64-bit number of units holds.
///
/// ```
/// # use drover_crds::milli_units;
/// assert_eq!(milli_units("500m"), Some(500));
/// assert_eq!(milli_units("1Ki"), Some(1_024_000));
/// assert_eq!(milli_units("1e3"), Some(1_000_000));
/// assert_eq!(milli_units("a lot"), None);
/// ```
pub fn milli_units(quantity: &str) -> Option<i128> {
    let digits = quantity.trim_start_matches('+');
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, unit) = digits.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.len() > 12 || fraction.contains('.') {
        return None;
    }
    let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    // Numerator and denominator of the unit, in thousandths.
    let (up, down): (i128, i128) = match unit {
        "" => (1000, 1),
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1000 << 10, 1),
        "Mi" => (1000 << 20, 1),
        "Gi" => (1000 << 30, 1),
        "Ti" => (1000 << 40, 1),
        "Pi" => (1000 << 50, 1),
        "Ei" => (1000 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10_i128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 18)?;
            if power < 0 { (1000, factor) } else { (1000 * factor, 1) }
        }
    };
    let numerator = mantissa.checked_mul(up)?;
    let denominator = scale.checked_mul(down)?;
    let value = numerator.checked_add(denominator - 1)? / denominator;
    (value <= i128::from(i64::MAX) * 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_whatever_their_units() {
        for (less, more) in [("999Mi", "1Gi"), ("1G", "1Gi"), ("0.5Gi", "513Mi"), ("100m", "0.2"), ("1e3", "1001")] {
            assert!(milli_units(less) < milli_units(more), "{less} < {more}");
        }
        assert_eq!(milli_units("1.5Gi"), milli_units("1536Mi"));
        for wrong in ["", "Gi", "1.2.3", "-1", "1 Gi", "5x", "1e99", ".", "99999999999Pi"] {
            assert_eq!(milli_units(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!("5Gi".parse::<Size>().map(|s| s.to_string()), Ok("5Gi".to_owned()));
        let odd = format!("\u{1b}[2J{}", "x".repeat(9000)).parse::<Size>().expect_err("nonsense").to_string();
        assert!(odd.len() < 200 && !odd.contains(char::is_control), "it is shown to people: {odd:?}");
        for wrong in ["5", "500m", "5gi", "", "Gi", "1e3"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
