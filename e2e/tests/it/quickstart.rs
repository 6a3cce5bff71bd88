//! What the documentation tells a reader to type, typed.
//!
//! A block that begins with ```` ```sh test ```` is run, on a cluster of its own, in a folder that is the reader's clone of an
//! empty repository, with `drover`, `helm` and `kubectl` in the PATH and DROVER naming the folder of the project. What a reader
//! would put in place of an example is put there: the names in [`examples`].

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use drover_e2e::{GitRepo, GitServer, Testbed, binary, commands_of, eventually, finish, get, repository, run};

/// A number that no other test and no person uses.
const CLUSTER: u32 = 58;

/// The page; what it deploys answers under this host.
const PAGE: &str = "docs/src/quickstart.md";
const HOST: &str = "hello.example.org";

/// What stands for the reader's own things.
mod examples {
    pub const REPOSITORY: &str = "https://git.example.org/hello.git";
    pub const IMAGE: &str = "registry.example.org/hello:1";
    pub const REGISTRY: &str = "registry.example.org";
    pub const PASSWORD_FILE: &str = "~/git-password";
    pub const AUTHORITY_FILE: &str = "~/git-ca.crt";
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_brings_up_its_example() {
    let text = fs::read_to_string(repository().join(PAGE)).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    let blocks = commands_of(&text, "sh test");
    assert!(!blocks.is_empty(), "no block of {PAGE} is marked `sh test`");

    let bed = Testbed::with_node(CLUSTER);
    load_image(&bed);
    let server = GitServer::beside(&bed);
    let repo = GitRepo::create_on(server.clone(), "hello");
    let secrets = tempfile::tempdir().expect("the temporary folder is ours to write");
    let password = secrets.path().join("password");
    fs::write(&password, server.password()).expect("the temporary folder is ours to write");

    let stand_ins = BTreeMap::from([
        (examples::REPOSITORY, repo.https()),
        (examples::IMAGE, format!("{}/hello:1", bed.registry())),
        (examples::PASSWORD_FILE, password.display().to_string()),
        (examples::AUTHORITY_FILE, server.authority().display().to_string()),
    ]);
    for block in blocks {
        // The image before the registry: its name holds the registry's.
        let typed = stand_ins.iter().fold(block.clone(), |text, (example, real)| text.replace(example, real));
        let typed = typed.replace(examples::REGISTRY, bed.registry());
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &typed]).current_dir(repo.folder());
        server.let_in(&mut shell);
        shell.env("PATH", path(&bed)).env("KUBECONFIG", bed.kubeconfig()).env("DROVER", repository());
        let finished = finish(&mut shell, "");
        assert_eq!(finished.code, 0, "{PAGE} tells a reader to type\n{block}\nand that fails:\n{}", finished.said());
    }

    let address = format!("{}:80", bed.node_ip());
    eventually("what the quickstart deploys answers", Duration::from_secs(60), async || {
        match get(&address, HOST, "/").await? {
            response if response.status == 200 => Ok(()),
            response => Err(format!("{response:?}")),
        }
    })
    .await;
    server.down();
    bed.down();
}

/// The image that the chart names, made of the binary that is tested.
fn load_image(bed: &Testbed) {
    let archive = tempfile::tempdir().expect("the temporary folder is ours to write");
    let archive = archive.path().join("drover.tar");
    run(Command::new(repository().join("packaging/image")).arg("--binary").arg(binary()).arg("--out").arg(&archive));
    bed.load_image(&archive);
}

/// The PATH of a reader who has drover, helm and kubectl.
fn path(bed: &Testbed) -> String {
    let programs = |file: &std::path::Path| file.parent().expect("a program lies in a folder").display().to_string();
    let tools = bed.program("kubectl").get_program().to_owned();
    let rest = env::var("PATH").expect("there is a PATH");
    format!("{}:{}:{rest}", programs(binary()), programs(tools.as_ref()))
}
