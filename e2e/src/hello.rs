//! The manifest of the web app that tests deploy: `e2e/testbed/apps/hello`, in the versions that are in the registry.

use std::fmt::Write as _;

use crate::testbed::Testbed;

/// A `WebApp` that runs the test image, to be changed and written as YAML.
#[derive(Clone, Debug)]
pub struct Hello {
    name: String,
    image: String,
    host: String,
    env: Vec<(String, String)>,
    health: String,
    more: String,
}

impl Hello {
    /// The app `name` in version `tag`, reached under `host`.
    pub fn new(name: &str, tag: &str, host: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: format!("{}/hello:{tag}", Testbed::shared().registry()),
            host: host.to_owned(),
            env: Vec::new(),
            // Tests that are not about it do not wait for it.
            health: "probation: 0s".to_owned(),
            more: String::new(),
        }
    }

    /// The same app in another version.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.image = format!("{}/hello:{tag}", Testbed::shared().registry());
        self
    }

    /// The same app from another image.
    #[must_use]
    pub fn of(mut self, image: &str) -> Self {
        image.clone_into(&mut self.image);
        self
    }

    /// Sets an environment variable: see the app for those that it reads.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds fields to `health`, separated by commas.
    #[must_use]
    pub fn health(mut self, fields: &str) -> Self {
        let _ = write!(self.health, ", {fields}");
        self
    }

    /// With the probation that apps have which do not speak of it.
    #[must_use]
    pub fn with_probation(mut self) -> Self {
        self.health = self.health.replace("probation: 0s", "probation: 10s");
        self
    }

    /// Adds fields to the spec, as YAML without indentation.
    #[must_use]
    pub fn spec(mut self, yaml: &str) -> Self {
        for line in yaml.trim().lines() {
            let _ = writeln!(self.more, "  {line}");
        }
        self
    }

    /// A volume of its own, in which it writes.
    #[must_use]
    pub fn with_volume(self, retention: &str) -> Self {
        self.env("DATA_DIR", "/data").spec(&format!(
            "volumes:\n- name: data\n  mounts: [{{mountPath: /data}}]\n  claim: {{resources: {{requests: {{storage: 16Mi}}}}, retentionPolicy: {retention}}}"
        ))
    }

    /// The image.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The manifest.
    pub fn yaml(&self) -> String {
        let Self { name, image, host, env, health, more } = self;
        let mut text = format!(
            "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata:\n  name: {name}\nspec:\n  image: {image}\n  ports: [{{name: http, port: 8080}}]\n  routes:\n  - {{host: {host}, path: /, to: {{app: {{}}}}}}\n  health: {{{health}}}\n"
        );
        if !env.is_empty() {
            text.push_str("  env:\n");
            for (name, value) in env {
                let _ = writeln!(text, "  - {{name: {name}, value: {value:?}}}");
            }
        }
        text + more
    }
}
