//! The release image, as `packaging/image` makes it.

use std::fs;
use std::path::Path;
use std::process::Command;

use drover_e2e::{binary, repository, run};
use serde_json::{Value, json};

#[test]
fn the_image_holds_what_drover_needs_and_nothing_to_break_in_with() {
    let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
    let archive = make(folder.path(), "drover.tar");
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()));

    // As docker before 25 reads it.
    let manifest = &json_of(&folder.path().join("manifest.json"))[0];
    let tag = manifest["RepoTags"][0].as_str().expect("a tag");
    assert!(tag.ends_with(concat!("/drover:", env!("CARGO_PKG_VERSION"))), "{tag}");
    // As containerd reads it: the same image.
    let index = json_of(&folder.path().join("index.json"));
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], tag);
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest").replace(':', "/");
    let layers = json_of(&folder.path().join("blobs").join(digest))["layers"].clone();
    let layer = manifest["Layers"][0].as_str().expect("a layer");
    let expected = layers[0]["digest"].as_str().map(|digest| format!("blobs/{}", digest.replace(':', "/")));
    assert_eq!(expected.as_deref(), Some(layer));

    let config = json_of(&folder.path().join(manifest["Config"].as_str().expect("a configuration")));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/drover"]));
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));

    let listing = run(Command::new("tar").arg("-tzf").arg(folder.path().join(layer)));
    let files: Vec<_> = listing.lines().map(|line| line.trim_start_matches("./").trim_end_matches('/')).collect();
    for needed in ["etc/ssl/certs/ca-certificates.crt", "etc/nsswitch.conf", "tmp"] {
        assert!(files.contains(&needed), "{needed} is missing: {files:?}");
    }
    let mut programs: Vec<_> = files.iter().filter(|file| file.contains("bin/")).collect();
    programs.sort();
    assert_eq!(programs, [&"usr/bin/drover", &"usr/bin/drover-errands", &"usr/bin/sops"]);
}

#[test]
fn the_same_binary_gives_the_same_image() {
    let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
    let [first, second] =
        ["first.tar", "second.tar"].map(|name| fs::read(make(folder.path(), name)).expect("an archive"));
    assert!(first == second, "two images of one binary differ");
}

fn make(folder: &Path, name: &str) -> String {
    let archive = folder.join(name);
    let mut image = Command::new(repository().join("packaging/image"));
    run(image.arg("--binary").arg(binary()).arg("--out").arg(archive)).trim().to_owned()
}

fn json_of(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}
