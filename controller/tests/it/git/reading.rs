//! Files of a commit, without a checkout.

use std::os::unix::fs::symlink;

use drover::git::{Limits, Tree};
use drover_core::branch::CommitId;
use drover_core::render;

use super::followed::Followed;

fn paths(tree: &Tree) -> Vec<&str> {
    tree.files.as_ref().expect("files").iter().map(|file| file.path.as_str()).collect()
}

#[tokio::test]
async fn reads_manifests_in_order_and_nothing_else() {
    let mut followed = Followed::new().await;
    let work = followed.repo.work.path().to_owned();
    symlink("../../..", work.join("deploy/up")).expect("link");
    let commit = followed
        .push(&[
            ("deploy/b.yml", "b"),
            ("deploy/a/z.json", "{}"),
            ("deploy/a.yaml", "a"),
            ("deploy/README.md", "no"),
            ("deploy/.hidden.yaml", "no"),
            ("deploy/.git-stuff/x.yaml", "no"),
            ("other/c.yaml", "no"),
        ])
        .await;
    let tree = followed.read(&commit, "deploy", None).await.expect("read");
    assert_eq!(paths(&tree), ["deploy/a.yaml", "deploy/a/z.json", "deploy/app.yaml", "deploy/b.yml"]);
    assert_eq!(tree.skipped, [""; 0]);

    assert_eq!(paths(&followed.read(&commit, "./deploy/", None).await.expect("read")), paths(&tree));
    assert_eq!(paths(&followed.read(&commit, "deploy/a.yaml", None).await.expect("read")), ["deploy/a.yaml"]);
    assert_eq!(paths(&followed.read(&commit, "", None).await.expect("read")).len(), 5);

    for (path, said) in [
        ("nowhere", "check spec.source.path"),
        ("deploy/a.yaml/x", "check spec.source.path"),
        ("deploy/README.md", "a folder or a file that ends in .yaml"),
        ("deploy/up", "neither is followed"),
        ("deploy/up/etc", "neither is followed"),
        ("deploy/../..", "may not leave the repository"),
    ] {
        let error = followed.read(&commit, path, None).await.expect_err(path).to_string();
        assert!(error.contains(said) && error.contains(path) && error.contains(commit.short()), "{error}");
    }
}

#[tokio::test]
async fn a_link_in_place_of_a_manifest_is_refused_wherever_it_leads() {
    let mut followed = Followed::new().await;
    let work = followed.repo.work.path().to_owned();
    for (target, link) in [("/etc/passwd", "deploy/passwd.yaml"), ("app.yaml", "deploy/same.yml")] {
        symlink(target, work.join(link)).expect("link");
        let commit = followed.push(&[]).await;
        let error = followed.read(&commit, "deploy", None).await.expect_err("a link");
        assert!(error.to_string().starts_with(&format!("{link} is a symbolic link to {target}, ")), "{error}");
        assert!(error.is_terminal());
        std::fs::remove_file(work.join(link)).expect("ours");
    }
}

#[tokio::test]
async fn knows_when_the_folder_is_as_before() {
    let mut followed = Followed::new().await;
    let first = followed.push(&[("other/x.yaml", "1")]).await;
    let tree = followed.read(&first, "deploy", None).await.expect("read");
    let second = followed.push(&[("other/x.yaml", "2")]).await;
    let same = followed.read(&second, "deploy", Some(&tree.id)).await.expect("read");
    assert_eq!((&same.id, &same.files), (&tree.id, &None));
    let other = followed.read(&second, "other", Some(&tree.id)).await.expect("read");
    assert_eq!(paths(&other), ["other/x.yaml"]);
    let third = followed.push(&[("deploy/new.yaml", "3")]).await;
    assert_eq!(paths(&followed.read(&third, "deploy", Some(&tree.id)).await.expect("read")).len(), 2);
}

#[tokio::test]
async fn says_what_is_too_large() {
    let manifests = render::Limits { files: 4, file_bytes: 1000, total_bytes: 1500, ..render::Limits::default() };
    let limits = Limits { manifests, ..Limits::default() };
    let mut followed = Followed::with(limits).await;
    let big = "x".repeat(1001);
    let half = "x".repeat(800);
    let commit = followed
        .push(&[
            ("big/large.yaml", &big),
            ("many/1.yaml", ""),
            ("many/2.yaml", ""),
            ("many/3.yaml", ""),
            ("many/4.yaml", ""),
            ("many/5.yaml", ""),
            ("sum/1.yaml", &half),
            ("sum/2.yaml", &half),
        ])
        .await;
    for (path, said) in [
        (
            "big",
            "the file big/large.yaml has 1001 bytes and at most 1000 bytes are read of one file: split it, or keep it out of spec.source.path",
        ),
        ("many", "the path many holds more than 4 files: narrow spec.source.path"),
        ("sum", "the path sum holds more than 1500 bytes of manifests: narrow spec.source.path"),
    ] {
        let error = followed.read(&commit, path, None).await.expect_err(path);
        assert_eq!(error.to_string(), said);
        assert!(error.is_terminal());
    }
    assert_eq!(paths(&followed.read(&commit, "deploy", None).await.expect("others are read")), ["deploy/app.yaml"]);
}

/// What the controller finds wrong with the folder, a sentence each.
async fn found_by_controller(followed: &Followed, commit: &CommitId) -> Vec<String> {
    let tree = match followed.read(commit, "deploy", None).await {
        Ok(tree) => tree,
        Err(error) => return vec![error.to_string()],
    };
    let rendered = render::render(&tree.files.expect("files"), &render::Limits::default());
    rendered.err().into_iter().flatten().map(|error| error.to_string()).collect()
}

/// What `drover render` finds wrong with it.
fn found_by_command(followed: &Followed) -> Vec<String> {
    let mut drover = std::process::Command::new(env!("CARGO_BIN_EXE_drover"));
    let output = drover.args(["render", "deploy"]).current_dir(followed.repo.work.path()).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(if said.is_empty() { 0 } else { 3 }), "{said}");
    said.lines().map(|line| line.trim_start_matches("error: ").to_owned()).collect()
}

type Files<'a> = Vec<(&'a str, &'a str)>;

#[tokio::test]
async fn drover_render_finds_what_the_controller_finds_word_for_word() {
    let page = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    let app = "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {name: web}\nspec: {image: 1, doors: 2}\n";
    let many: Vec<(String, String)> = (0..2_001).map(|n| (format!("deploy/{n}.yaml"), String::new())).collect();
    let deep = format!("deploy/{}a.yaml", "d/".repeat(65));
    let (large, twice) = ("#".repeat((1 << 20) + 1), page("a"));
    let cases: [(&str, Files<'_>, Option<&str>); 9] = [
        ("fine", vec![("deploy/a.yaml", &twice), ("deploy/a/b.yaml", "")], None),
        (
            "an own kind that does not fit",
            vec![("deploy/web.yaml", app)],
            Some("spec.doors of WebApp web is not known"),
        ),
        (
            "syntax in two files, in order",
            vec![("deploy/a-b.yaml", "a: b: c\n"), ("deploy/a/b.yaml", "\t")],
            Some("deploy/a-b.yaml:1: "),
        ),
        (
            "the same twice",
            vec![("deploy/a.yaml", &twice), ("deploy/a/b.yaml", &twice)],
            Some("deploy/a/b.yaml:1: ConfigMap a is already"),
        ),
        ("a kustomization", vec![("deploy/kustomization.yaml", "resources: []\n")], Some("this is a kustomization")),
        ("too large", vec![("deploy/a.yaml", &large)], Some("the file deploy/a.yaml has 1.1 MiB")),
        (
            "too many",
            many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect(),
            Some("more than 2000 files"),
        ),
        ("too deep", vec![(&deep, "")], Some("64 folders within each other")),
        ("a link", Vec::new(), Some("deploy/link.yaml is a symbolic link to app.yaml, and links are not followed")),
    ];
    let mut followed = Followed::new().await;
    let work = followed.repo.work.path().to_owned();
    for (what, files, said) in cases {
        std::fs::remove_dir_all(work.join("deploy")).expect("ours");
        if what == "a link" {
            std::fs::create_dir_all(work.join("deploy")).expect("ours");
            symlink("app.yaml", work.join("deploy/link.yaml")).expect("link");
        }
        let commit = followed.push(&[&[("deploy/.keep", "")], &*files].concat()).await;
        let (controller, command) = (found_by_controller(&followed, &commit).await, found_by_command(&followed));
        assert_eq!(controller, command, "{what}");
        match said {
            None => assert!(command.is_empty(), "{what}: {command:?}"),
            Some(said) => assert!(command.iter().any(|found| found.contains(said)), "{what}: {command:?}"),
        }
    }
}

#[tokio::test]
async fn many_readings_at_once_get_each_their_own_answer() {
    let mut followed = Followed::new().await;
    let files: Vec<(String, String)> = (0..40).map(|n| (format!("apps/{n}/a.yaml"), format!("n: {n}"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let commit = followed.push(&files).await;
    let followed = &followed;
    let commit = &commit;
    let readings = (0..41).map(|n| async move { (n, followed.read(commit, &format!("apps/{n}"), None).await) });
    for (n, tree) in futures::future::join_all(readings).await {
        match tree {
            Ok(tree) => assert_eq!(tree.files.expect("files")[0].bytes, format!("n: {n}").into_bytes()),
            Err(error) => assert_eq!((n, error.label()), (40, "NoSuchPath")),
        }
    }
}
