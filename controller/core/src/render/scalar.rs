//! What a YAML scalar means, exactly as kubectl reads it: the rules of go-yaml 2 under `sigs.k8s.io/yaml`, which are neither
//! YAML 1.1 nor 1.2. `yes` is true, `010` is 8, `08` is 8, `0o14` is 12, `1_000` is 1000, `1:30` is text, `1e3` is an
//! integer. The table in the tests was printed by kubectl 1.36.

use base64::Engine as _;
use serde_json::{Number, Value};

use super::error::short;

/// The value of a scalar. `tag` is the explicit tag's short form (`!!int`), where there is one.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return if plain { to_json(natural(text), text) } else { Ok(text.into()) };
    };
    let found = natural(text);
    match (tag, found) {
        ("!!null", Natural::Null) => Ok(Value::Null),
        ("!!bool", Natural::Bool(value)) => Ok(value.into()),
        ("!!int" | "!!float", found @ Natural::Int(_)) | ("!!float", found @ Natural::Float(_)) => to_json(found, text),
        ("!!null" | "!!bool" | "!!int" | "!!float", _) => {
            Err(format!("`{}` is not what its tag {tag} says: correct the value, or remove the tag", short(text)))
        }
        ("!!binary", _) => binary(text),
        _ => Ok(text.into()),
    }
}

/// A scalar as mapping key: JSON has only text there.
pub(super) fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Some(int.to_string()),
            // Go prints the rest with an exponent, and in single precision.
            #[allow(clippy::cast_possible_truncation)]
            (None, Some(float)) if (1e-4..1e6).contains(&float.abs()) => Some((float as f32).to_string()),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

enum Natural {
    Null,
    Bool(bool),
    Int(Number),
    Float(f64),
    Text,
}

fn to_json(natural: Natural, text: &str) -> Result<Value, String> {
    Ok(match natural {
        Natural::Null => Value::Null,
        Natural::Bool(value) => value.into(),
        Natural::Int(number) => Value::Number(number),
        Natural::Float(value) => Value::Number(number(value).ok_or_else(|| {
            format!("`{}` is a number that JSON does not have: put it in quotes if it is meant as text", short(text))
        })?),
        Natural::Text => text.into(),
    })
}

/// A float as it arrives at the API server after kubectl printed it as JSON: a whole number has lost its point on the way.
fn number(value: f64) -> Option<Number> {
    #[allow(clippy::cast_possible_truncation)] // whole, and below the largest i64 by the condition
    if value.fract() == 0.0 && value.abs() < 9.2e18 {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

fn natural(text: &str) -> Natural {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Natural::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Natural::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Natural::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Natural::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Natural::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Natural::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Natural::Text;
    }
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    if let Some(int) = integer(&digits) {
        return Natural::Int(int);
    }
    match looks_like_float(&digits).then(|| digits.parse::<f64>()) {
        Some(Ok(value)) if value.is_finite() => Natural::Float(value),
        _ => Natural::Text,
    }
}

/// Go's `strconv.ParseInt` and then `ParseUint`, both with base 0.
fn integer(text: &str) -> Option<Number> {
    let (negative, unsigned, signed) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..], true),
        b'+' => (false, &text[1..], true),
        _ => (false, text, false),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', _, ..] => (&lower[2..], 16),
        [b'0', b'o', _, ..] => (&lower[2..], 8),
        [b'0', b'b', _, ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Some(value.into()),
        // Only unsigned text reaches Go's second attempt; the API server reads such a number as a float.
        #[allow(clippy::cast_precision_loss)]
        (Err(_), Ok(value)) if !signed => Number::from_f64(value as f64),
        _ => None,
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`, go-yaml's own expression.
fn looks_like_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let some_digits = |s: &str| !s.is_empty() && digits(s);
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => some_digits(fraction),
        Some((whole, fraction)) => some_digits(whole) && digits(fraction),
        None => some_digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(some_digits)
}

/// `!!binary`: base64; what is not UTF-8 inside is replaced, because JSON is text.
fn binary(text: &str) -> Result<Value, String> {
    let compact: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map_err(|_| "the value tagged !!binary is not valid base64: correct it, or remove the tag".to_owned())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each line was fed to `kubectl annotate --local -o json` (1.36) as a value, and this is what it printed.
    #[test]
    fn plain_scalars_mean_what_kubectl_says() {
        let table = [
            ("yes", json!(true)),
            ("Yes", json!(true)),
            ("y", json!(true)),
            ("N", json!(false)),
            ("no", json!(false)),
            ("on", json!(true)),
            ("Off", json!(false)),
            ("oN", json!("oN")),
            ("tRue", json!("tRue")),
            ("~", json!(null)),
            ("", json!(null)),
            ("nULL", json!("nULL")),
            ("010", json!(8)),
            ("0644", json!(420)),
            ("0o14", json!(12)),
            ("0O17", json!(15)),
            ("0x1F", json!(31)),
            ("0X1f", json!(31)),
            ("0b101", json!(5)),
            ("-0b11", json!(-3)),
            ("+12", json!(12)),
            ("-0x1f", json!(-31)),
            ("08", json!(8)),
            ("09.5", json!(9.5)),
            ("1_000", json!(1000)),
            ("1__0", json!(10)),
            ("_1", json!("_1")),
            ("0_8", json!(8)),
            ("1e3", json!(1000)),
            ("1E3", json!(1000)),
            ("1e+3", json!(1000)),
            (".5", json!(0.5)),
            (".", json!(".")),
            (".e3", json!(".e3")),
            ("1.", json!(1)),
            ("-.5", json!(-0.5)),
            ("+.5", json!(0.5)),
            ("1.0", json!(1)),
            ("1e21", json!(1e21)),
            ("1e400", json!("1e400")),
            ("18446744073709551615", json!(1.844_674_407_370_955_2e19)),
            ("9223372036854775807", json!(i64::MAX)),
            ("9223372036854775808", json!(9.223_372_036_854_776e18)),
            ("99999999999999999999", json!(1e20)),
            ("1:30", json!("1:30")),
            ("12:30:45", json!("12:30:45")),
            ("2001-01-01", json!("2001-01-01")),
            ("2001-12-14t21:59:43.10-05:00", json!("2001-12-14t21:59:43.10-05:00")),
            ("0x", json!("0x")),
            ("0b2", json!("0b2")),
            ("0o8", json!("0o8")),
            ("00", json!(0)),
            ("-0", json!(0)),
            ("-0.0", json!(0)),
            ("0x1p3", json!("0x1p3")),
            ("1e", json!("1e")),
            ("inf", json!("inf")),
            ("nan", json!("nan")),
            ("..5", json!("..5")),
            ("5Gi", json!("5Gi")),
            (".5_0", json!(0.5)),
            ("1_0.5", json!(10.5)),
            ("=", json!("=")),
            ("-", json!("-")),
            ("0777777777777777777777777", json!(7.777_777_777_777_778e23)),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text, true, None), Ok(expected), "{text}");
        }
    }

    #[test]
    fn quotes_and_tags_decide_before_the_spelling_does() {
        assert_eq!(resolve("0644", false, None), Ok(json!("0644")));
        assert_eq!(resolve("12", true, Some("!!str")), Ok(json!("12")));
        assert_eq!(resolve("12", false, Some("!!int")), Ok(json!(12)));
        assert_eq!(resolve("3", false, Some("!!float")), Ok(json!(3)));
        assert_eq!(resolve("yes", false, Some("!!bool")), Ok(json!(true)));
        assert_eq!(resolve("12", true, Some("!foo")), Ok(json!("12")));
        assert_eq!(resolve("aGk=", true, Some("!!binary")), Ok(json!("hi")));
        assert_eq!(resolve("", false, Some("!!null")), Ok(json!(null)));
        for (text, tag) in [("x", "!!int"), ("1.0", "!!int"), ("x", "!!bool"), ("x", "!!null"), ("a", "!!binary")] {
            assert!(resolve(text, true, Some(tag)).is_err(), "{tag} {text}");
        }
        for text in [".inf", "-.Inf", ".nan"] {
            assert!(resolve(text, true, None).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_become_text_as_in_json() {
        let as_key = |text| key(&resolve(text, true, None).expect("a scalar"));
        for (text, expected) in
            [("1", "1"), ("010", "8"), ("1e3", "1000"), ("yes", "true"), ("1.5", "1.5"), ("1.0", "1")]
        {
            assert_eq!(as_key(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(as_key("~"), None);
        assert_eq!(as_key("1e30"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in ".{0,30}", plain: bool) {
            if let Ok(value) = resolve(&text, plain, None) {
                proptest::prop_assert!(plain || value == json!(text));
            }
        }

        #[test]
        fn every_integer_means_itself(value: i64) {
            proptest::prop_assert_eq!(resolve(&value.to_string(), true, None), Ok(json!(value)));
        }
    }
}
