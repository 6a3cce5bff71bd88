//! What an app reads of ConfigMaps and Secrets, as it is now.

use std::collections::BTreeSet;
use std::time::Duration;

use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::App;
use drover_core::workload::pods::Settings;
use drover_core::workload::pods::settings::{Contents, Copy, Missing, SettingKind, readings, settings};
use drover_crds::{self as crds, Owner};
use tokio::time::Instant;

use super::dereference;
use crate::cluster::{Acting, ApiError, Sight};
use crate::settings::{self as watched, Settings as AllWatched, UNSEEN, Watched};

/// How long a change waits for others before it alone begins a release: a push that changes a ConfigMap and the app changes one after the
/// other.
const SETTLE: Duration = Duration::from_secs(5);

/// Since when an app's settings are as they are, between two turns.
#[derive(Clone, Default)]
pub struct Since(Option<(Settings, Instant)>);

impl Since {
    /// In how long these may begin a release: `None` for now.
    fn settles(&mut self, settings: &Settings, now: Instant) -> Option<Duration> {
        let since = match &self.0 {
            Some((seen, since)) if seen == settings => *since,
            _ => {
                self.0 = Some((settings.clone(), now));
                now
            }
        };
        SETTLE.checked_sub(now.duration_since(since)).filter(|left| !left.is_zero())
    }
}

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
}

impl Found {
    /// Refuses pods that could not start.
    pub fn required(&self) -> Result<&Settings, Trouble> {
        self.settings.as_ref().ok_or_else(|| {
            let sentence = self.missing.as_ref().map(Missing::to_string).unwrap_or_default();
            Trouble { again: self.again, ..Trouble::new("SettingsMissing", sentence, Mend::Event) }
        })
    }

    /// In how long these settings may begin a release, where `newest` reads others: `None` for now.
    pub fn settles(&self, newest_reads_others: bool, since: &mut Since) -> Option<Duration> {
        match &self.settings {
            Some(settings) if newest_reads_others => since.settles(settings, Instant::now()),
            _ => {
                *since = Since::default();
                None
            }
        }
    }
}

/// Reads what `spec` names. `owner` is told when some of it changes. What the account may not read is left out: its pods may all the
/// same, and its change begins no release.
pub async fn read(
    acting: &Acting,
    watched: &AllWatched,
    owner: &Owner,
    app: &App,
    spec: &crds::PodSpec,
) -> Result<Found, ApiError> {
    let names: BTreeSet<_> = readings(spec).into_iter().map(|one| (one.kind, one.name)).collect();
    let (mut contents, mut again) = (Contents::default(), None);
    for (kind, name) in names {
        let what = Watched::Setting(kind);
        watched.interest().wait(owner, &watched::key(what, &app.namespace, &name));
        if watched.ensure(acting, &app.namespace, what) == Sight::Blind {
            again = Some(UNSEEN);
        }
        let found = match kind {
            SettingKind::ConfigMap => dereference::config_map(acting, app, &name)
                .await
                .map(|found| contents.config_maps.extend(found.map(|found| (name.to_string(), found)))),
            SettingKind::Secret => dereference::secret(acting, app, &name)
                .await
                .map(|found| contents.secrets.extend(found.map(|found| (name.to_string(), found)))),
        };
        match found {
            Err(ApiError::Forbidden(_)) => {
                contents.hidden.insert((kind, name.into_owned()));
            }
            found => found?,
        }
    }
    Ok(match settings(app, spec, &contents, |content| acting.keyed_hash(content)) {
        Ok((settings, copies)) => Found { settings: Some(settings), copies, missing: None, again },
        Err(missing) => Found { settings: None, copies: Vec::new(), missing: Some(missing), again },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_settles_five_seconds_after_it_was_first_seen_whatever_else_is_written() {
        let settings = |hash: &str| -> Settings {
            serde_json::from_value(serde_json::json!({"secrets": {"login": hash}})).expect("settings")
        };
        let (now, mut since) = (Instant::now(), Since::default());
        let seconds = Duration::from_secs;
        assert_eq!(since.settles(&settings("a"), now), Some(seconds(5)));
        assert_eq!(since.settles(&settings("a"), now + seconds(4)), Some(seconds(1)));
        assert_eq!(since.settles(&settings("a"), now + seconds(5)), None);
        assert_eq!(since.settles(&settings("b"), now + seconds(6)), Some(seconds(5)));
    }
}
