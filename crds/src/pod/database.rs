//! The databases that pods connect to.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A database that pods connect to, and the environment variables that say how.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRef {
    /// The `Database`, in the same namespace.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// Which environment variable gets what.
    pub env: DatabaseVariables,
}

/// Names of environment variables; each is set where it is written.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.host) || has(self.port) || has(self.database) || has(self.user) || has(self.password) || has(self.url)")
    .message("env names no variable: write at least one of host, port, database, user, password or url"))]
pub struct DatabaseVariables {
    /// Gets the host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub host: Option<String>,
    /// Gets the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub port: Option<String>,
    /// Gets the database's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub database: Option<String>,
    /// Gets the user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub user: Option<String>,
    /// Gets the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub password: Option<String>,
    /// Gets all of it, as `postgresql://user:password@host:port/database` or `mysql://…`, percent-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub url: Option<String>,
}

impl DatabaseVariables {
    /// The key of the connection Secret and the variable that gets it, for each that is written.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let Self { host, port, database, user, password, url } = self;
        let all = [
            ("host", host),
            ("port", port),
            ("database", database),
            ("user", user),
            ("password", password),
            ("url", url),
        ];
        all.into_iter().filter_map(|(key, variable)| Some((key, variable.as_ref()?)))
    }
}

/// The name of an environment variable.
fn variable(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[-._a-zA-Z][-._a-zA-Z0-9]*$"})
}
