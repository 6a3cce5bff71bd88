//! The testbed keeps its own promises: clusters stand side by side, and `down` leaves nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use drover_e2e::{GitRepo, GitServer, Testbed, finish, run};

/// Numbers that no other test and no person uses.
const SPARE: u32 = 59;
const PLAYED: u32 = 58;

#[test]
fn a_second_cluster_stands_beside_the_first_and_leaves_nothing_behind() {
    let first = Testbed::shared();
    let second = Testbed::with_node(SPARE);
    let state = second.state().display().to_string();
    let node = second.node_ip().to_owned();
    assert_ne!(first.node_ip(), node);
    assert_eq!(second.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].status.addresses[0].address}"]), node);
    // Both run pods, and neither ends the other's.
    for bed in [first, &second] {
        bed.kubectl(&["rollout", "status", "deployment", "--namespace", "kube-system", "--timeout=60s"]);
    }
    // Its Ingress controller gives up on a slow request when it is told to, which is long before it would by itself.
    second.suffers(&["ingress", "--entryPoints.web.transport.respondingTimeouts.readTimeout=1s"]);
    assert!(gives_up_on_a_slow_request(&node) < Duration::from_secs(20));

    let during = traces(&state, &node);
    assert!(!during.is_empty(), "a running cluster is not found: this test looks in the wrong places");

    second.down();
    assert_eq!(traces(&state, &node), Vec::<String>::new(), "`cluster down` left something behind");
    assert_eq!(first.kubectl(&["get", "--raw", "/readyz"]), "ok", "ending the second cluster hurt the first");
}

/// How long the server at the node's port 80 waits for the body of a request that never comes.
fn gives_up_on_a_slow_request(node: &str) -> Duration {
    let began = Instant::now();
    let mut connection = TcpStream::connect((node, 80)).expect("the Ingress controller listens");
    connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout that is not zero");
    connection.write_all(b"POST / HTTP/1.1\r\nHost: slow.test\r\nContent-Len").expect("a connection takes a few bytes");
    // It ends the connection, with or without an answer; a timeout of our own is an error.
    connection.read_to_end(&mut Vec::new()).expect("it ends the connection");
    began.elapsed()
}

#[test]
fn several_nodes_can_be_played_and_the_scheduler_chooses_among_them() {
    let bed = Testbed::with_fake_nodes(PLAYED, 2);
    bed.apply(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: apart, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: apart}}
  template:
    metadata: {labels: {app: apart}}
    spec:
      containers: [{name: a, image: nothing.test/a}]
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: apart}}}
",
    );
    bed.kubectl(&["rollout", "status", "deployment/apart", "--namespace", "default", "--timeout=60s"]);
    let nodes = bed.kubectl(&["get", "pods", "--namespace", "default", "-o", "jsonpath={.items[*].spec.nodeName}"]);
    let mut nodes: Vec<&str> = nodes.split(' ').collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["played-1", "played-2"]);
    bed.down();
}

#[test]
fn a_team_pushes_to_the_git_server_and_reads_over_both_protocols() {
    let repo = GitRepo::create("testbed-team");
    let first = repo.push(&[("a.yaml", "a: 1")], "First");
    let second = repo.push(&[("b/b.yaml", "b: 1")], "Second");
    repo.tag("v1.0.0");
    let ssh = format!(
        "ssh -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={}",
        GitServer::shared().identity().display(),
        GitServer::shared().known_hosts().display()
    );
    for (address, options) in
        [(repo.https(), vec![]), (repo.ssh(), vec!["-c".to_owned(), format!("core.sshCommand={ssh}")])]
    {
        let mut arguments: Vec<&str> = options.iter().map(String::as_str).collect();
        arguments.extend(["ls-remote", &address]);
        let listed = repo.try_git(&arguments);
        assert!(listed.stdout.contains(&format!("{second}\trefs/heads/prod")), "{address}: {}", listed.said());
        assert!(listed.stdout.contains("refs/tags/v1.0.0"), "{address}: {}", listed.said());
    }
    assert!(!repo.folder().join("a.yaml").exists(), "a push holds its own files and no others");
    let reverted = repo.revert(1);
    assert!(repo.folder().join("a.yaml").exists());
    let rewritten = repo.force_push(&[("c.yaml", "c: 1")], "Anew");
    assert!(![&first, &second, &reverted].contains(&&rewritten));
    repo.delete_branch("prod");
    assert!(!repo.try_git(&["ls-remote", "origin"]).stdout.contains("refs/heads/prod"));
}

/// Processes, mounts, interfaces, namespaces and control groups of a cluster.
fn traces(state: &str, node: &str) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&format!("{state}/")) || command.contains(&format!("{node}:")) {
            found.push(format!("process {command}"));
        }
    }
    let mounts = fs::read_to_string("/proc/mounts").expect("/proc is there");
    found.extend(mounts.lines().filter(|line| line.contains(&format!("{state}/"))).map(|line| format!("mount {line}")));
    let links = run(Command::new("ip").args(["-brief", "link"]));
    found.extend(
        links.lines().filter(|line| line.starts_with(&format!("drover{SPARE}@"))).map(|line| format!("link {line}")),
    );
    let namespaces = finish(Command::new("ip").args(["netns", "list"]), "").stdout;
    let ours = format!("drover{SPARE}");
    found.extend(
        namespaces.lines().filter(|line| line.split(' ').next() == Some(&ours)).map(|line| format!("namespace {line}")),
    );
    let groups = run(Command::new("find").args([
        "/sys/fs/cgroup",
        "-maxdepth",
        "2",
        "-name",
        &format!("drover-testbed-{SPARE}"),
    ]));
    found.extend(groups.lines().map(|line| format!("control group {line}")));
    if fs::exists(state).unwrap_or(true) {
        found.push(format!("folder {state}"));
    }
    found
}
