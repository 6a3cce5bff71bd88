//! The testbed keeps its own promises: clusters stand side by side, and `down` leaves nothing.

use std::fs;
use std::process::Command;

use drover_e2e::{Testbed, finish, run};

/// A number that no other test and no person uses.
const SPARE: u32 = 59;

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
    let during = traces(&state, &node);
    assert!(!during.is_empty(), "a running cluster is not found: this test looks in the wrong places");

    second.down();
    assert_eq!(traces(&state, &node), Vec::<String>::new(), "`cluster down` left something behind");
    assert_eq!(first.kubectl(&["get", "--raw", "/readyz"]), "ok", "ending the second cluster hurt the first");
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
