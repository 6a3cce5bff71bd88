//! What a person is told of. Pure.

use drover_core::news::News;
use drover_crds::EnvironmentStatus;
use drover_crds::condition::{READY, get};

use super::status::{CONTESTED, Findings, listed};

/// What is told of a turn that the status does not show.
pub(super) fn done(before: &EnvironmentStatus, findings: &Findings) -> Vec<News> {
    let corrected = (!findings.corrected.is_empty()).then(|| {
        News::normal("DriftCorrected", format!("Put back what others had changed: {}", listed(&findings.corrected)))
    });
    let known = before.applied.as_ref().map(|applied| applied.commit.as_str());
    let applied = findings.applied.as_ref().filter(|now| known != Some(now.commit.id.as_str())).map(|now| {
        let note = format!("Applied {}: {} of {} objects changed", now.commit.id.short(), now.changed, now.objects);
        News::normal("Applied", note)
    });
    corrected.into_iter().chain(applied).collect()
}

/// What is told of between two statuses: a failure that is new, and what others change again and again.
pub(super) fn news(before: &EnvironmentStatus, after: &EnvironmentStatus) -> Vec<News> {
    let Some(now) = get(&after.conditions, READY).filter(|now| now.status == "False" || now.reason == CONTESTED) else {
        return Vec::new();
    };
    let is_said = get(&before.conditions, READY).is_some_and(|said| {
        // The same failure at another time is no news: what is said of the time stands at the end.
        let stem = match after.failures.as_slice() {
            [only] => only.message.as_str(),
            _ => now.message.as_str(),
        };
        said.message == now.message || said.message.starts_with(stem)
    });
    if is_said { Vec::new() } else { vec![News::warning(&now.reason, &now.message)] }
}

#[cfg(test)]
mod tests {
    use drover_core::trouble::{Mend, Trouble};
    use drover_crds::condition::{HasHead as _, Outcome};
    use drover_crds::{AppliedStatus, Owner, OwnerKind};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::super::status::{AppliedNow, show};
    use super::*;
    use crate::git::{CommitId, CommitInfo, TreeId};

    fn said(outcome: &Outcome) -> EnvironmentStatus {
        let mut status = EnvironmentStatus::default();
        status.conclude(outcome, Some(1), &Time(jiff::Timestamp::UNIX_EPOCH));
        status
    }

    fn failed(sentence: &str, outlook: &str) -> EnvironmentStatus {
        let trouble = Trouble::new("Unreachable", sentence, Mend::Event);
        let mut status =
            said(&Outcome::Failed { reason: trouble.reason.clone(), message: format!("{sentence}{outlook}") });
        show(&mut status, &Owner::new(OwnerKind::Environment, "shop", "prod"), Some(&trouble));
        status
    }

    #[test]
    fn a_failure_is_told_once_whatever_is_said_of_the_time() {
        let none = EnvironmentStatus::default();
        let first = failed("the host does not answer", "; drover asks again at 10:00");
        let told = news(&none, &first);
        assert_eq!(told, [News::warning("Unreachable", "the host does not answer; drover asks again at 10:00")]);
        let later = failed("the host does not answer", "; drover asks again at 11:00");
        assert_eq!(news(&first, &later), []);
        assert_eq!(news(&later, &failed("the host refuses", "; drover asks again at 11:00")).len(), 1);
        let ready = said(&Outcome::Ready { reason: "Applied".into(), message: "all well".into() });
        assert_eq!(news(&first, &ready), []);
        assert_eq!(news(&ready, &first).len(), 1, "it is wrong again");
    }

    #[test]
    fn a_war_is_told_although_all_is_there() {
        let of = |reason: &str, message: &str| said(&Outcome::Ready { reason: reason.into(), message: message.into() });
        let (well, war) = (of("Applied", "all well"), of(CONTESTED, "all well, but"));
        assert_eq!(news(&well, &war), [News::warning(CONTESTED, "all well, but")]);
        assert_eq!(news(&war, &war), []);
    }

    #[test]
    fn a_commit_is_told_once_and_what_is_put_back_each_time() {
        let id = "a".repeat(40);
        let commit = CommitInfo {
            id: CommitId::parse(&id).expect("40 digits"),
            tree: TreeId::parse(&id).expect("40 digits"),
            message: "Ship it".into(),
            author: "Ada".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
        };
        let applied = AppliedNow { commit, tree: id.clone(), objects: 4, changed: 2, healthy: true };
        let findings =
            Findings { applied: Some(applied), corrected: vec!["ConfigMap shop/a".into()], ..Findings::default() };
        let reasons = |before: &EnvironmentStatus| {
            done(before, &findings).into_iter().map(|news| (news.reason, news.note)).collect::<Vec<_>>()
        };
        let corrected = ("DriftCorrected".to_owned(), "Put back what others had changed: ConfigMap shop/a".to_owned());
        let note = "Applied aaaaaaaaaaaa: 2 of 4 objects changed".to_owned();
        assert_eq!(reasons(&EnvironmentStatus::default()), [corrected.clone(), ("Applied".to_owned(), note)]);
        let applied = Some(AppliedStatus { commit: id, ..AppliedStatus::default() });
        assert_eq!(reasons(&EnvironmentStatus { applied, ..EnvironmentStatus::default() }), [corrected]);
    }
}
