//! How to connect to a Database. The password is made once; what is there is kept, whoever wrote it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::ValidatedDatabase;

/// The key of the connection Secret that holds the password.
pub const PASSWORD: &str = "password";

/// The longest password that is taken, in bytes: the servers' own limits are above that, and their clients' are not.
const LONGEST: usize = 1000;

/// How to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    password: String,
}

/// Never the password.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// With the password that the Secret has; `None` where it has none that a client could send.
    pub fn of(secret: &Secret) -> Option<Self> {
        let found = secret.data.as_ref()?.get(PASSWORD)?;
        let password = String::from_utf8(found.0.clone()).ok()?;
        let usable = !password.is_empty() && password.len() <= LONGEST && !password.contains(['\0', '\n', '\r']);
        usable.then_some(Self { password })
    }

    /// With a password of its own: `random` is one that nobody guesses.
    pub fn with(random: &str) -> Self {
        Self { password: random.to_owned() }
    }

    /// The keys and values of the Secret.
    pub fn data(&self, database: &ValidatedDatabase) -> BTreeMap<String, ByteString> {
        let (host, port) = (database.app.object_name(), database.engine.own().port);
        // The name works from everywhere in the cluster.
        let host = format!("{host}.{}.svc", database.app.namespace);
        let url = format!(
            "{}://{}:{}@{host}:{port}/{}",
            database.engine.own().scheme,
            encoded(&database.user),
            encoded(&self.password),
            encoded(&database.database)
        );
        let entries = [
            ("host", host),
            ("port", port.to_string()),
            ("database", database.database.clone()),
            ("user", database.user.clone()),
            (PASSWORD, self.password.clone()),
            ("url", url),
        ];
        entries.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).into()
    }
}

/// As a part of a URL: everything that is not a letter, a digit or one of `-._~` as `%XX`. So every client reads it the same: a space as
/// `+` is read as a plus by some, and `/`, `#`, `?`, `@` and `%` end the password for others.
fn encoded(part: &str) -> String {
    let mut encoded = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_has_no_sign_that_means_something_there() {
        assert_eq!(encoded("aZ09-._~"), "aZ09-._~");
        assert_eq!(encoded("p%41@/:#? +é"), "p%2541%40%2F%3A%23%3F%20%2B%C3%A9");
    }

    #[test]
    fn what_no_client_could_send_is_no_password() {
        let of = |text: &str| {
            let data = BTreeMap::from([(PASSWORD.to_owned(), ByteString(text.as_bytes().to_vec()))]);
            Connection::of(&Secret { data: Some(data), ..Secret::default() })
        };
        assert_eq!(of("p@ss %"), Some(Connection::with("p@ss %")));
        for bad in ["", "a\nb", "a\0b", &"x".repeat(LONGEST + 1)] {
            assert_eq!(of(bad), None);
        }
        assert_eq!(Connection::of(&Secret::default()), None);
        assert_eq!(format!("{:?}", of("hunter2")), "Some(Connection)");
    }
}
