//! The mounted Secret. Credentials come from there alone: never from the environment, never from a cloud's metadata service.

use std::fs;
use std::path::Path;

use drover_core::errand::{Reason, Refusal};

use crate::failure::Final as _;

/// What may be in the Secret.
#[derive(Default)]
pub struct Secret {
    key_id: Option<String>,
    signing_key: Option<String>,
    session_token: Option<String>,
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
    /// Certificates of an authority, in PEM.
    pub ca: Option<Vec<u8>>,
}

/// What signs requests to S3.
pub struct Keys {
    pub id: String,
    pub secret: String,
    pub session: Option<String>,
}

/// What proves to a web server who asks.
pub enum Login {
    Basic { user: String, password: String },
    Bearer(String),
}

impl Secret {
    /// Reads the files of the folder that it is mounted at.
    pub fn read(folder: &Path) -> Result<Self, Refusal> {
        if !folder.is_dir() {
            return Err(Refusal::new(Reason::BadSecret, "the Secret is not mounted"));
        }
        let bytes = |name: &str| match fs::read(folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).or_final(Reason::BadSecret, format!("the Secret's key {name} cannot be read")),
        };
        // People end files with a newline, and no credential does.
        let text = |name: &str| {
            let bytes = bytes(name)?;
            let text =
                bytes.map(|bytes| String::from_utf8(bytes).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()));
            match text {
                None => Ok(None),
                Some(Ok(text)) if !text.is_empty() && !text.contains(char::is_control) => Ok(Some(text)),
                Some(_) => Err(Refusal::new(
                    Reason::BadSecret,
                    format!("the Secret's key {name} is empty or not one line of text"),
                )),
            }
        };
        Ok(Self {
            key_id: text("AWS_ACCESS_KEY_ID")?,
            signing_key: text("AWS_SECRET_ACCESS_KEY")?,
            session_token: text("AWS_SESSION_TOKEN")?,
            username: text("username")?,
            password: text("password")?,
            token: text("token")?,
            ca: bytes("ca.crt")?,
        })
    }

    /// What signs requests to S3.
    pub fn keys(&self) -> Result<Keys, Refusal> {
        let (Some(id), Some(secret)) = (self.key_id.clone(), self.signing_key.clone()) else {
            return Err(missing("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        };
        Ok(Keys { id, secret, session: self.session_token.clone() })
    }

    /// What proves to a web server who asks.
    pub fn login(&self) -> Result<Login, Refusal> {
        match (&self.token, &self.username, &self.password) {
            (Some(token), None, None) => Ok(Login::Bearer(token.clone())),
            (None, Some(user), Some(password)) => Ok(Login::Basic { user: user.clone(), password: password.clone() }),
            _ => Err(missing("either token, or username and password")),
        }
    }
}

fn missing(keys: &str) -> Refusal {
    Refusal::new(Reason::BadSecret, format!("the Secret must have the keys {keys}"))
}
