//! Files of an app's image that are served beside it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{Claim, Duration};

/// Files of the app's image, such as those that `collectstatic` gathers, which the front serves by a route with `to.static.assets`. Once for
/// each release they are copied to a folder of their own on a claim. A name comes from the release that is live; what that lacks, from newer
/// ones and then older ones, so that pages which are open in a browser go on finding files with a hash in their names. The files of the live
/// release and of three others are kept.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assets {
    /// Its name: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The folder in the image whose files these are. Where a command makes them the folder is empty and writable before it runs, whatever the
    /// image has there, and the pods of the release see them there, for reading. Links may lead to other files of the folder only.
    #[schemars(length(min = 2, max = 1024), regex(pattern = r"^/[^\s:]+$"))]
    #[x_kube(validation = Rule::new("!self.contains('//') && !self.split('/').exists(s, s == '.' || s == '..')")
        .message("assets.path must not contain //, /./ or /../: write the folder's own path"))]
    pub path: String,

    /// The program that makes the files, and its arguments, such as `[python, manage.py, collectstatic, --noinput]`. It runs before the jobs
    /// and the pods of the release, with the app's environment, volumes and resources; where it fails the release has failed, and the old one
    /// goes on. Default: the files are those that the image has at `path`, which its program `cp` copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub command: Vec<String>,

    /// The folder that the command starts in. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096), regex(pattern = "^/"))]
    pub working_dir: Option<String>,

    /// How long making and copying may take before it is ended and counts as failed. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')")
        .message("the deadline of assets must be between 1s and 168h"))]
    pub deadline: Option<Duration>,

    /// The storage, a claim named `APP-NAME-assets`. Default: `1Gi`, which goes with the WebApp, since all of it can be made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

impl Assets {
    /// The name of its claim, without the app's own before it.
    pub fn claim_name(&self) -> String {
        format!("{}-assets", self.name)
    }

    /// What makes it is called among the jobs of a release.
    pub fn job_name(&self) -> String {
        format!("assets-{}", self.name)
    }

    /// Seconds that it may take.
    pub fn deadline_seconds(&self) -> i64 {
        self.deadline.map_or(3600, |deadline| i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX)).clamp(1, 604_800)
    }
}
