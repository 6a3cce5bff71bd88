//! What a rollout brings out: a system in two versions.

use crate::git_repo::GitRepo;
use crate::namespace::Namespace;
use crate::system::System;

/// What stands in the texts for the host of the namespace.
const HOST: &str = "HOST";

/// A system in two versions, the second of which a push brings out after the first.
#[derive(Clone)]
pub struct Versions {
    /// The files of each, with their names.
    files: [Vec<(String, String)>; 2],
    /// The names of its apps, in the order of their letters.
    pub(super) apps: [Vec<String>; 2],
}

impl Versions {
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
        Self { files, apps }
    }

    /// An example, whose one app has this name and host; `changed` makes of each version what the testbed can bring out.
    pub fn of_example(name: &str, app: &str, host: &str, changed: impl Fn(System) -> System) -> Self {
        let files =
            [System::first(name), System::second(name)].map(|system| changed(system.with(host, HOST)).into_files());
        Self { files, apps: [vec![app.to_owned()], vec![app.to_owned()]] }
    }

    pub(super) fn push(&self, namespace: &Namespace, repo: &GitRepo, version: usize) -> String {
        let here = |(name, text): &(String, String)| (name.clone(), text.replace(HOST, &namespace.host()));
        let files: Vec<(String, String)> = self.files[version].iter().map(here).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        repo.push(&files, ["first", "second"][version])
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
        .with("hello.example.org", &format!("{name}.{HOST}"))
        .with("{name: hello}", &format!("{{name: {name}}}"));
    // One app reads a ConfigMap, whose copy is made with its release, and has jobs at the moments of its releases.
    let more = if number == 0 {
        "  envFrom: [{configMapRef: {name: always}}]\n  jobs:\n  - {name: migrate, at: BeforeDeploy, command: [\"true\"]}\n  - {name: warm, at: AfterDeploy, command: [\"true\"]}\n"
    } else {
        ""
    };
    format!("{}{more}", hello.text())
}
