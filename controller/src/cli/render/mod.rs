//! `drover render`: what the controller would apply, without a cluster.

mod encrypted;
mod files;
mod kinds;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use clap::Args;
use drover_core::branch::{Waiters, circular};
use drover_core::render::{
    Limits, Object, Opened, ScopeError, SourceFile, Stage, Variables, is_name, render_with, scope,
};
use drover_core::sync::ErrandImage;
use drover_core::workload::pods::DataSet;
use drover_crds::{DataSync, Environment, Key, Owner, OwnerKind, Publish};

use super::global::{Format, Global};
use super::{Error, Verdict, output, yaml};
use crate::reconcile::{data_sync, database, queue_processor, web_app};

/// Prints what the controller would apply from a folder, without a cluster.
///
/// Reads the YAML and JSON files below PATH as the controller reads them from a commit, with the same limits and the same
/// findings, and prints the objects in the order in which they would be sent. Two annotations are only known to the
/// controller and left out: the commit, and the hash of what was sent. Whether a custom kind is namespaced is known only to
/// the cluster: its objects keep the namespace that they name, unless their definition is in the folder too.
///
/// Ends with exit code 3 when something is wrong with the files; each finding begins with file and line.
#[derive(Debug, Args)]
pub struct Render {
    /// A folder, or a file.
    path: PathBuf,
    /// Label the objects as those of this Environment, as the controller does.
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
    /// Print the children of each WebApp, QueueProcessor, DataSync and Database too, as a first release would have them, with the image and the
    /// ConfigMaps as they are written.
    #[arg(long)]
    children: bool,
    /// A value for `${NAME}`, as the Environment's spec.substitute has it; may be repeated. Without any `${NAME}` is text.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    substitute: Vec<(String, String)>,
    /// Decrypt what is encrypted with SOPS with the age keys of this file, by the program sops. Without it such files are left out.
    #[arg(long = "age-key", value_name = "FILE")]
    age_file: Option<PathBuf>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if is_name(name) {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!("`{name}` cannot be a variable's name: write letters, digits and _"))
    }
}

/// Runs the command.
pub async fn run(command: &Render, global: &Global) -> Result<Verdict, Error> {
    let mut files = files::read(&command.path, &Limits::default())?;
    if files.is_empty() {
        return Err(Error::BadInput {
            what: command.path.display().to_string(),
            problem: "holds no manifests".to_owned(),
            hint: "drover reads files that end in .yaml, .yml or .json, hidden ones left out".to_owned(),
        });
    }
    let namespace = global.target.namespace.as_deref().unwrap_or("default");
    let variables = (!command.substitute.is_empty()).then(|| Variables::new(command.substitute.clone()));
    let opened = match &command.age_file {
        Some(path) => Some(encrypted::open(&files, path).await?),
        None => {
            for path in encrypted::leave_out(&mut files)? {
                output::warn(&format!(
                    "{path} is encrypted with SOPS: it is left out, and its objects are not checked; --age-key FILE decrypts it, as an Environment does with spec.decryption"
                ));
            }
            None
        }
    };
    let rendered = rendered(&files, namespace, command.environment.as_deref(), variables.as_ref(), opened.as_ref())?;
    refuse_circles(&rendered)?;
    // What a WebApp asks for that cannot be built is a finding, also where nobody wants to see its children.
    let with_children = with_children(rendered.clone())?;
    let objects = if command.children { with_children } else { rendered };
    let text = match global.output {
        Format::Json => output::objects(&objects, Format::Json),
        Format::Text | Format::Yaml => objects.iter().map(document).collect(),
    };
    output::print(&text)?;
    Ok(Verdict::Good)
}

/// The objects in the order of applying.
fn rendered(
    files: &[SourceFile],
    namespace: &str,
    environment: Option<&str>,
    variables: Option<&Variables>,
    opened: Option<&Opened>,
) -> Result<Vec<Object>, Error> {
    let mut objects = render_with(files, &Limits::default(), variables, opened).map_err(|errors| findings(&errors))?;
    settle(&mut objects, namespace).map_err(|errors| findings(&errors))?;
    if let Some(environment) = environment {
        let label = Owner::new(OwnerKind::Environment, namespace, environment).label();
        for object in &mut objects {
            object.set_label(drover_crds::LABEL_OWNER, &label);
        }
    }
    objects.sort_by_key(Stage::of);
    Ok(objects)
}

/// Settles the namespaces. A custom kind that no definition here explains is namespaced if any object of it names a namespace.
fn settle(objects: &mut [Object], namespace: &str) -> Result<(), Vec<ScopeError>> {
    let Err(errors) = scope(objects, kinds::namespaced, namespace) else { return Ok(()) };
    let kind_of = |object: &Object| (object.group().to_owned(), object.kind().to_owned());
    let naming_one: HashSet<_> = objects.iter().filter(|o| o.namespace().is_some()).map(kind_of).collect();
    let unknown: HashMap<_, _> = errors
        .iter()
        .filter_map(|error| match error {
            ScopeError::UnknownKind { object, .. } => Some((object.group.clone(), object.kind.clone())),
            ScopeError::Twice(_) => None,
        })
        .map(|kind| (kind.clone(), naming_one.contains(&kind)))
        .collect();
    let guess = |group: &str, kind: &str| {
        kinds::namespaced(group, kind).or_else(|| unknown.get(&(group.to_owned(), kind.to_owned())).copied())
    };
    scope(objects, guess, namespace)
}

/// Refuses Environments that wait for each other, as far as they are all here.
fn refuse_circles(objects: &[Object]) -> Result<(), Error> {
    let is_one = |object: &&Object| OwnerKind::of(object.group(), object.kind()) == Some(OwnerKind::Environment);
    let environments = || objects.iter().filter(is_one);
    let mut waiters = Waiters::default();
    for environment in environments().filter_map(|object| typed::<Environment>(object).ok()) {
        waiters.note(&environment);
    }
    let circle = |object: &Object| {
        let key = Key { namespace: object.namespace().unwrap_or_default().to_owned(), name: object.name().to_owned() };
        // Each circle is told once, by the first of those in it.
        let circle = waiters.circle(&key).filter(|circle| circle.iter().min() == Some(&key))?;
        Some(format!("{}: {}", object.origin.clone().unwrap_or_default(), circular(&circle)))
    };
    let findings: Vec<String> = environments().filter_map(circle).collect();
    if findings.is_empty() { Ok(()) } else { Err(Error::Findings { findings }) }
}

/// Every WebApp, QueueProcessor, DataSync and Database followed by what drover makes of it, labelled as its own.
fn with_children(objects: Vec<Object>) -> Result<Vec<Object>, Error> {
    let mut all = Vec::with_capacity(objects.len());
    let mut wrong = Vec::new();
    let live: BTreeMap<(String, String), DataSet> = objects.iter().filter_map(live_data).collect();
    for object in objects {
        let kind = OwnerKind::of(object.group(), object.kind());
        let children = children(&object, kind, &live).unwrap_or_else(|problem| {
            let origin = object.origin.clone().unwrap_or_default();
            wrong.push(format!("{origin}: {} cannot be built: {problem}", object.key()));
            Vec::new()
        });
        all.push(object);
        all.extend(children);
    }
    if wrong.is_empty() { Ok(all) } else { Err(Error::Findings { findings: wrong }) }
}

/// Namespace and name of a DataSync that publishes Live, whose files every pod sees in the same folder. Where others have theirs is known
/// when they have some.
fn live_data(object: &Object) -> Option<((String, String), DataSet)> {
    let is_one = OwnerKind::of(object.group(), object.kind()) == Some(OwnerKind::DataSync);
    let sync: DataSync = is_one.then(|| typed(object).ok()).flatten()?;
    let key = (object.namespace().unwrap_or_default().to_owned(), object.name().to_owned());
    (sync.spec.publish == Publish::Live).then_some((key, DataSet { folder: None }))
}

/// What is known of the data of one namespace.
fn live_in(namespace: &str, live: &BTreeMap<(String, String), DataSet>) -> BTreeMap<String, DataSet> {
    let here = live.iter().filter(|((there, _), _)| there == namespace);
    here.map(|((_, name), set)| (name.clone(), set.clone())).collect()
}

fn children(
    object: &Object,
    kind: Option<OwnerKind>,
    live: &BTreeMap<(String, String), DataSet>,
) -> Result<Vec<Object>, String> {
    let namespace = object.namespace().unwrap_or_default();
    let said = |error: &dyn std::error::Error| error.to_string();
    let (kind, mut children) = match kind {
        Some(kind @ OwnerKind::WebApp) => {
            let data_sets = live_in(namespace, live);
            (kind, web_app::build_all(&typed(object)?, namespace, &data_sets).map_err(|error| said(&error))?)
        }
        Some(kind @ OwnerKind::QueueProcessor) => {
            let data_sets = live_in(namespace, live);
            (kind, queue_processor::build_all(&typed(object)?, namespace, &data_sets).map_err(|error| said(&error))?)
        }
        Some(kind @ OwnerKind::DataSync) => (
            kind,
            data_sync::build_all(&typed(object)?, namespace, &ErrandImage::of_this_version())
                .map_err(|error| said(&error))?,
        ),
        Some(kind @ OwnerKind::Database) => {
            (kind, database::build_all(&typed(object)?, namespace).map_err(|error| said(&error))?)
        }
        Some(OwnerKind::Environment) | None => return Ok(Vec::new()),
    };
    let label = Owner::new(kind, namespace, object.name()).label();
    for child in &mut children {
        child.set_label(drover_crds::LABEL_OWNER, &label);
    }
    Ok(children)
}

fn typed<K: serde::de::DeserializeOwned>(object: &Object) -> Result<K, String> {
    serde_json::from_value(serde_json::Value::Object(object.json().clone())).map_err(|error| error.to_string())
}

fn findings<E: ToString>(errors: &[E]) -> Error {
    Error::Findings { findings: errors.iter().map(ToString::to_string).collect() }
}

/// One YAML document, with the place it comes from.
fn document(object: &Object) -> String {
    let origin = object.origin.as_ref().map(|origin| format!("# {origin}\n")).unwrap_or_default();
    format!("---\n{origin}{}", yaml::document(object.json()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn objects_come_in_the_order_of_applying_with_their_namespace_and_owner() {
        let files = [
            file(
                "deploy/app.yaml",
                "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {name: hello}\nspec: {image: a, ports: [{name: http, port: 80}]}\n",
            ),
            file(
                "deploy/base.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: site}\ndata: {on: \"yes\"}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
            ),
        ];
        let objects = rendered(&files, "shop", Some("prod"), None, None).expect("no findings");
        insta::assert_snapshot!(objects.iter().map(document).collect::<String>());
    }

    #[test]
    fn an_app_is_followed_by_its_children() {
        let text = "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {name: hello}\nspec:\n  image: example/hello:1\n  ports: [{name: http, port: 8080}]\n";
        let objects = rendered(&[file("a.yaml", text)], "shop", None, None, None).expect("no findings");
        let all = with_children(objects).expect("the app can be built");
        let keys: Vec<String> = all.iter().map(|object| object.key().to_string()).collect();
        assert_eq!(keys[0], "WebApp shop/hello");
        assert!(keys.contains(&"Deployment shop/hello".to_owned()) && keys.contains(&"Service shop/hello".to_owned()));
        assert!(
            all[1..]
                .iter()
                .all(|child| child.json()["metadata"]["labels"][drover_crds::LABEL_OWNER] == "app.shop.hello")
        );

        let broken = rendered(
            &[file("b.yaml", &text.replace("8080", "8080}, {name: http, port: 8081"))],
            "shop",
            None,
            None,
            None,
        )
        .expect("valid YAML");
        let error = with_children(broken).expect_err("two ports of a name");
        assert!(error.to_string().starts_with("b.yaml:1: WebApp shop/hello cannot be built: "), "{error}");
    }

    #[test]
    fn environments_that_wait_for_each_other_are_a_finding() {
        let environment = |name: &str, awaits: &str| {
            let depends_on = format!("[{{apiVersion: drover.dev/v1alpha1, kind: Environment, name: {awaits}}}]");
            format!(
                "apiVersion: drover.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {{source: {{url: 'https://git.test/a.git', ref: {{branch: main}}}}, dependsOn: {depends_on}}}\n---\n"
            )
        };
        let refused = |text: &str| {
            let objects = rendered(&[file("all.yaml", text)], "shop", None, None, None).expect("valid YAML");
            refuse_circles(&objects).map_err(|error| error.to_string())
        };
        assert_eq!(refused(&(environment("a", "b") + &environment("b", "c"))), Ok(()));
        let said = refused(&(environment("b", "a") + &environment("a", "b"))).expect_err("a circle");
        let sentence =
            "all.yaml:6: Environment shop/a waits for Environment shop/b, which waits for Environment shop/a; ";
        assert!(said.starts_with(sentence) && said.matches("all.yaml").count() == 1, "{said}");
        assert!(refused(&environment("a", "a")).expect_err("itself").contains("shop/a waits for Environment shop/a; "));
        let misspelt = environment("a", "b").replace("kind: Environment, name", "kind: Environment, nam");
        let findings = rendered(&[file("all.yaml", &misspelt)], "shop", None, None, None).expect_err("a finding");
        assert!(findings.to_string().contains("spec.dependsOn[0].nam"), "{findings}");
    }

    #[test]
    fn a_custom_kind_keeps_the_namespace_it_names() {
        let ring = |name: &str, namespace: &str| {
            format!("apiVersion: example.org/v1\nkind: Ring\nmetadata: {{name: {name}{namespace}}}\n---\n")
        };
        let namespaces = |text: &str| -> Vec<Option<String>> {
            let objects = rendered(&[file("a.yaml", text)], "shop", None, None, None).expect("no findings");
            objects.iter().map(|object| object.namespace().map(str::to_owned)).collect()
        };
        assert_eq!(namespaces(&ring("a", "")), [None]);
        let both = ring("a", "") + &ring("b", ", namespace: other");
        assert_eq!(namespaces(&both), [Some("shop".to_owned()), Some("other".to_owned())]);
    }

    #[test]
    fn a_finding_names_file_and_line() {
        let error = rendered(&[file("deploy/web.yaml", "a: 1\nb: c: d\n")], "shop", None, None, None)
            .expect_err("a syntax error");
        assert!(error.to_string().starts_with("deploy/web.yaml:2: "), "{error}");
        assert_eq!(error.exit_code(), crate::cli::error::EXIT_NOT_READY);
    }
}
