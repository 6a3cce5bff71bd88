//! What pods read of ConfigMaps and Secrets, as a part of their release. A ConfigMap is copied, immutable, under a name that its content
//! gives, so that an old pod which restarts still has what it was started with. A Secret is not copied: only whether it changed is known.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use drover_crds as crds;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::render::{NAME_DIGITS, content_hash, name_hash, named};
use crate::workload::App;

/// Bytes of what is read of a ConfigMap up to which it is copied. The copies of ten releases of a thousand apps must fit into a cluster.
pub const LARGEST_COPY: usize = 64 << 10;

/// What the pods of a release read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The copy of each ConfigMap that was there, by the ConfigMap's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    config_maps: BTreeMap<String, String>,
    /// A keyed hash of what is read of each Secret that was there, by the Secret's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, String>,
    /// A hash of what is read of each ConfigMap that is too large for a copy, by the ConfigMap's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    large: BTreeMap<String, String>,
}

impl Settings {
    /// The name under which pods read that ConfigMap: that of its copy, where there is one.
    pub fn config_map(&self, name: String) -> String {
        self.config_maps.get(&name).cloned().unwrap_or(name)
    }

    /// The names of the copies.
    pub fn copies(&self) -> impl Iterator<Item = &String> {
        self.config_maps.values()
    }

    /// What pods that read another content of what is not copied differ by; nothing where all is copied.
    pub fn of_uncopied(&self) -> Option<String> {
        let is_any = !(self.secrets.is_empty() && self.large.is_empty());
        is_any.then(|| content_hash(&json!([self.secrets, self.large]))[..2 * NAME_DIGITS].to_owned())
    }

    /// The Secrets that have changed from `before`, or came or went.
    pub fn changed_secrets<'a>(&'a self, before: &'a Self) -> BTreeSet<&'a str> {
        let differs = |name: &&String| self.secrets.get(*name) != before.secrets.get(*name);
        self.secrets.keys().chain(before.secrets.keys()).filter(differs).map(String::as_str).collect()
    }
}

/// The copy of a ConfigMap, as far as pods read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Its name.
    pub name: String,
    /// Texts.
    pub data: BTreeMap<String, String>,
    /// Bytes.
    pub binary_data: BTreeMap<String, ByteString>,
}

impl Copy {
    /// Bytes of its keys and values.
    fn size(&self) -> usize {
        let texts = self.data.iter().map(|(key, value)| key.len() + value.len());
        texts.chain(self.binary_data.iter().map(|(key, value)| key.len() + value.0.len())).sum()
    }
}

/// The copies that the releases of an app need.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// What the spec reads now.
    pub known: Vec<Copy>,
    /// The names of what the releases read that can still be put back, or whose pods are still there.
    pub needed: BTreeSet<String>,
}

impl Copies {
    /// For a release that reads `settings`: the copies that are made where they are missing, and the names of those that are left alone.
    pub fn of(&self, settings: &Settings) -> (Vec<Copy>, BTreeSet<String>) {
        let names: BTreeSet<&String> = settings.copies().collect();
        let made: Vec<Copy> = self.known.iter().filter(|copy| names.contains(&copy.name)).cloned().collect();
        let mut left_alone: BTreeSet<String> = self.needed.iter().chain(names).cloned().collect();
        left_alone.retain(|name| made.iter().all(|copy| copy.name != *name));
        (made, left_alone)
    }
}

/// ConfigMaps and Secrets of the app's namespace by their names, as far as they are there.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// ConfigMaps.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// Secrets.
    pub secrets: BTreeMap<String, Secret>,
    /// What may be there, and is not shown to the namespace's account: nothing is said of it.
    pub hidden: BTreeSet<(SettingKind, String)>,
}

/// A ConfigMap or a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SettingKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl SettingKind {
    /// The kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// One place of a spec that reads one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// What.
    pub kind: SettingKind,
    /// Its name.
    pub name: Cow<'a, str>,
    /// Where in the spec.
    place: String,
    /// Which keys; `None` for all.
    keys: Option<Vec<&'a str>>,
    /// Pods start without it.
    optional: bool,
}

/// All places where `spec` reads one.
pub fn readings<'a>(spec: &'a crds::PodSpec) -> Vec<Reading<'a>> {
    let mut readings = Vec::new();
    let mut note = |kind, name: &'a str, place: String, keys, optional: Option<bool>| {
        readings.push(Reading { kind, name: name.into(), place, keys, optional: optional.unwrap_or(false) });
    };
    for variable in &spec.env {
        let Some(source) = &variable.value_from else { continue };
        let refs =
            [(SettingKind::ConfigMap, &source.config_map_key_ref), (SettingKind::Secret, &source.secret_key_ref)];
        for (kind, found) in refs.into_iter().filter_map(|(kind, found)| Some((kind, found.as_ref()?))) {
            note(kind, &found.name, format!("env {}", variable.name), Some(vec![&*found.key]), found.optional);
        }
    }
    for source in &spec.env_from {
        let refs = [(SettingKind::ConfigMap, &source.config_map_ref), (SettingKind::Secret, &source.secret_ref)];
        for (kind, found) in refs.into_iter().filter_map(|(kind, found)| Some((kind, found.as_ref()?))) {
            note(kind, &found.name, "envFrom".to_owned(), None, found.optional);
        }
    }
    for volume in &spec.volumes {
        let place = || format!("volume {}", volume.name);
        if let Some(files) = &volume.config_map {
            note(SettingKind::ConfigMap, &files.name, place(), keys_of(&files.items), files.optional);
        }
        if let Some(files) = &volume.secret {
            note(SettingKind::Secret, &files.secret_name, place(), keys_of(&files.items), files.optional);
        }
    }
    for database in &spec.database_refs {
        readings.push(Reading {
            kind: SettingKind::Secret,
            name: crds::connection_secret(&database.name).into(),
            place: format!("databaseRefs {}", database.name),
            keys: Some(database.env.named().map(|(key, _)| key).collect()),
            optional: false,
        });
    }
    readings
}

fn keys_of(items: &[crds::KeyFile]) -> Option<Vec<&str>> {
    (!items.is_empty()).then(|| items.iter().map(|item| item.key.as_str()).collect())
}

/// Something that pods need is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// An object.
    #[error(
        "{kind} {namespace}/{name}, which {place} reads, is not there: create it, correct the name, or write optional: true there",
        kind = kind.as_str()
    )]
    Object {
        /// Its kind.
        kind: SettingKind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Where in the spec.
        place: String,
    },
    /// A key of one.
    #[error(
        "{kind} {namespace}/{name} has no key {key:?}, which {place} reads: it has {known}; add it, correct the key, or write optional: true there",
        kind = kind.as_str()
    )]
    Key {
        /// Its kind.
        kind: SettingKind,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Where in the spec.
        place: String,
        /// The key.
        key: String,
        /// The keys that are there.
        known: String,
    },
}

impl Missing {
    /// What it is of.
    pub fn kind(&self) -> SettingKind {
        match self {
            Self::Object { kind, .. } | Self::Key { kind, .. } => *kind,
        }
    }
}

/// What pods of `spec` read, as it is now: what a release is to say of it, and the copies with their contents. `keyed` gives the keyed hash
/// of a content.
///
/// # Errors
/// The first thing that is not there and that pods do not start without.
pub fn settings(
    app: &App,
    spec: &crds::PodSpec,
    contents: &Contents,
    keyed: impl Fn(&Value) -> String,
) -> Result<(Settings, Vec<Copy>), Missing> {
    let mut wanted: BTreeMap<(SettingKind, Cow<'_, str>), Option<BTreeSet<&str>>> = BTreeMap::new();
    for reading in readings(spec) {
        reading.check(app, contents)?;
        let keys = wanted.entry((reading.kind, reading.name)).or_insert_with(|| Some(BTreeSet::new()));
        match (keys.as_mut(), reading.keys) {
            (Some(keys), Some(more)) => keys.extend(more),
            _ => *keys = None,
        }
    }
    let (mut settings, mut copies) = (Settings::default(), Vec::new());
    for ((kind, name), keys) in wanted {
        let is_read = |key: &String| keys.as_ref().is_none_or(|keys| keys.contains(key.as_str()));
        match kind {
            SettingKind::ConfigMap => {
                let Some(found) = contents.config_maps.get(&*name) else { continue };
                let copy = copied(app, &name, found, is_read);
                if copy.size() > LARGEST_COPY {
                    let hash = content_hash(&json!({"data": copy.data, "binaryData": copy.binary_data}));
                    settings.large.insert(name.into_owned(), hash);
                    continue;
                }
                settings.config_maps.insert(name.into_owned(), copy.name.clone());
                copies.push(copy);
            }
            SettingKind::Secret => {
                let Some(found) = contents.secrets.get(&*name) else { continue };
                let data: BTreeMap<_, _> = found.data.iter().flatten().filter(|(key, _)| is_read(key)).collect();
                let hash = keyed(&json!({"name": name, "data": data}));
                settings.secrets.insert(name.into_owned(), hash);
            }
        }
    }
    Ok((settings, copies))
}

/// The copy of what is read of a ConfigMap; its name tells of its content.
fn copied(app: &App, name: &str, found: &ConfigMap, is_read: impl Fn(&String) -> bool) -> Copy {
    fn part<T: Clone>(map: Option<&BTreeMap<String, T>>, is_read: impl Fn(&String) -> bool) -> BTreeMap<String, T> {
        let kept = map.into_iter().flatten().filter(|(key, _)| is_read(key));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
    let data = part(found.data.as_ref(), &is_read);
    let binary_data = part(found.binary_data.as_ref(), &is_read);
    let hash = name_hash(&json!({"name": name, "data": data, "binaryData": binary_data}));
    Copy { name: app.child_name(&format!("{name}-{hash}")), data, binary_data }
}

impl Reading<'_> {
    /// Whether pods that read this start.
    fn check(&self, app: &App, contents: &Contents) -> Result<(), Missing> {
        if self.optional || contents.hidden.contains(&(self.kind, self.name.to_string())) {
            return Ok(());
        }
        let keys: Option<BTreeSet<&str>> = match self.kind {
            SettingKind::ConfigMap => contents.config_maps.get(&*self.name).map(|found| {
                let (texts, bytes) = (found.data.iter().flatten(), found.binary_data.iter().flatten());
                texts.map(|(key, _)| key.as_str()).chain(bytes.map(|(key, _)| key.as_str())).collect()
            }),
            SettingKind::Secret => contents
                .secrets
                .get(&*self.name)
                .map(|found| found.data.iter().flatten().map(|(key, _)| key.as_str()).collect()),
        };
        let (kind, namespace, name) = (self.kind, app.namespace.clone(), self.name.to_string());
        let place = self.place.clone();
        let Some(known) = keys else { return Err(Missing::Object { kind, namespace, name, place }) };
        // Who reads all of a Secret reads what is made of it, too, and would start without.
        let made =
            contents.secrets.get(&*self.name).filter(|_| self.kind == SettingKind::Secret && self.keys.is_none());
        let made = made.and_then(|secret| secret.metadata.annotations.as_ref()?.get(crds::ANNOTATION_GENERATE));
        let made: Vec<&str> = made.into_iter().flat_map(|keys| keys.split_whitespace()).collect();
        match self.keys.iter().flatten().chain(&made).find(|key| !known.contains(*key)) {
            None => Ok(()),
            Some(key) => Err(Missing::Key {
                kind,
                namespace,
                name,
                place,
                key: (*key).to_owned(),
                known: named(known.iter().copied()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use drover_crds::OwnerKind;

    use super::*;

    fn app() -> App {
        App { kind: OwnerKind::WebApp, namespace: "shop".into(), name: "web".into(), uid: Some("u".into()) }
    }

    fn spec(yaml: &Value) -> crds::PodSpec {
        let mut whole = json!({"image": "web:1"});
        whole.as_object_mut().expect("a map").extend(yaml.as_object().cloned().expect("a map"));
        serde_json::from_value(whole).expect("a spec")
    }

    fn contents(config_maps: &[(&str, Value)], secrets: &[(&str, Value)]) -> Contents {
        let config_map = |data: &Value| -> ConfigMap { serde_json::from_value(json!({"data": data})).expect("data") };
        // Data of Secrets are in base64.
        let secret = |data: &Value| -> Secret { serde_json::from_value(json!({"data": data})).expect("data") };
        Contents {
            hidden: BTreeSet::new(),
            config_maps: config_maps.iter().map(|(name, data)| ((*name).to_owned(), config_map(data))).collect(),
            secrets: secrets.iter().map(|(name, data)| ((*name).to_owned(), secret(data))).collect(),
        }
    }

    fn read(spec: &crds::PodSpec, contents: &Contents) -> Result<(Settings, Vec<Copy>), String> {
        settings(&app(), spec, contents, ToString::to_string).map_err(|missing| missing.to_string())
    }

    fn everything() -> crds::PodSpec {
        spec(&json!({
            "env": [
                {"name": "SITE", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "title"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "flags", "optional": true}}],
            "volumes": [{"name": "conf", "mounts": [{"mountPath": "/conf"}],
                "configMap": {"name": "files", "items": [{"key": "app.ini", "path": "app.ini"}]}}],
        }))
    }

    #[test]
    fn what_is_read_and_nothing_else_decides() {
        let with = |title: &str, other: &str, password: &str, note: &str| {
            let site = json!({"title": title, "other": other});
            let login = json!({"password": password, "note": note});
            let found = contents(&[("site", site), ("files", json!({"app.ini": "x"}))], &[("login", login)]);
            read(&everything(), &found).expect("all is there").0
        };
        let before = with("a", "1", "cA==", "eA==");
        assert_eq!(with("a", "2", "cA==", "eQ=="), before, "nobody reads that");
        let (title, password) = (with("b", "1", "cA==", "eA=="), with("a", "1", "cQ==", "eA=="));
        assert_ne!(title.config_map("site".into()), before.config_map("site".into()));
        assert_eq!(title.config_map("files".into()), before.config_map("files".into()));
        assert_eq!((title.of_uncopied(), title.changed_secrets(&before).len()), (before.of_uncopied(), 0));
        assert_ne!(password.of_uncopied(), before.of_uncopied());
        assert_eq!(password.changed_secrets(&before), ["login"].into());
    }

    #[test]
    fn a_copy_has_what_is_read_under_a_name_of_its_own() {
        let found = contents(
            &[("site", json!({"title": "a", "other": "1"})), ("files", json!({"app.ini": "x", "y": "z"}))],
            &[("login", json!({"password": "cA=="}))],
        );
        let (settings, copies) = read(&everything(), &found).expect("all is there");
        let texts: Vec<_> = copies.iter().map(|copy| copy.data.iter().collect::<Vec<_>>()).collect();
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let [(files, x), (title, a)] = [text("app.ini", "x"), text("title", "a")];
        assert_eq!(texts, [vec![(&files, &x)], vec![(&title, &a)]]);
        assert!(settings.copies().eq(copies.iter().map(|copy| &copy.name)));
        let name = settings.config_map("site".into());
        assert!(name.starts_with("web-site-") && name.len() == "web-site-".len() + NAME_DIGITS, "{name}");
        assert_eq!(settings.config_map("flags".into()), "flags", "it is not there, and need not be");
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let files = ("files", json!({"app.ini": "x"}));
        let login = ("login", json!({"password": "cA=="}));
        let without = |found: Contents| read(&everything(), &found).expect_err("something is missing");
        assert_eq!(
            without(contents(from_ref(&files), from_ref(&login))),
            "ConfigMap shop/site, which env SITE reads, is not there: create it, correct the name, or write optional: true there"
        );
        assert_eq!(
            without(contents(&[("site", json!({"titel": "a", "b": ""})), files.clone()], &[login])),
            "ConfigMap shop/site has no key \"title\", which env SITE reads: it has b, titel; add it, correct the key, or write optional: true there"
        );
        let site = ("site", json!({"title": "a"}));
        assert!(
            without(contents(&[site.clone(), files], &[])).starts_with("Secret shop/login, which env PASSWORD reads")
        );
        let no_file = without(contents(&[site, ("files", json!({}))], &[("login", json!({"password": "cA=="}))]));
        assert!(no_file.contains("no key \"app.ini\", which volume conf reads: it has none;"), "{no_file}");
    }

    #[test]
    fn what_another_release_needs_is_left_alone() {
        let named = |title: &str| {
            let site = spec(&json!({"envFrom": [{"configMapRef": {"name": "site"}}]}));
            read(&site, &contents(&[("site", json!({"title": title}))], &[])).expect("it is there")
        };
        let ((old, _), (new, known)) = (named("old"), named("new"));
        let needed: BTreeSet<String> = old.copies().chain(new.copies()).cloned().collect();
        let copies = Copies { known: known.clone(), needed: needed.clone() };
        assert_eq!(copies.of(&new), (known, old.copies().cloned().collect()));
        assert_eq!(copies.of(&old), (vec![], needed));
        let (first, nothing) = Copies { needed: BTreeSet::new(), ..copies }.of(&new);
        assert_eq!((first.len(), nothing.len()), (1, 0));
    }

    #[test]
    fn what_is_too_large_for_a_copy_is_read_as_it_is_and_its_change_counts() {
        let site = spec(&json!({"envFrom": [{"configMapRef": {"name": "site"}}]}));
        let of = |text: &str| {
            let data = json!({"a": text.repeat(LARGEST_COPY)});
            read(&site, &contents(&[("site", data)], &[])).expect("it is there")
        };
        let ((x, copies), (y, _)) = (of("x"), of("y"));
        assert!(copies.is_empty() && x.config_map("site".into()) == "site");
        assert_ne!((x.of_uncopied(), &x), (y.of_uncopied(), &y));
        assert_eq!(of("x").0, x);
    }

    #[test]
    fn of_what_the_account_may_not_see_nothing_is_said() {
        let hidden = BTreeSet::from([(SettingKind::Secret, "login".to_owned())]);
        let (site, files) = (json!({"title": "a"}), json!({"app.ini": "x"}));
        let found = Contents { hidden, ..contents(&[("site", site), ("files", files)], &[]) };
        let (settings, copies) = read(&everything(), &found).expect("nothing is called missing");
        assert_eq!((settings.of_uncopied(), copies.len()), (None, 2));
    }

    #[test]
    fn one_place_that_reads_all_reads_all() {
        let both = spec(&json!({
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "a"}}}],
            "envFrom": [{"configMapRef": {"name": "site"}}],
        }));
        let (_, copies) = read(&both, &contents(&[("site", json!({"a": "1", "b": "2"}))], &[])).expect("it is there");
        assert_eq!(copies[0].data.len(), 2);
    }
}
