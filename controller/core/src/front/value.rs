//! What of a spec may stand in a configuration: a type for each kind of value, whose constructor refuses all else.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use super::refused::Refused;

/// The host of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    name: String,
    is_wildcard: bool,
}

impl Host {
    /// `www.example.org`, or `*.example.org` for all names one level below.
    pub fn new(text: &str) -> Result<Self, Refused> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !label.is_empty() && label.chars().all(plain) && !label.starts_with('-') && !label.ends_with('-')
        };
        if text.len() <= 253 && name.split('.').all(is_label) {
            Ok(Self { name: name.to_owned(), is_wildcard: name.len() != text.len() })
        } else {
            Err(Refused::Host { host: shown(text) })
        }
    }

    /// The argument of `server_name`.
    pub fn server_name(&self) -> String {
        if self.is_wildcard { format!(r"~^[^.]+\.{}$", escaped(&self.name)) } else { self.name.clone() }
    }

    /// A regular expression of it.
    pub fn pattern(&self) -> String {
        let name = escaped(&self.name);
        if self.is_wildcard { format!(r"[^.:/]+\.{name}") } else { name }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_wildcard { "*." } else { "" }, self.name)
    }
}

/// The path of a route, without a slash at its end; empty for the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// `/api` and `/api/` are one.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "/._~!$&'()*+,;=:@-".contains(c);
        let path = text.strip_suffix('/').unwrap_or(text);
        let segments = || path.split('/').skip(1);
        let is_plain = text.starts_with('/')
            && text.len() <= 1024
            && text.chars().all(allowed)
            && segments().all(|segment| !["", ".", ".."].contains(&segment));
        is_plain.then(|| Self(path.to_owned()))
    }

    /// Whether it is all of a host.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// As it is compared with a request's.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A regular expression of it.
    pub fn pattern(&self) -> String {
        escaped(&self.0)
    }
}

/// A header of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

/// Headers that say how an answer is sent, which is the front's own business.
const OWN: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "location",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Header {
    /// A name of letters, digits and dashes, and a value of printable ASCII without `$`, which would be a variable.
    pub fn new(name: &str, value: &str) -> Result<Self, Refused> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let is_name =
            name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain);
        if !is_name {
            return Err(Refused::HeaderName { name: shown(name) });
        }
        if OWN.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Refused::OwnHeader { name: name.to_owned() });
        }
        let printable = |c: char| (c == ' ' || c.is_ascii_graphic()) && c != '$';
        if value.is_empty() || value.len() > 2000 || !value.chars().all(printable) {
            return Err(Refused::HeaderValue { name: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether it has that name, which is written in small letters.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl FromStr for Cidr {
    type Err = String;

    /// Reads `10.0.0.0/8`, or one address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{:?} is no range of addresses: write one such as 10.0.0.0/8 or 192.0.2.7", shown(text));
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        Ok(Self { address: masked(address, bits), bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The first address of a range: nginx warns of others.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// The name of a set of files, and so of a folder of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetName(String);

impl SetName {
    /// Hexadecimal digits, in small letters.
    pub fn new(text: &str) -> Option<Self> {
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_name.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a volume, and so of the folder of the front's pods where its files are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeName(String);

impl VolumeName {
    /// Lower-case letters, digits and dashes.
    pub fn new(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = (1..=63).contains(&text.len()) && text.chars().all(plain);
        is_name.then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A regular expression of `text` alone.
fn escaped(text: &str) -> String {
    let escape = |c: char| if c.is_ascii_alphanumeric() || c == '/' { String::from(c) } else { format!("\\{c}") };
    text.chars().map(escape).collect()
}

/// What of a person's text is shown again.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
