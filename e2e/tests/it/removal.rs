//! What leaves git, moves, or loses its Environment: pruning, guards, hand-over.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use drover_crds::{ANNOTATION_CONFIRM_PRUNE, DeletionPolicy};
use drover_e2e::{Environment, Namespace, eventually, steadily};
use serde_json::json;

use crate::apply::{config_maps, data, exists, text_becomes};

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_git_leaves_the_cluster_and_nothing_else_does() {
    let namespace = Namespace::new("prune").await;
    let repo = namespace.repository("maps");
    namespace.kubectl(&["create", "configmap", "not-ours"]);
    let commit = repo.push(&[("maps.yaml", &config_maps(&["a", "b", "c"], "one"))], "Three");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;

    let commit = repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "one"))], "Two");
    environment.is_ready_at(&commit).await;
    assert!(!exists(&namespace, "c").await, "c left git and stayed");
    for name in ["a", "b", "not-ours"] {
        assert!(exists(&namespace, name).await, "{name} is gone");
    }

    // A field that leaves git leaves the object.
    let commit = repo.push(
        &[("maps.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n")],
        "No texts",
    );
    environment.is_ready_at(&commit).await;
    assert_eq!(data(&namespace, "a").await, Some(BTreeMap::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_would_remove_most_is_refused_until_a_person_confirms_it() {
    let namespace = Namespace::new("guard").await;
    let repo = namespace.repository("maps");
    let all = ["a", "b", "c", "d", "e", "f"];
    let commit = repo.push(&[("maps.yaml", &config_maps(&all, "one"))], "Six");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;

    let few = repo.push(&[("maps.yaml", &config_maps(&["a", "new"], "two"))], "Two");
    environment.complains_of(&[ANNOTATION_CONFIRM_PRUNE]).await;
    for name in all {
        assert!(exists(&namespace, name).await, "{name} was removed though the commit was refused");
    }
    text_becomes(&namespace, "a", Some("one")).await;
    assert!(!exists(&namespace, "new").await, "a refused commit is not applied by halves");

    environment.patch(json!({"metadata": {"annotations": {ANNOTATION_CONFIRM_PRUNE: few}}})).await;
    environment.is_ready_at(&few).await;
    assert!(!exists(&namespace, "f").await);

    // An empty commit is never believed without a word either.
    repo.push(&[("README.md", "nothing here")], "Empty");
    environment.complains_of(&["no objects"]).await;
    assert!(exists(&namespace, "a").await && exists(&namespace, "new").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_environment_orphans_or_deletes_as_its_policy_says() {
    for (policy, stays) in [(None, true), (Some(DeletionPolicy::Orphan), true), (Some(DeletionPolicy::Delete), false)] {
        let namespace = Namespace::new("deletion").await;
        let repo = namespace.repository("maps");
        let commit = repo.push(&[("maps.yaml", &config_maps(&["a"], "one"))], "Map");
        let environment = Environment::create(&namespace, "prod", &repo, |spec| spec.deletion_policy = policy).await;
        environment.is_ready_at(&commit).await;
        environment.delete().await;
        if stays {
            steadily(&format!("with deletionPolicy {policy:?} the object stays"), Duration::from_secs(3), async || {
                if exists(&namespace, "a").await { Ok(()) } else { Err("it is gone".into()) }
            })
            .await;
        } else {
            // There is no finalizer that would hold the Environment until its objects are gone.
            text_becomes(&namespace, "a", None).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_environment_goes_no_more_than_pruning_would_take() {
    let namespace = Namespace::new("guarded").await;
    let own = namespace.name();
    // The account may apply and delete its own namespace: only drover's guard is in between.
    let role = format!("{own}-namespace");
    namespace.kubectl(&[
        "create",
        "clusterrole",
        &role,
        "--verb=get,patch,delete",
        "--resource=namespaces",
        "--resource-name",
        own,
    ]);
    let account = format!("--serviceaccount={own}:drover");
    namespace.kubectl(&["create", "clusterrolebinding", &role, &format!("--clusterrole={role}"), &account]);
    namespace.kubectl(&["create", "configmap", "made-by-hand"]);
    let repo = namespace.repository("maps");
    let others = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {own}}}\n\
         ---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\n\
         spec: {{accessModes: [ReadWriteOnce], storageClassName: none, resources: {{requests: {{storage: 1Mi}}}}}}\n\
         ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: kept, annotations: {{drover.dev/prune: disabled}}}}\n"
    );
    let commit = repo.push(&[("maps.yaml", &config_maps(&["a"], "one")), ("others.yaml", &others)], "All");
    let environment =
        Environment::create(&namespace, "prod", &repo, |spec| spec.deletion_policy = Some(DeletionPolicy::Delete))
            .await;
    environment.is_ready_at(&commit).await;
    environment.delete().await;
    text_becomes(&namespace, "a", None).await;

    // What is left is told with the command that deletes it.
    let advice = format!("kubectl delete persistentvolumeclaim data --namespace {own}");
    eventually("what is left is told", Duration::from_secs(30), async || {
        let told = namespace.kubectl(&["get", "events", "-o", "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}"]);
        if told.contains(&advice) { Ok(()) } else { Err(told) }
    })
    .await;
    let going = namespace.kubectl(&["get", "namespace", own, "-o", "jsonpath={.metadata.deletionTimestamp}"]);
    assert_eq!(going, "", "the namespace went with its Environment");
    assert!(exists(&namespace, "made-by-hand").await && exists(&namespace, "kept").await);
    namespace.kubectl(&advice.split(' ').skip(1).chain(["--wait=false"]).collect::<Vec<_>>());
    for kind in ["clusterrolebinding", "clusterrole"] {
        namespace.kubectl(&["delete", kind, &role]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_to_another_environment_is_handed_over() {
    let namespace = Namespace::new("moves").await;
    let repo = namespace.repository("maps");
    let moving = |text: &str| {
        format!(
            "{}---\napiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}\n\
             ---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\n\
             spec: {{accessModes: [ReadWriteOnce], storageClassName: none, resources: {{requests: {{storage: 1Mi}}}}}}\n",
            config_maps(&["moving"], text)
        )
    };
    let (left_own, right_own) = (config_maps(&["left"], "one"), config_maps(&["right"], "one"));
    let push = |folder: &str, text: &str| {
        let moving = (format!("{folder}/moving.yaml"), moving(text));
        let files = [("left/own.yaml", left_own.as_str()), ("right/own.yaml", &right_own), (&moving.0, &moving.1)];
        repo.push(&files, &format!("To {folder}"))
    };
    let follow = async |name: &'static str| {
        Environment::create(&namespace, name, &repo, |spec| spec.source.path = Some(name.into())).await
    };
    let commit = push("left", "one");
    let environments = [follow("left").await, follow("right").await];
    for environment in &environments {
        environment.is_ready_at(&commit).await;
    }
    let uids = || {
        let objects = ["configmap/moving", "service/web", "persistentvolumeclaim/data"];
        objects.map(|object| namespace.kubectl(&["get", object, "-o", "jsonpath={.metadata.uid}"]))
    };
    let before = uids();
    // There and back, with a changed text: whose turn comes first is left to chance.
    for (folder, text) in [("right", "two"), ("left", "two"), ("right", "three")] {
        let commit = push(folder, text);
        for environment in &environments {
            let status = environment.is_ready_at(&commit).await;
            assert!(status.failures.is_empty(), "{:?}", status.failures);
        }
        assert_eq!(uids(), before, "moved to {folder}, and made anew");
        let owner = namespace.kubectl(&["get", "configmap", "moving", "-o", "jsonpath={.metadata.labels}"]);
        assert!(owner.contains(&format!(".{folder}\"")), "{owner}");
        text_becomes(&namespace, "moving", Some(text)).await;
    }

    // The one that had it holds nothing of it any more: what leaves git leaves the object.
    eventually("the first owner lets go", Duration::from_secs(30), async || {
        let managers = [
            "get",
            "configmap",
            "moving",
            "--show-managed-fields",
            "-o",
            "jsonpath={.metadata.managedFields[*].manager}",
        ];
        let managers = namespace.kubectl(&managers);
        if managers.contains(".left") { Err(managers) } else { Ok(()) }
    })
    .await;
    let bare = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: moving}\n";
    let rest = moving("three")
        .split_once("---\napiVersion: v1\nkind: Service")
        .map(|(_, rest)| rest.to_owned())
        .expect("a Service");
    let files = format!("{bare}---\napiVersion: v1\nkind: Service{rest}");
    let commit = repo.push(
        &[("left/own.yaml", &left_own), ("right/own.yaml", &right_own), ("right/moving.yaml", &files)],
        "Without its text",
    );
    environments[1].is_ready_at(&commit).await;
    text_becomes(&namespace, "moving", None).await;
    assert!(exists(&namespace, "moving").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_forgotten_when_it_leaves_git() {
    let namespace = Namespace::new("refused").await;
    let repo = namespace.repository("maps");
    let ours = config_maps(&["a", "b"], "one");
    // What `helm template` prints beside it, and the namespace's account may not make nor read.
    let mut theirs = String::new();
    for name in ["one", "two", "three"] {
        let name = format!("{}-{name}", namespace.name());
        let _ = write!(
            theirs,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\n"
        );
        let _ = write!(theirs, "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    }
    let commit = repo.push(&[("maps.yaml", &ours)], "Ours");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&commit).await;
    repo.push(&[("maps.yaml", &ours), ("cluster.yaml", &theirs)], "Too much");
    environment.complains_of(&["may not patch", "or remove the object from git"]).await;

    let commit = repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "two"))], "As the sentence says");
    let status = environment.is_ready_at(&commit).await;
    let said = drover_e2e::ready(&status.conditions).expect("it is ready");
    assert_eq!(said.reason, "Applied", "{}", said.message);
    // One of two may leave: what was refused does not count.
    let commit = repo.push(&[("maps.yaml", &config_maps(&["a"], "two"))], "One less");
    environment.is_ready_at(&commit).await;
    assert!(!exists(&namespace, "b").await, "b left git and stayed");
}
