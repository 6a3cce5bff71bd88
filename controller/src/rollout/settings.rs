//! What an app reads of ConfigMaps and Secrets, as it is now.

use std::collections::BTreeSet;
use std::time::Duration;

use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::App;
use drover_core::workload::pods::Settings;
use drover_core::workload::pods::settings::{Contents, Copy, Missing, SettingKind, readings, settings};
use drover_crds::{self as crds, Owner};

use super::dereference;
use crate::cluster::{Acting, ApiError, Sight};
use crate::settings::{self as watched, Settings as Watched};

/// How often changes are looked for that nobody tells of.
const UNSEEN: Duration = Duration::from_mins(1);

/// How long a change waits for others before it alone begins a release: a push that changes a ConfigMap and the app changes one after the
/// other.
const SETTLE: Duration = Duration::from_secs(5);

/// What was found.
pub struct Found {
    /// What a release that begins now reads; `None` while something is missing.
    pub settings: Option<Settings>,
    /// The contents of its copies.
    pub copies: Vec<Copy>,
    /// What is missing.
    pub missing: Option<Missing>,
    /// When to look again all the same, where changes are not told.
    pub again: Option<Duration>,
    /// In how long they may begin a release; `None` for now.
    pub settles: Option<Duration>,
}

impl Found {
    /// What may begin a release now.
    pub fn settled(&self) -> Option<&Settings> {
        self.settings.as_ref().filter(|_| self.settles.is_none())
    }

    /// Refuses pods that could not start.
    pub fn required(&self) -> Result<&Settings, Trouble> {
        self.settings.as_ref().ok_or_else(|| {
            let sentence = self.missing.as_ref().map(Missing::to_string).unwrap_or_default();
            Trouble { again: self.again, ..Trouble::new("SettingsMissing", sentence, Mend::Event) }
        })
    }
}

/// Reads what `spec` names. `owner` is told when some of it changes.
pub async fn read(
    acting: &Acting,
    watched: &Watched,
    owner: &Owner,
    app: &App,
    spec: &crds::PodSpec,
    now: i64,
) -> Result<Found, ApiError> {
    let names: BTreeSet<(SettingKind, &str)> = readings(spec).iter().map(|one| (one.kind, one.name)).collect();
    let (mut contents, mut again) = (Contents::default(), None);
    for (kind, name) in names {
        watched.interest().wait(owner, &watched::key(kind, &app.namespace, name));
        if watched.ensure(acting, &app.namespace, kind) == Sight::Blind {
            again = Some(UNSEEN);
        }
        match kind {
            SettingKind::ConfigMap => {
                let found = dereference::config_map(acting, app, name).await?;
                contents.config_maps.extend(found.map(|found| (name.to_owned(), found)));
            }
            SettingKind::Secret => {
                let found = dereference::secret(acting, app, name).await?;
                contents.secrets.extend(found.map(|found| (name.to_owned(), found)));
            }
        }
    }
    // Times of two clocks that disagree tell nothing.
    let age = contents.age(now).and_then(|age| u64::try_from(age).ok()).map(Duration::from_secs);
    let settles = age.and_then(|age| SETTLE.checked_sub(age)).filter(|left| !left.is_zero());
    Ok(match settings(app, spec, &contents, |content| acting.keyed_hash(content)) {
        Ok((settings, copies)) => Found { settings: Some(settings), copies, missing: None, again, settles },
        Err(missing) => Found { settings: None, copies: Vec::new(), missing: Some(missing), again, settles: None },
    })
}
