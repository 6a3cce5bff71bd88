//! What is wrong with the files of a commit.

use std::fmt::Write as _;

use drover_e2e::{Environment, Namespace};

use super::{Team, config_map, page, page_says, short, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_is_told_once_with_file_and_line() {
    let team = Team::live("syntax").await;
    let bad = team.push(&[("deploy/web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web\ndata: {}\n")]);
    assert_eq!(
        team.reads("RenderFailed").await,
        format!(
            "Commit {} is not applied: deploy/web.yaml:4: while parsing a flow mapping, did not find expected ',' or '}}': check that each `{{` and `[` is closed, and the commas between",
            short(&bad)
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;

    // The commit before is still looked after: what others change of it is put back.
    team.namespace.kubectl(&["delete", "configmap", "page"]);
    page_says(&team.namespace, "one").await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_written_twice_is_told_with_both_lines() {
    let team = Team::live("duplicate").await;
    let bad = team.push(&[("web.yaml", &(config_map("web", "a") + "kind: Secret\n"))]);
    assert_eq!(
        team.reads("RenderFailed").await,
        format!(
            "Commit {} is not applied: web.yaml:5: the key `kind` is written twice in this mapping, first in line 2: keep one of them",
            short(&bad)
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_bomb_is_refused_before_it_takes_memory() {
    let team = Team::live("bomb").await;
    let mut bomb = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for (before, name) in "abcdefghi".chars().zip("bcdefghij".chars()) {
        let aliases = vec![format!("*{before}"); 9].join(", ");
        let _ = writeln!(bomb, "{name}: &{name} [{aliases}]");
    }
    let bad = team.push(&[("bomb.yaml", &bomb)]);
    assert_eq!(
        team.reads("RenderFailed").await,
        format!(
            "Commit {} is not applied: bomb.yaml:5: aliases (`*name`) expand to more than 4194304 bytes here: write the values out, or use fewer aliases",
            short(&bad)
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_50_mb_is_refused_by_its_size() {
    let team = Team::live("large").await;
    let bad = team.push(&[("large.yaml", &"# fifty million bytes of it\n".repeat(50_000_000 / 28))]);
    assert_eq!(
        team.reads("FileTooLarge").await,
        format!(
            "Commit {} is not applied: the file large.yaml has 47.7 MiB and at most 1 MiB are read of one file: split it, or keep it out of spec.source.path",
            short(&bad)
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_the_cluster_does_not_know_is_told_with_its_place() {
    let team = Team::live("unknown-kind").await;
    let ring = "apiVersion: example.org/v1\nkind: Ring\nmetadata: {name: one}\n";
    let bad = team.push(&[("rings.yaml", &format!("{}---\n{ring}", config_map("box", "a")))]);
    assert_eq!(
        team.reads("UnknownKind").await,
        format!(
            "Commit {} is not applied: rings.yaml:6: the cluster does not know the kind Ring of example.org/v1: install its CustomResourceDefinition, add that to git, or correct apiVersion and kind",
            short(&bad)
        )
    );
    assert_eq!(text(&team.namespace, "box").await, None, "half of a commit was applied");
    team.has_lost_nothing().await;

    // Nor a version that it serves no more of a kind that it does know.
    let job = "kind: CronJob
metadata: {name: night}
spec:
  suspend: true
  schedule: 0 0 1 1 *
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: drover.test/busybox:1}]}}}
";
    let files = |version: &str| format!("{}---\napiVersion: {version}\n{job}", config_map("box", "a"));
    let bad = team.push(&[("night.yaml", &files("batch/v1beta1"))]);
    let said = "night.yaml:6: the cluster serves CronJob as batch/v1, and not as batch/v1beta1: write that as its apiVersion, with the fields of that version";
    team.environment().complains_of(&[&format!("Commit {} is not applied: {said}", short(&bad))]).await;
    assert_eq!(text(&team.namespace, "box").await, None, "half of a commit was applied");
    team.has_lost_nothing().await;
    let good = team.push(&[("night.yaml", &files("batch/v1"))]);
    team.environment().is_ready_at(&good).await;
    team.delays_nobody().await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_wrong_type_is_told_with_file_field_and_type() {
    let team = Team::live("wrong-type").await;
    team.push(&[("web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {text: [1]}\n")]);
    assert_eq!(
        team.reads("Refused").await,
        format!(
            "web.yaml:1: ConfigMap {}/web was refused by the API server: .data.text: expected string, got a list: correct it in git",
            team.name()
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_two_files_is_told_with_both_places() {
    let team = Team::live("twice").await;
    let bad = team.push(&[("a/web.yaml", &config_map("web", "a")), ("b/web.yaml", &config_map("web", "b"))]);
    assert_eq!(
        team.reads("RenderFailed").await,
        format!(
            "Commit {} is not applied: b/web.yaml:1: ConfigMap web is already defined in a/web.yaml:1: remove one of the two",
            short(&bad)
        )
    );
    assert_eq!(text(&team.namespace, "web").await, None);
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    team.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_manifests_is_told_and_takes_nothing_away() {
    // One that never had any.
    let namespace = Namespace::new("nothing").await;
    let repo = namespace.repository("pages");
    let empty = repo.push(&[("deploy/README.md", "soon")], "Begin");
    let environment =
        Environment::create(&namespace, "prod", &repo, |spec| spec.source.path = Some("deploy".into())).await;
    assert_eq!(
        environment.fails_with("NoObjects", super::SOON).await.message,
        format!(
            "commit {} contains no objects in the path deploy, so there is nothing to apply: push manifests (.yaml, .yml or .json), or correct spec.source.path",
            short(&empty)
        )
    );
    let first = repo.push(&[("deploy/page.yaml", &page("one"))], "A page");
    environment.is_ready_at(&first).await;

    // One that had some.
    let team = Team::live_with("emptied", &[("deploy/page.yaml", &page("one"))], |spec| {
        spec.source.path = Some("deploy".into());
    })
    .await;
    let bad = team.push(&[("deploy/README.md", "gone")]);
    let said = team.reads("PruneRefused").await;
    assert_eq!(
        said,
        format!(
            "commit {} contains no objects in the path deploy while 1 is applied, so nothing was changed: push them again, correct spec.source.path, or confirm that they shall all go with `kubectl annotate environment prod --namespace {} --overwrite drover.dev/confirm-prune={bad}`",
            short(&bad),
            team.name()
        )
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;

    // The command that the sentence shows is the one that confirms.
    let command = said.split('`').nth(1).expect("a command");
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    team.namespace.kubectl(&arguments);
    team.environment().is_ready_at(&bad).await;
    assert_eq!(text(&team.namespace, "page").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_missing_is_named_and_takes_nothing_away() {
    let files = [("deploy/page.yaml", &*page("one")), ("elsewhere/other.yaml", "not: {yaml")];
    let team = Team::live_with("path", &files, |spec| spec.source.path = Some("deploy".into())).await;
    let bad = team.push(&[("elsewhere/page.yaml", &page("two"))]);
    assert_eq!(
        team.reads("NoSuchPath").await,
        format!("the path deploy does not exist in commit {}: check spec.source.path", short(&bad))
    );
    team.has_lost_nothing().await;
    team.delays_nobody().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_out_of_the_tree_is_not_followed_and_takes_nothing_away() {
    let team = Team::live("link").await;
    let bad = team.repo.push_link("passwords.yaml", "../../../etc/passwd", "Link");
    team.environment().look_now();
    let sentence = |commit: &str, link: &str, target: &str| {
        format!(
            "Commit {commit} is not applied: {link} is a symbolic link to {target}, and links are not followed: commit the file itself in its place, or keep the link out of spec.source.path"
        )
    };
    assert_eq!(team.reads("SymbolicLink").await, sentence(short(&bad), "passwords.yaml", "../../../etc/passwd"));
    team.has_lost_nothing().await;

    // Nor is a link taken for a file that was removed.
    team.repo.push(&[], "Remove the page");
    let bad = team.repo.push_link("page.yaml", "/etc/passwd", "And put a link there");
    team.environment().look_now();
    team.environment().complains_of(&[&sentence(short(&bad), "page.yaml", "/etc/passwd")]).await;
    team.has_lost_nothing().await;
    team.delays_nobody().await;
    team.recovers().await;
}
