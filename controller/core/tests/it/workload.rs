//! Golden folders, and what holds for any spec.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use drover_core::front::{Terms, Upstreams};
use drover_core::release::record_reference;
use drover_core::render::{Object, keyed_hash};
use drover_core::workload::build::{self, PullTarget};
use drover_core::workload::pods::settings::{Contents, Copy, settings};
use drover_core::workload::pods::{
    AssetSets, Copies, DataSet, Facts, Image, ImageUser, LiveClaim, Origin, PodRelease, RanOnce, Settings, Shrinking,
};
use drover_core::workload::takeover::{Found, Kept, Phase};
use drover_core::workload::validate::{ValidatedWebApp, validate};
use drover_core::workload::{App, Invalid};
use drover_crds::{self as crds, ANNOTATION_RESTARTED_AT, OwnerKind, WebApp, WebAppSpec};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

/// What a case assumes of the cluster and the registry.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Assumed {
    user: Option<String>,
    digest: Option<String>,
    revision: Option<String>,
    claims: BTreeMap<String, AssumedClaim>,
    /// The folders of the sets that DataSyncs have published; none where they publish Live.
    data_sets: BTreeMap<String, Option<String>>,
    /// The sets of files that were made of the app's images.
    asset_sets: AssetSets,
    /// Those of this release.
    own_sets: BTreeMap<String, String>,
    /// ConfigMaps and Secrets by name; without any none is looked for.
    config_maps: BTreeMap<String, ConfigMap>,
    secrets: BTreeMap<String, Secret>,
    /// A Deployment and a Service of the app's name, which others made.
    deployment: Option<Deployment>,
    service: Option<Service>,
    /// The Service still leads to the pods of before.
    beside: bool,
    /// Where Services are that a front leads to.
    addresses: BTreeMap<String, IpAddr>,
    /// What no administrator has said of fronts.
    unsaid: Vec<String>,
}

impl Assumed {
    fn settings(&self, app: &App, spec: &crds::PodSpec) -> (Settings, Vec<Copy>) {
        if self.config_maps.is_empty() && self.secrets.is_empty() {
            return Default::default();
        }
        let (config_maps, secrets) = (self.config_maps.clone(), self.secrets.clone());
        let contents = Contents { config_maps, secrets, ..Contents::default() };
        settings(app, spec, &contents, |content| keyed_hash(&[7; 32], content)).expect("nothing is missing")
    }

    fn terms(&self) -> Terms {
        let is_said = |what: &str| !self.unsaid.iter().any(|unsaid| unsaid == what);
        Terms {
            image: is_said("image").then(|| "registry.example.org/nginx-unprivileged:1.28".to_owned()),
            trusted: is_said("trustedProxies").then(|| "10.42.0.0/16".parse().expect("a range")).into_iter().collect(),
            errands: ("registry.example.org/drover:1".to_owned(), vec!["registry".to_owned()]),
            ..Terms::default()
        }
    }

    fn upstreams(&self, app: &ValidatedWebApp) -> Upstreams {
        let services = app.front.iter().flat_map(|front| front.front.services());
        let address = |name: &str| self.addresses.get(name).copied();
        let known =
            services.filter_map(|to| Some((to.clone(), (address(&to.service)?, u16::try_from(to.port).ok()?).into())));
        Upstreams { addresses: known.collect(), ..Upstreams::default() }
    }

    fn kept(&self, app: &App, ports: &[crds::Port]) -> Kept {
        let (deployment, service) = (self.deployment.clone(), self.service.clone());
        let phase = if self.beside { Phase::Beside } else { Phase::Done };
        let found = Found { deployment, service, ..Found::default() };
        found.kept(&build::own_selector(app), ports, "drover", phase).expect("no refusal")
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct AssumedClaim {
    storage: Option<String>,
    access_modes: Vec<String>,
}

fn built(app: &WebApp, assumed: &Assumed) -> Result<ValidatedWebApp, Invalid> {
    let digest = assumed.digest.as_ref().map(|d| format!("@{d}")).unwrap_or_default();
    let image = Image {
        reference: format!("{}{digest}", app.spec.pod.image),
        user: assumed.user.clone().map_or(ImageUser::Unknown, ImageUser::Known),
        origin: assumed.revision.clone().map(|revision| Origin { revision, repository: None }),
    };
    let claim = |c: &AssumedClaim| LiveClaim {
        storage: c.storage.clone(),
        access_modes: c.access_modes.clone(),
        storage_class: None,
        ran_once: RanOnce::default(),
    };
    let claims = assumed.claims.iter().map(|(name, c)| (name.clone(), claim(c))).collect();
    let identity = App {
        kind: OwnerKind::WebApp,
        namespace: app.metadata.namespace.clone().expect("a namespace"),
        name: app.metadata.name.clone().expect("a name"),
        uid: Some("3f0ac5d2-0000-4000-8000-000000000000".into()),
    };
    let set = |folder: &Option<String>| DataSet { folder: folder.clone() };
    let data_sets = assumed.data_sets.iter().map(|(name, folder)| (name.clone(), set(folder))).collect();
    let (settings, known) = assumed.settings(&identity, &app.spec.pod);
    let copies = Copies { known, needed: BTreeSet::new() };
    let facts = Facts {
        image: &image,
        pods: &PodRelease { number: 3, commit: Some("0123456789abcdef0123456789abcdef01234567".into()) },
        restarted_at: app
            .metadata
            .annotations
            .iter()
            .flatten()
            .find(|(name, _)| *name == ANNOTATION_RESTARTED_AT)
            .map(|(_, at)| at.as_str()),
        claims: &claims,
        shrinking: Shrinking::Refuse,
        data_sets: &data_sets,
        asset_sets: &assumed.asset_sets,
        own_sets: &assumed.own_sets,
        settings: &settings,
        copies: &copies,
    };
    validate(&identity, &app.spec, &facts, &assumed.terms(), &assumed.kept(&identity, &app.spec.ports))
}

/// Compares with the file; `UPDATE=1` writes it instead.
pub fn compare(file: &Path, actual: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file, actual).expect("written");
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(
        expected == actual,
        "{} is not what is built (UPDATE=1 writes it):\n{}",
        file.display(),
        similar(&expected, actual)
    );
}

/// The first lines that differ.
fn similar(expected: &str, actual: &str) -> String {
    let pairs = expected.lines().map(Some).chain(std::iter::repeat(None)).zip(actual.lines());
    let differing = pairs.filter(|(e, a)| *e != Some(*a)).take(5);
    differing.map(|(e, a)| format!("- {}\n+ {a}", e.unwrap_or_default())).collect::<Vec<_>>().join("\n")
}

#[test]
fn golden_folders() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/web_app");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder).expect("golden cases").map(|e| e.expect("an entry").path()).collect();
    cases.sort();
    assert!(cases.len() >= 12, "{cases:?}");
    for case in cases {
        let read = |name: &str| fs::read_to_string(case.join(name)).ok();
        let spec = read("spec.yaml").expect("spec.yaml");
        let app: WebApp = serde_saphyr::from_str(&spec).unwrap_or_else(|e| panic!("{}: {e}", case.display()));
        let assumed = read("assumed.yaml").map(|text| serde_saphyr::from_str(&text).expect("assumed.yaml"));
        let assumed: Assumed = assumed.unwrap_or_default();
        match built(&app, &assumed) {
            Ok(mut valid) => {
                valid.front = valid.front.as_ref().map(|front| front.leading(assumed.upstreams(&valid)));
                assert!(!case.join("error.txt").exists(), "{}: should be refused", case.display());
                let children = build::build(&valid);
                let documents: Vec<String> = (children.iter())
                    .map(|o| serde_saphyr::to_string(&Value::Object(o.json().clone())).expect("YAML"))
                    .collect();
                compare(&case.join("children.yaml"), &format!("---\n{}", documents.join("---\n")));
                for child in &children {
                    check_child(child, valid.pods.identity.root);
                }
                let jobs = release_jobs(&valid);
                if !jobs.is_empty() {
                    compare(&case.join("jobs.yaml"), &format!("---\n{}", jobs.join("---\n")));
                }
            }
            Err(refusal) => {
                assert!(!case.join("children.yaml").exists(), "{}: {refusal}", case.display());
                compare(&case.join("error.txt"), &format!("{refusal}\n"));
            }
        }
    }
}

/// The Jobs of the moments of a release, whose pods keep to what holds for all jobs.
fn release_jobs(app: &ValidatedWebApp) -> Vec<String> {
    let mut written = Vec::new();
    let record = || record_reference(&app.pods.app, 3, "9b0ac5d2-0000-4000-8000-000000000000");
    for assets in app.front.iter().flat_map(|front| &front.assets) {
        let job = app.pods.app.child_name(&format!("{}-0123456789", assets.job_name));
        let keep = &["00000000aa".to_owned(), "00000000bb".to_owned()];
        let run = build::MakeAssets { name: &assets.job_name, job: &job, set: "0123456789", keep };
        let value = serde_json::to_value(build::assets_job(app, &run, record())).expect("JSON");
        let pod = &value["spec"]["template"]["spec"];
        assert!(app.pods.identity.root || violations_of_restricted(pod).is_empty(), "{pod}");
        let labels = value["spec"]["template"]["metadata"]["labels"].as_object().expect("labels");
        assert!(!labels.contains_key(crds::LABEL_INSTANCE) && labels[crds::LABEL_COMPONENT] != crds::COMPONENT_WEB);
        written.push(serde_saphyr::to_string(&value).expect("YAML"));
    }
    for job in app.pods.jobs.iter().filter(|job| job.at.is_some()) {
        let name = app.pods.app.child_name(&format!("{}-0123456789", job.name));
        let built = build::release_job(app, job, &name, record(), None);
        let value = serde_json::to_value(&built).expect("JSON");
        let template = &value["spec"]["template"];
        let pod = &template["spec"];
        assert!(app.pods.identity.root || violations_of_restricted(pod).is_empty(), "{pod}");
        assert!(pod["containers"][0]["livenessProbe"].is_null() && pod["containers"][0]["ports"].is_null());
        let labels = template["metadata"]["labels"].as_object().expect("labels");
        assert!(!labels.contains_key(crds::LABEL_INSTANCE) && labels[crds::LABEL_COMPONENT] != crds::COMPONENT_WEB);
        written.push(serde_saphyr::to_string(&value).expect("YAML"));
    }
    written
}

/// What the Pod Security level `restricted` asks of a pod, as its page lists it.
fn violations_of_restricted(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |good: bool, what: &str| {
        if !good {
            found.push(what.to_owned());
        }
    };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        check(pod[field] != true, field);
    }
    check(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "seccompProfile");
    check(pod["securityContext"]["runAsUser"] != 0, "runAsUser");
    check(pod["securityContext"]["runAsNonRoot"] == true, "runAsNonRoot");
    let safe = ["net.ipv4.ip_unprivileged_port_start"];
    for sysctl in pod["securityContext"]["sysctls"].as_array().into_iter().flatten() {
        check(sysctl["name"].as_str().is_some_and(|n| safe.contains(&n)), "sysctls");
    }
    let kinds =
        ["configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "downwardAPI", "csi", "ephemeral"];
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let kind = volume.as_object().expect("a volume").keys().find(|k| *k != "name").expect("a source");
        // NFS is the one kind that people ask for and `restricted` leaves out.
        check(kinds.contains(&kind.as_str()) || kind == "nfs", &format!("volume {kind}"));
    }
    let of = |list: &str| pod[list].as_array().into_iter().flatten();
    for container in of("containers").chain(of("initContainers")) {
        let security = &container["securityContext"];
        check(security["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        check(security["capabilities"]["drop"] == serde_json::json!(["ALL"]), "capabilities.drop");
        check(security["capabilities"]["add"].is_null(), "capabilities.add");
        check(security["privileged"] != true, "privileged");
        check(security["runAsUser"] != 0, "container runAsUser");
        check(container["ports"].as_array().into_iter().flatten().all(|p| p["hostPort"].is_null()), "hostPort");
    }
    found
}

/// What holds for every child of every spec.
fn check_child(child: &Object, root: bool) {
    let name = child.name();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(name.len() <= 63 && name.chars().all(plain) && !name.ends_with('-'), "{name}");
    let meta = &child.json()["metadata"];
    for (label, value) in meta["labels"].as_object().expect("labels") {
        assert!(label.starts_with("app.kubernetes.io/") || label.starts_with("drover.dev/"), "{label}");
        assert!(value.as_str().is_some_and(|v| v.len() <= 63), "{label}: {value}");
    }
    assert!(meta["ownerReferences"].is_null(), "{} would go with the definition of WebApps", child.key());
    if child.kind() == "CronJob" {
        assert!(name.len() <= 52, "{name}: Kubernetes adds eleven characters");
        let template = &child.json()["spec"]["jobTemplate"]["spec"]["template"];
        let pod = &template["spec"];
        assert!(root || violations_of_restricted(pod).is_empty(), "{:?}", violations_of_restricted(pod));
        assert!(pod["containers"][0]["livenessProbe"].is_null() && pod["containers"][0]["ports"].is_null());
        let labels = template["metadata"]["labels"].as_object().expect("labels");
        for (label, value) in labels {
            assert!(value.as_str().is_some_and(|v| v.len() <= 63), "{label}: {value}");
        }
        assert!(!labels.contains_key(crds::LABEL_INSTANCE) && labels[crds::LABEL_COMPONENT] != crds::COMPONENT_WEB);
    }
    if child.kind() == "Deployment" {
        let spec = &child.json()["spec"];
        let pod = &spec["template"]["spec"];
        assert!(root || violations_of_restricted(pod).is_empty(), "{:?}", violations_of_restricted(pod));
        let labels = spec["template"]["metadata"]["labels"].as_object().expect("labels");
        for (label, value) in spec["selector"]["matchLabels"].as_object().expect("a selector") {
            assert_eq!(labels.get(label), Some(value), "the selector matches the pods");
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,120}[a-z0-9]"
}

fn mounts() -> impl Strategy<Value = Vec<crds::Mount>> {
    let mount = ("/[a-z]{1,6}", prop::option::of("[a-z./]{1,8}"), prop::option::of(any::<bool>()));
    let mount = mount.prop_map(|(mount_path, sub_path, read_only)| crds::Mount { mount_path, sub_path, read_only });
    prop::collection::vec(mount, 1..3)
}

fn volume() -> impl Strategy<Value = crds::Volume> {
    let modes = prop::option::of(prop::sample::select(vec![
        vec![],
        vec![crds::AccessMode::ReadWriteOnce],
        vec![crds::AccessMode::ReadWriteMany],
        vec![crds::AccessMode::ReadWriteOncePod],
        vec![crds::AccessMode::ReadOnlyMany, crds::AccessMode::ReadWriteOnce],
    ]));
    let retention =
        prop::option::of(prop::sample::select(vec![crds::RetentionPolicy::Retain, crds::RetentionPolicy::Delete]));
    ("[a-z]{1,5}|drover-x", mounts(), 0..7_u8, modes, retention).prop_map(
        |(name, mounts, source, access_modes, retention_policy)| {
            let mut volume = crds::Volume { name, mounts, ..Default::default() };
            if source == 0 || source == 6 {
                let storage = "5Gi".parse().expect("a size");
                let resources = crds::ClaimResources { requests: crds::ClaimRequests { storage } };
                volume.claim =
                    Some(crds::Claim { resources, storage_class_name: None, access_modes, retention_policy });
            }
            match source {
                1 => volume.nfs = Some(crds::Nfs { server: "nfs".into(), path: "/".into() }),
                2 => volume.secret = Some(crds::SecretFiles { secret_name: "s".into(), ..Default::default() }),
                3 => volume.config_map = Some(crds::ConfigMapFiles { name: "c".into(), ..Default::default() }),
                4 => volume.persistent_volume_claim = Some(crds::ExistingClaim { claim_name: "p".into() }),
                5 | 6 => volume.empty_dir = Some(crds::EmptyDir::default()),
                _ => {}
            }
            volume
        },
    )
}

fn route() -> impl Strategy<Value = crds::Route> {
    let app = prop::option::of(prop::option::of("http|nope").prop_map(|port| crds::AppTarget { port }));
    let service = prop::option::of(Just(crds::ServiceTarget { name: "amq".into(), port: 8161 }));
    ("[a-z]{1,3}\\.example\\.org", "/[a-z/.]{0,6}", app, service).prop_map(|(host, path, app, service)| crds::Route {
        host,
        path,
        to: crds::RouteTarget { app, service, ..Default::default() },
        ..Default::default()
    })
}

fn job() -> impl Strategy<Value = crds::Job> {
    let times = prop::option::of(prop::sample::select(vec!["0 4 * * 1", "@daily", "* * * * * *"]));
    ("[a-z][-a-z0-9]{0,50}[a-z0-9]", times, prop::option::of("UTC|nowhere")).prop_map(|(name, schedule, time_zone)| {
        crds::Job {
            name,
            schedule: schedule.map(str::to_owned),
            time_zone,
            command: vec!["true".into()],
            ..Default::default()
        }
    })
}

fn spec() -> impl Strategy<Value = WebAppSpec> {
    let port = ("[a-z]{1,4}", 0..70_000_i32, prop::option::of(any::<bool>()));
    let port = port.prop_map(|(name, port, metrics)| crds::Port { name, port, metrics });
    let run_as =
        (prop::option::of(0..3_i64), prop::option::of(0..3_i64)).prop_map(|(user, group)| crds::RunAs { user, group });
    let gunicorn =
        (prop::option::of(1..5_i32), prop::option::of(0..4000_u64)).prop_map(|(workers, timeout)| crds::Gunicorn {
            app: "wsgi:app".into(),
            workers,
            memory_per_worker: workers.is_none().then(|| "200Mi".parse().expect("a size")),
            timeout: timeout.map(crds::Duration::from_secs),
        });
    let durations = prop::collection::vec(prop::option::of(0..100_000_u64), 3);
    let health = (prop::option::of(Just("/login".to_owned())), durations).prop_map(|(path, d)| crds::Health {
        path,
        timeout: d[0].map(crds::Duration::from_secs),
        startup_timeout: d[1].map(crds::Duration::from_secs),
        restart_after: d[2].map(crds::Duration::from_secs),
        ..Default::default()
    });
    let some_ports = prop::collection::vec(port, 0..3).prop_map(|mut ports| {
        ports.push(crds::Port { name: "http".into(), port: 8000, metrics: None });
        ports
    });
    (
        (some_ports, prop::option::of(run_as), prop::option::of(Just("needs raw sockets".to_owned()))),
        (prop::option::of(gunicorn), prop::option::of(health), prop::option::of(-1..4_i32)),
        prop::collection::vec(volume(), 0..3),
        (prop::collection::vec(route(), 0..4), prop::collection::vec(job(), 0..2)),
    )
        .prop_map(|((ports, run_as, allow_root), (gunicorn, health, replicas), volumes, (routes, jobs))| {
            WebAppSpec {
                pod: crds::PodSpec { image: "web:1".into(), run_as, allow_root, volumes, jobs, ..Default::default() },
                ports,
                gunicorn,
                health,
                replicas,
                routes,
                ..Default::default()
            }
        })
}

fn app(name: &str, spec: WebAppSpec) -> WebApp {
    let mut app = WebApp::new(name, spec);
    app.metadata.namespace = Some("shop".into());
    app
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_spec_is_refused_with_a_sentence_or_built_well(name in name(), spec in spec(), user in prop::option::of("|0|33|33:44|www-data")) {
        match built(&app(&name, spec), &Assumed { user, ..Default::default() }) {
            Ok(valid) => {
                let children = build::build(&valid);
                let mut keys: Vec<_> = children.iter().map(Object::key).collect();
                keys.sort();
                keys.dedup();
                prop_assert_eq!(keys.len(), children.len());
                for child in &children {
                    check_child(child, valid.pods.identity.root);
                }
                let target = PullTarget { release: 12, node: "a".into() };
                let pull = Object::built(&build::pull_pod(&valid.pods, &target));
                prop_assert!(valid.pods.identity.root || violations_of_restricted(&pull.json()["spec"]).is_empty());
                prop_assert!(pull.name().len() <= 63);
                prop_assert_eq!(build::build(&valid), children);
            }
            Err(refusal) => prop_assert!(refusal.to_string().contains(':'), "{refusal}"),
        }
    }
}
