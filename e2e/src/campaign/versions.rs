//! What a rollout brings out: a system in a few versions.

use std::collections::BTreeMap;

use crate::broker::ServiceAddresses;
use crate::git_repo::GitRepo;
use crate::namespace::Namespace;
use crate::system::System;

/// A system in a few versions, each of which a push brings out after the one before.
#[derive(Clone)]
pub struct Versions {
    /// The files of each, with their names.
    files: Vec<Vec<(String, String)>>,
    /// The names of its apps, in the order of their letters.
    pub(super) apps: Vec<Vec<String>>,
    /// The variables of its Environment.
    variables: Vec<(String, String)>,
    /// Objects that are in the namespace before.
    beside: Vec<String>,
}

impl Versions {
    /// What stands in files and variables for the host of the namespace.
    pub const HOST: &str = "the-host-of-the-namespace";

    /// What stands in files for an address of a Service that only the namespace has, where [`ServiceAddresses`](crate::ServiceAddresses) lead.
    pub const SERVICE_ADDRESS: &str = "an-address-of-the-namespace";

    /// A system of some web apps, at least three after the push: all but two get a new version, one is removed, one is new, and so is one
    /// of its two ConfigMaps.
    pub fn of_apps(apps: usize) -> Self {
        let removed = apps - 2;
        let numbers = [(0..apps - 1).collect::<Vec<_>>(), (0..apps).filter(|number| *number != removed).collect()];
        let files = [(&numbers[0], 1, "first"), (&numbers[1], 2, "second")].map(|(numbers, version, what)| {
            let apps = numbers.iter().map(|number| (format!("{}.yaml", app(*number)), hello(*number, version)));
            let texts = ["always", what].map(|name| {
                let text =
                    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{text: {name}}}\n");
                (format!("{name}.yaml"), text)
            });
            apps.chain(texts).collect()
        });
        let apps = numbers.map(|numbers| {
            let mut names: Vec<String> = numbers.into_iter().map(app).collect();
            names.sort();
            names
        });
        Self { files: files.into(), apps: apps.into(), variables: Vec::new(), beside: Vec::new() }
    }

    /// These versions of an example, each with these apps, in order. Wherever the files say [`Versions::HOST`] the host of the namespace will be.
    pub fn of_example(versions: impl IntoIterator<Item = System>, apps: &[&str]) -> Self {
        let files: Vec<_> = versions.into_iter().map(System::into_files).collect();
        let apps = vec![apps.iter().map(|app| (*app).to_owned()).collect(); files.len()];
        Self { files, apps, variables: Vec::new(), beside: Vec::new() }
    }

    /// With that variable of its Environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With these objects, as YAML, in the namespace before.
    #[must_use]
    pub fn beside(mut self, yaml: &str) -> Self {
        self.beside.push(yaml.to_owned());
        self
    }

    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    pub(super) fn prepare(&self, namespace: &Namespace) {
        self.beside.iter().for_each(|yaml| namespace.apply(yaml));
    }

    pub(super) fn variables(&self, namespace: &Namespace) -> Option<BTreeMap<String, String>> {
        let here = |(name, value): &(String, String)| (name.clone(), value.replace(Self::HOST, &namespace.host()));
        (!self.variables.is_empty()).then(|| self.variables.iter().map(here).collect())
    }

    pub(super) fn push(&self, namespace: &Namespace, repo: &GitRepo, version: usize) -> String {
        let address = ServiceAddresses::of_namespace(namespace);
        let here = |(name, text): &(String, String)| {
            (name.clone(), text.replace(Self::HOST, &namespace.host()).replace(Self::SERVICE_ADDRESS, &address))
        };
        let files: Vec<(String, String)> = self.files[version].iter().map(here).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        repo.push(&files, &format!("version {version}"))
    }
}

fn app(number: usize) -> String {
    format!("web-{number}")
}

fn hello(number: usize, version: u32) -> String {
    let name = app(number);
    // With `Never` no registry is asked; the pods are only played, and pass no probation.
    let hello = System::first("hello")
        .with("hello:1", &format!("hello:{version}\n  imagePullPolicy: Never\n  health: {{probation: 0s}}"))
        .with("hello.example.org", &format!("{name}.{}", Versions::HOST))
        .with("{name: hello}", &format!("{{name: {name}}}"));
    // One app reads a ConfigMap, whose copy is made with its release, and has jobs at the moments of its releases.
    let more = if number == 0 {
        "  envFrom: [{configMapRef: {name: always}}]\n  jobs:\n  - {name: migrate, at: BeforeDeploy, command: [\"true\"]}\n  - {name: warm, at: AfterDeploy, command: [\"true\"]}\n"
    } else {
        ""
    };
    format!("{}{more}", hello.text())
}
