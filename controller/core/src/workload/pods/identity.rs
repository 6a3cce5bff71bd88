//! Who the pods run as.

use drover_crds as crds;

use super::Image;
use crate::workload::Invalid;

/// The user of an image whose own is root, or unknown.
const ASSUMED_USER: i64 = 1000;

/// The user that an image is made for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ImageUser {
    /// No registry was asked.
    Unknown,
    /// As the image's configuration says it; empty is root.
    Known(String),
}

/// Who the app runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user that the pod sets; `None` leaves the image's.
    pub user: Option<i64>,
    /// The group that the pod sets; `None` leaves the image's.
    pub group: Option<i64>,
    /// The group that volumes are writable for.
    pub fs_group: Option<i64>,
    /// Whether root is allowed.
    pub root: bool,
    /// Whether the pod brings a home: the user is not the image's, so the image has none for it.
    pub home: bool,
    /// Whether drover chose the user because the image runs as root, or could not be asked.
    pub assumed: bool,
}

/// What the image says, read.
enum Read {
    Root,
    Number { user: i64, group: Option<i64> },
    Name(String),
    Unknown,
}

fn read(user: &ImageUser) -> Read {
    let ImageUser::Known(text) = user else { return Read::Unknown };
    let (user, group) = text.split_once(':').map_or((text.as_str(), None), |(u, g)| (u, Some(g)));
    if user.is_empty() || user == "root" {
        return Read::Root;
    }
    match user.parse::<i64>() {
        Ok(0) => Read::Root,
        Ok(number) if (1..=i64::from(i32::MAX)).contains(&number) => {
            Read::Number { user: number, group: group.and_then(|g| g.parse().ok()) }
        }
        _ => Read::Name(user.to_owned()),
    }
}

/// Decides who the app runs as: what the spec says, else the image's own user when it is a number other than 0, else 1000.
pub(super) fn identity(spec: &crds::PodSpec, image: &Image) -> Result<Identity, Invalid> {
    let run_as = spec.run_as.unwrap_or_default();
    let root = spec.allow_root.is_some();
    if run_as.user == Some(0) && !root {
        return Err(Invalid::Root);
    }
    if let Some(user) = run_as.user {
        let group = Some(run_as.group.unwrap_or(user));
        return Ok(Identity { user: Some(user), group, fs_group: group, root, home: user != 0, assumed: false });
    }
    if root {
        return Ok(Identity {
            user: None,
            group: run_as.group,
            fs_group: run_as.group,
            root,
            home: false,
            assumed: false,
        });
    }
    match read(&image.user) {
        Read::Number { user, group } => {
            let fs_group = Some(run_as.group.or(group).unwrap_or(user));
            Ok(Identity { user: None, group: run_as.group, fs_group, root, home: false, assumed: false })
        }
        Read::Root | Read::Unknown => {
            let group = Some(run_as.group.unwrap_or(ASSUMED_USER));
            Ok(Identity { user: Some(ASSUMED_USER), group, fs_group: group, root, home: true, assumed: true })
        }
        Read::Name(user) => Err(Invalid::NamedUser { image: image.reference.clone(), user }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(user: Option<&str>, spec: &crds::PodSpec) -> Result<Identity, Invalid> {
        let user = user.map_or(ImageUser::Unknown, |u| ImageUser::Known(u.to_owned()));
        identity(spec, &Image { reference: "app:1".into(), user, origin: None })
    }

    #[test]
    fn the_images_number_is_kept_and_root_becomes_1000() {
        let spec = crds::PodSpec::default();
        let kept = decide(Some("33:44"), &spec).expect("a number is fine");
        assert_eq!((kept.user, kept.fs_group, kept.home), (None, Some(44), false));
        for root in [Some(""), Some("0"), Some("root"), Some("0:0"), Some("root:root"), None] {
            let chosen = decide(root, &spec).expect("root is replaced");
            assert_eq!((chosen.user, chosen.fs_group, chosen.assumed), (Some(1000), Some(1000), true), "{root:?}");
        }
    }

    #[test]
    fn a_name_needs_a_number_from_the_spec() {
        let mut spec = crds::PodSpec::default();
        let refusal = decide(Some("www-data"), &spec).expect_err("a name cannot be checked").to_string();
        assert!(refusal.contains("runAs.user"), "{refusal}");
        spec.run_as = Some(crds::RunAs { user: Some(33), group: None });
        let chosen = decide(Some("www-data"), &spec).expect("a number is fine");
        assert_eq!((chosen.user, chosen.group, chosen.fs_group), (Some(33), Some(33), Some(33)));
    }

    #[test]
    fn root_needs_a_reason() {
        let mut spec = crds::PodSpec { run_as: Some(crds::RunAs { user: Some(0), group: None }), ..Default::default() };
        assert_eq!(decide(Some(""), &spec), Err(Invalid::Root));
        spec.allow_root = Some("binds raw sockets".into());
        assert!(decide(Some(""), &spec).expect("a reason is given").root);
    }
}
