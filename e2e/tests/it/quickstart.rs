//! What the quickstart tells a reader to type, typed: on a cluster of its own, with drover installed by its chart.
//!
//! The blocks that begin with ```` ```sh test ```` are one session of a shell that stops at the first failure. The reader's
//! names, which the page sets in a block of its own, are set to what the testbed has.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use drover_e2e::{GitServer, Testbed, binary, commands_of, finish, repository, run};

/// A number that no other test and no person uses.
const CLUSTER: u32 = 58;

const PAGE: &str = "docs/src/quickstart.md";
const HOST: &str = "hello.example.org";

#[test]
fn every_command_of_the_quickstart_works() {
    let text = fs::read_to_string(repository().join(PAGE)).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    let blocks = commands_of(&text, "sh test");
    assert!(!blocks.is_empty(), "no block of {PAGE} is marked `sh test`");

    let bed = Testbed::with_node(CLUSTER);
    let home = tempfile::tempdir().expect("the temporary folder is ours to write");
    load_image(&bed, home.path());
    let server = GitServer::beside(&bed);
    server.create("hello");
    // The reader's DNS knows the host, and the reader's registry has a certificate.
    fs::write(home.path().join(".curlrc"), format!("resolve = {HOST}:80:{}\n", bed.node_ip())).expect("it is ours");
    let session = blocks.join("\n").replace(
        "helm install drover charts/drover",
        &format!("helm install drover charts/drover --set 'insecureRegistries={{{}}}'", bed.registry()),
    );

    let mut shell = Command::new("bash");
    shell.args(["-euxo", "pipefail", "-c", &session]).current_dir(repository());
    shell.env("PATH", path(&bed)).env("KUBECONFIG", bed.kubeconfig()).env("CURL_HOME", home.path());
    shell.env("REPOSITORY", server.ssh("hello")).env("IMAGE", format!("{}/hello:1", bed.registry())).env("HOST", HOST);
    shell
        .env("GIT_KEY", server.identity())
        .env("GIT_HOSTS", server.known_hosts())
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    for role in ["AUTHOR", "COMMITTER"] {
        shell.env(format!("GIT_{role}_NAME"), "Robin").env(format!("GIT_{role}_EMAIL"), "robin@example.org");
    }
    let ssh = "ssh -i \"$GIT_KEY\" -o IdentitiesOnly=yes -o UserKnownHostsFile=\"$GIT_HOSTS\"";
    let finished = finish(shell.env("GIT_SSH_COMMAND", ssh), "");
    assert_eq!(finished.code, 0, "a command of {PAGE} fails:\n{}", finished.said());
    let answers = finished.stdout.matches("hello from version 1").count();
    assert!(answers >= 2, "the app did not answer before and after the broken push:\n{}", finished.said());

    server.down();
    bed.down();
}

/// The image that the chart names, made of the binary that is tested.
fn load_image(bed: &Testbed, folder: &Path) {
    let archive = folder.join("drover.tar");
    run(Command::new(repository().join("packaging/image")).arg("--binary").arg(binary()).arg("--out").arg(&archive));
    bed.load_image(&archive);
}

/// The PATH of a reader who has drover, helm and kubectl.
fn path(bed: &Testbed) -> String {
    let folder = |program: &Path| program.parent().expect("a program lies in a folder").display().to_string();
    let kubectl = bed.program("kubectl").get_program().to_owned();
    let rest = env::var("PATH").expect("there is a PATH");
    format!("{}:{}:{rest}", folder(binary()), folder(kubectl.as_ref()))
}
