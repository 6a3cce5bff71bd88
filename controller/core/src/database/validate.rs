//! A Database's spec, with every default filled in.

use std::collections::BTreeMap;

use drover_crds::{self as crds, DatabaseSpec, ImagePullPolicy, Resources};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Invalid;
use crate::backup::{Server, ValidatedBackup};
use crate::engine::Engine;
use crate::restore::{Target, ValidatedInit};
use crate::workload::App;
use crate::workload::build::container;
use crate::workload::pods::{LiveClaim, Shrinking, ValidatedClaim};

/// The longest name: its pods' names get a number behind it, and the Jobs around it get more.
const LONGEST_NAME: usize = 40;
/// Who the server runs as where the spec does not say: the user `postgres`, or `mysql`, of most images.
const USER: i64 = 999;

/// A Database in which nothing is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedDatabase {
    /// Whose objects are made.
    pub app: App,
    /// The kind of server.
    pub engine: Engine,
    /// Its major version.
    pub version: String,
    /// The extensions that are made.
    pub extensions: Vec<String>,
    /// The image.
    pub image: String,
    /// When the node pulls it.
    pub pull_policy: Option<ImagePullPolicy>,
    /// Names of the Secrets that it is pulled with.
    pub pull_secrets: Vec<String>,
    /// The user and the group that the server runs as.
    pub run_as: (i64, i64),
    /// The database.
    pub database: String,
    /// Who owns it.
    pub user: String,
    /// CPU and memory.
    pub resources: Resources,
    /// The memory that the server is configured for, in bytes.
    pub memory: i64,
    /// The storage.
    pub claim: ValidatedClaim,
    /// The size of the storage, in bytes.
    pub storage: i64,
    /// Backups, where there are to be any.
    pub backup: Option<ValidatedBackup>,
    /// What it begins with, where that is not nothing.
    pub init: Option<ValidatedInit>,
    /// The last restore that took the place of what was there.
    pub restored: Option<String>,
}

impl ValidatedDatabase {
    /// As what is backed up. `connection` is the name of the Secret that says how to connect.
    pub fn server<'a>(&'a self, connection: &'a str) -> Server<'a> {
        Server {
            app: &self.app,
            engine: self.engine,
            image: &self.image,
            pull_policy: self.pull_policy,
            pull_secrets: &self.pull_secrets,
            run_as: self.run_as,
            version: &self.version,
            connection,
            memory: self.memory,
        }
    }

    /// As what something is loaded into. `labels` are those of its server's pod.
    pub fn target<'a>(&'a self, connection: &'a str, labels: &'a BTreeMap<String, String>) -> Target<'a> {
        Target {
            server: self.server(connection),
            database: &self.database,
            user: &self.user,
            claim: &self.claim.name,
            pod: labels,
        }
    }
}

/// Checks a spec. `claims` are those of the namespace that it may mount, as they are.
///
/// # Errors
/// What is wrong with it.
pub fn validate(
    app: &App,
    spec: &DatabaseSpec,
    claims: &BTreeMap<String, LiveClaim>,
) -> Result<ValidatedDatabase, Invalid> {
    let is_host = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if app.name.len() > LONGEST_NAME || !is_host(&app.name) {
        return Err(Invalid::Name(app.name.clone()));
    }
    let (engine, version, extensions) = engine(&spec.engine)?;
    let own = engine.own();
    let database = spec.database.clone().unwrap_or_else(|| app.name.replace('-', "_"));
    identifier("database", &database, own.databases, own.reserved)?;
    let user = spec.user.clone().unwrap_or_else(|| database.clone());
    identifier("user", &user, own.users, own.reserved)?;
    let is_extension = |name: &&String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if let Some(bad) = extensions.iter().find(|name| name.is_empty() || !is_extension(name)) {
        return Err(Invalid::Extension(bad.clone()));
    }
    let run_as = spec.run_as.unwrap_or_default();
    let number = run_as.user.unwrap_or(USER);
    if number == 0 {
        return Err(Invalid::Root(own.name));
    }
    let resources =
        spec.resources.clone().filter(|given| *given != Resources::default()).unwrap_or_else(|| Resources {
            requests: container::amounts("100m", "256Mi"),
            limits: [("memory".to_owned(), Quantity("512Mi".to_owned()))].into(),
        });
    let memory = memory(&resources, own.least_memory)?;
    let claim = ValidatedClaim::new(crds::connection_secret(&app.name), &spec.claim, claims, Shrinking::Refuse)?;
    let alone = [crds::AccessMode::ReadWriteOnce, crds::AccessMode::ReadWriteOncePod];
    if !claim.access_modes.iter().all(|mode| alone.contains(mode)) {
        return Err(Invalid::SharedClaim);
    }
    let storage = crds::milli_units(&claim.storage).unwrap_or_default() / 1000;
    Ok(ValidatedDatabase {
        app: app.clone(),
        engine,
        version: version.to_owned(),
        extensions: extensions.to_vec(),
        image: spec.image.clone(),
        pull_policy: spec.image_pull_policy,
        pull_secrets: spec.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        run_as: (number, run_as.group.unwrap_or(number)),
        database,
        user,
        resources,
        memory,
        claim,
        storage: storage.try_into().unwrap_or(i64::MAX),
        backup: spec.backup.as_ref().map(|backup| ValidatedBackup::new(app, engine, backup, claims)).transpose()?,
        init: spec.init.as_ref().map(|init| ValidatedInit::new(init, spec.backup.is_some())).transpose()?,
        restored: None,
    })
}

/// The kind of server that a spec asks for, its version, and what it is extended by.
///
/// # Errors
/// It names none, or several.
pub fn engine(spec: &crds::Engine) -> Result<(Engine, &str, &[String]), Invalid> {
    match (&spec.postgres, &spec.mariadb) {
        (Some(crds::Postgres { version, extensions }), None) => {
            Ok((Engine::Postgres, version.as_str(), extensions.as_slice()))
        }
        (None, Some(crds::Mariadb { version })) => Ok((Engine::Mariadb, version.as_str(), &[])),
        (postgres, mariadb) => Err(Invalid::Engines(usize::from(postgres.is_some()) + usize::from(mariadb.is_some()))),
    }
}

/// A name that the server takes without quotes, and that is none of its own.
fn identifier(field: &'static str, name: &str, taken: &[&str], reserved: Option<&str>) -> Result<(), Invalid> {
    let refused = |advice| Err(Invalid::Identifier { field, name: name.to_owned(), advice });
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if name.len() > 63 || !begins || !plain {
        return refused("write small letters, digits and _, at most 63, without a digit in front");
    }
    if reserved.is_some_and(|reserved| name.starts_with(reserved)) || taken.contains(&name) {
        return refused("that is one of the server's own: write another");
    }
    Ok(())
}

/// The memory that the server may use, in bytes: its limit, else what it is given at least.
fn memory(resources: &Resources, least: i64) -> Result<i64, Invalid> {
    let of = |amounts: &BTreeMap<String, Quantity>| {
        let written = amounts.get("memory")?;
        let bytes = crds::milli_units(&written.0)? / 1000;
        Some((written.0.clone(), i64::try_from(bytes).unwrap_or(i64::MAX)))
    };
    match of(&resources.limits).or_else(|| of(&resources.requests)) {
        Some((written, bytes)) if bytes < least => Err(Invalid::Memory(written, least >> 20)),
        Some((_, bytes)) => Ok(bytes),
        None => Ok(512 << 20),
    }
}
