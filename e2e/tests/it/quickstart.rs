//! The quickstart, typed as it stands: on a cluster of its own with nothing on it but an Ingress controller, with the image and
//! the chart that people install.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drover_e2e::{GitServer, System, Testbed, binary, commands_of, finish, repository, run};

/// A number that no other test and no person uses.
const OWN: u32 = 45;

#[test]
fn the_quickstart_works_as_it_is_written() {
    let page = fs::read_to_string(repository().join("docs/src/quickstart.md")).expect("the page");
    let blocks = commands_of(&page, "sh test");
    assert!(blocks.len() > 5, "only {} blocks of the quickstart are marked `sh test`", blocks.len());
    let example =
        System::first("hello").with("registry.example.org/hello:1", "$IMAGE").with("hello.example.org", "$HOST");
    let typed = format!("cat > deploy/hello.yaml <<END\n{}END\n", example.text());
    assert!(blocks.iter().any(|block| block.contains(&typed)), "the quickstart describes another app than:\n{typed}");

    let bed = Testbed::with_node(OWN);
    let _end = End;
    let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
    load_image(&bed, folder.path());
    let git = GitServer::beside(&bed);
    git.create("hello");

    // Where names lead is the reader's business; here to the node.
    fs::write(folder.path().join(".curlrc"), format!("connect-to = \"::{}:80\"\n", bed.node_ip())).expect("our folder");
    // The node's registry speaks plain HTTP, and no authority that the image knows vouches for the git server.
    let values = folder.path().join("values.yaml");
    let text = format!("insecureRegistries: [\"{}\"]\nallowHttpGit: true\n", bed.registry());
    fs::write(&values, text).expect("our folder");
    // Set here, because a shell of root takes no PS4 from its environment.
    let script = format!("PS4='+ $SECONDS s: '\nset -x\n{}", blocks.join("\n"));
    let mut shell = Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(repository())
        .env("PATH", path(&bed))
        .env("KUBECONFIG", bed.kubeconfig())
        .env("CURL_HOME", folder.path())
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "Robin")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "robin@example.org")))
        .env("REPOSITORY", git.public_without_tls("hello"))
        .env("PRIVATE", git.ssh("hello"))
        .env("GIT_KEY", git.identity())
        .env("GIT_HOSTS", git.known_hosts())
        .env("IMAGE", format!("{}/hello:1", bed.registry()))
        .env("HOST", "hello.example.org")
        .env("VALUES", values);
    git.let_in(&mut shell);
    let finished = finish(&mut shell, "");
    println!("{}", finished.said());
    assert_eq!(finished.code, 0, "what the quickstart tells a reader to type fails");
    assert_eq!(finished.stdout.matches("hello from version 1").count(), 2, "the app did not answer twice");
    assert_eq!(finished.stdout.matches("Environment hello/prod is live").count(), 2, "public, and then private");
}

/// Makes the release image of the binary under test and brings it to the node.
fn load_image(bed: &Testbed, folder: &Path) {
    let archive = folder.join("drover.tar");
    let mut image = Command::new(repository().join("packaging/image"));
    run(image.arg("--binary").arg(binary()).arg("--without-sops").arg("--out").arg(&archive));
    bed.load_image(&archive);
}

/// The programs of the testbed and the one under test, before all others.
fn path(bed: &Testbed) -> std::ffi::OsString {
    let kubectl = PathBuf::from(bed.program("kubectl").get_program());
    let ours = [kubectl.parent(), binary().parent()].map(|folder| folder.expect("a program is in a folder").to_owned());
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&inherited))).expect("folders without a colon")
}

/// Ends the git server and the cluster, however the test ends.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        for tool in ["gitserver", "cluster"] {
            let mut down = Command::new(repository().join("e2e/testbed").join(tool));
            let finished = finish(down.arg("down").env("TESTBED", OWN.to_string()), "");
            if finished.code != 0 {
                eprintln!("{tool} {OWN} is still there: {}", finished.said());
            }
        }
    }
}
