//! Files of a commit, without a checkout.

use std::os::unix::fs::symlink;

use drover::git::{Limits, Tree};

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
    let limits = Limits { files: 4, file_bytes: 1000, total_bytes: 1500, ..Limits::default() };
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
