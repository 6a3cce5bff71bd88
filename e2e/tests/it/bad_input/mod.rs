//! Bad input, line by line. Each test reads the sentence that a person reads, in the status, in `drover status` and in an event,
//! and looks that what ran before still runs and that a second Environment goes live beside the bad one.
//!
//! | what is wrong | test |
//! |---|---|
//! | YAML with a syntax error | [`files`] `a_syntax_error_is_told_once_with_file_and_line` |
//! | duplicate keys | [`files`] `a_key_that_is_written_twice_is_told_with_both_lines` |
//! | an alias bomb | [`files`] `an_alias_bomb_is_refused_before_it_takes_memory` |
//! | a 50 MB file | [`files`] `a_file_of_50_mb_is_refused_by_its_size` |
//! | an unknown kind, and an unknown version of a known one | [`files`] `a_kind_that_the_cluster_does_not_know_is_told_with_its_place` |
//! | a field of the wrong type | [`files`] `a_field_of_the_wrong_type_is_told_with_file_field_and_type` |
//! | two files with the same object | [`files`] `an_object_in_two_files_is_told_with_both_places` |
//! | an empty path | [`files`] `a_path_without_manifests_is_told_and_takes_nothing_away` |
//! | a path that is not there | [`files`] `a_path_that_is_missing_is_named_and_takes_nothing_away` |
//! | a symlink out of the tree | [`files`] `a_link_out_of_the_tree_is_not_followed_and_takes_nothing_away` |
//! | a branch deleted | [`git`] `a_branch_that_is_deleted_takes_nothing_away` |
//! | a force-push | [`git`] `a_rewritten_branch_is_followed` |
//! | a wrong password | [`git`] `a_wrong_password_is_said_without_saying_the_password` |
//! | an unknown host key | [`git`] `an_unknown_host_key_is_refused_with_the_line_that_would_trust_it`, `a_host_key_that_changed_is_not_trusted` |
//! | a server that hangs, or drips one byte a second | [`git`] `a_server_that_hangs_or_drips_is_given_up_after_a_minute` |
//! | a redirect to another host | [`git`] `a_redirect_to_another_host_gets_no_credential` |
//! | a webhook without or with a wrong signature | [`git`] `a_webhook_without_the_right_signature_changes_nothing` |
//! | an object in someone else's namespace | [`cluster`] `an_object_for_another_namespace_is_refused` |
//! | an object owned by another Environment | [`cluster`] `of_two_environments_that_claim_one_object_exactly_one_wins` |
//! | a mutating webhook that changes what was applied | [`cluster`] `a_mutating_webhook_is_not_fought` |
//! | (a port of a live Service, renumbered by hand) | [`cluster`] `a_port_of_a_service_that_somebody_renumbered_is_told_with_the_way_back` |
//! | a CRD and its first object in one push | [`cluster`] `a_definition_and_an_object_of_its_kind_come_in_one_push` |
//! | `kubectl delete` of drover's own CRDs | [`definitions`] `deleting_the_definitions_of_drover_deletes_nothing_else` |
//! | an image that runs as root | [`apps`] `an_image_of_root_runs_as_somebody_else`, `an_image_that_needs_root_is_told_how_to_ask_for_it` |
//! | one that listens on 127.0.0.1 | [`apps`] `an_app_that_listens_on_loopback_only_is_told_so` |
//! | an app that refuses an unknown Host | [`apps`] `an_app_that_answers_only_its_own_host_is_asked_for_that_host` |
//! | a WebApp whose image does not exist | [`apps`] `an_image_that_is_not_there_is_named` |
//! | a host already taken | [`apps`] `a_host_that_another_app_has_is_left_to_it`, `a_host_that_an_ingress_of_another_tool_has_is_left_to_it` |

mod apps;
mod cluster;
mod definitions;
mod files;
mod git;

use std::time::Duration;

use drover_crds::EnvironmentSpec;
use drover_e2e::{Commit, Environment, GitRepo, Namespace, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

/// How long drover may take to notice and judge a commit, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(60);

/// A ConfigMap `page` whose key `text` says `text`.
fn page(text: &str) -> String {
    config_map("page", text)
}

fn config_map(name: &str, text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{text: {text}}}\n")
}

fn short(commit: &Commit) -> &str {
    &commit[..12]
}

async fn text(namespace: &Namespace, name: &str) -> Option<String> {
    namespace.get::<ConfigMap>(name).await?.data?.remove("text")
}

async fn page_says(namespace: &Namespace, wanted: &str) {
    eventually(&format!("the page says {wanted}"), SOON, async || match text(namespace, "page").await {
        Some(text) if text == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// A team whose Environment `prod` is live with one page, so that there is something to lose.
struct Team {
    namespace: Namespace,
    repo: GitRepo,
    good: Commit,
    page: ConfigMap,
}

impl Team {
    async fn live(topic: &str) -> Self {
        Self::live_with(topic, &[("page.yaml", &page("one"))], |_| ()).await
    }

    async fn live_with(topic: &str, files: &[(&str, &str)], change: impl FnOnce(&mut EnvironmentSpec)) -> Self {
        let namespace = Namespace::new(topic).await;
        let repo = namespace.repository("pages");
        let good = repo.push(files, "Good");
        Environment::create(&namespace, "prod", &repo, change).await.is_ready_at(&good).await;
        let page = namespace.get("page").await.expect("it is applied");
        Self { namespace, repo, good, page }
    }

    fn environment(&self) -> Environment<'_> {
        Environment::named(&self.namespace, "prod")
    }

    fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Pushes beside the good page, and has drover look at once.
    fn push(&self, files: &[(&str, &str)]) -> Commit {
        let good = page("one");
        let commit = self.repo.push(&[&[("page.yaml", good.as_str())], files].concat(), "Bad");
        self.environment().look_now();
        commit
    }

    /// The sentence that a person reads: the same in the status, once in `drover status`, and in an event.
    async fn reads(&self, reason: &str) -> String {
        self.reads_within(reason, SOON).await
    }

    async fn reads_within(&self, reason: &str, patience: Duration) -> String {
        let said = self.environment().fails_with(reason, patience).await.message;
        one_sentence(&said);
        let shown = self.namespace.drover(&["status", "prod", "--namespace", self.name()]);
        assert_eq!(
            shown.stdout.matches(&said).count(),
            1,
            "drover status does not say once `{said}`:\n{}",
            shown.said()
        );
        assert!(shown.stdout.contains(&format!("applied {}", short(&self.good))), "{}", shown.stdout);
        eventually(&format!("an event says `{said}`"), SOON, async || {
            let events: Value =
                serde_json::from_str(&self.namespace.kubectl(&["get", "events", "-o", "json"])).expect("JSON");
            let notes: Vec<_> =
                events["items"].as_array().into_iter().flatten().map(|event| &event["message"]).collect();
            let found =
                notes.iter().any(|note| note.as_str().is_some_and(|note| said.starts_with(note) && !note.is_empty()));
            if found { Ok(()) } else { Err(format!("{notes:?}")) }
        })
        .await;
        said
    }

    /// What was applied is as it was, and the status still says what that is.
    async fn has_lost_nothing(&self) {
        let now: ConfigMap = self.namespace.get("page").await.expect("the page was removed");
        assert_eq!((&now.metadata.uid, &now.data), (&self.page.metadata.uid, &self.page.data));
        assert_eq!(now.metadata.resource_version, self.page.metadata.resource_version, "the page was written");
        let applied = self.environment().status().await.applied.expect("something is applied");
        assert_eq!(applied.commit, self.good);
    }

    /// A second Environment goes live while this one complains.
    async fn delays_nobody(&self) {
        let repo = self.namespace.repository("other");
        let commit = repo.push(&[("other.yaml", &config_map("other", "fine"))], "Fine");
        Environment::create(&self.namespace, "other", &repo, |_| ()).await.is_ready_at(&commit).await;
    }

    /// A good commit is all that it takes.
    async fn recovers(&self) {
        let commit = self.repo.push(&[("page.yaml", &page("two"))], "Better");
        self.environment().look_now();
        self.environment().is_ready_at(&commit).await;
        assert_eq!(text(&self.namespace, "page").await.as_deref(), Some("two"));
    }
}

/// Not a paragraph, and short enough to be read at three in the morning.
fn one_sentence(said: &str) {
    assert!(!said.contains(". ") && !said.ends_with('.'), "not one sentence: {said}");
    assert!(said.len() <= 500, "{} characters: {said}", said.len());
}
