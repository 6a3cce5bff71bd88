//! The chart gives the rights for every child of an app: to its namespace's account all that it takes to bring it about, to drover
//! what it takes to watch it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use drover_core::database::DatabaseChildren;
use drover_core::sync::SyncChildren;
use drover_core::worker::WorkerChildren;
use drover_core::workload::children::{ChildKind, Children};
use serde_json::Value;

/// What the namespace's account does with a child.
const APPLY: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];
/// What drover's own account does.
const WATCH: [&str; 2] = ["list", "watch"];

fn chart(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/drover").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The kinds of all children, of every kind of owner.
fn kinds() -> impl Iterator<Item = ChildKind> {
    let of_apps = Children::KINDS.in_order().into_iter();
    let of_workers = WorkerChildren::KINDS.in_order().into_iter();
    of_apps.chain(of_workers).chain(SyncChildren::KINDS.in_order()).chain(DatabaseChildren::KINDS.in_order())
}

/// drover itself sees no Secrets: what changes of them the namespace's account is told.
fn is_watched(child: &ChildKind) -> bool {
    child.plural != "secrets"
}

/// Whether one of these rules gives all of `verbs` on that resource.
fn gives(rules: &[Value], verbs: &[&str], group: &str, plural: &str) -> bool {
    let has = |rule: &Value, field: &str, text: &str| {
        rule[field].as_array().is_some_and(|all| all.iter().any(|one| one == text))
    };
    rules.iter().any(|rule| {
        has(rule, "apiGroups", group)
            && has(rule, "resources", plural)
            && rule["resourceNames"].is_null()
            && verbs.iter().all(|verb| has(rule, "verbs", verb))
    })
}

#[test]
fn the_chart_gives_the_rights_for_every_child() {
    let deployer: Vec<Value> = serde_saphyr::from_str(&chart("files/deployer-rules.yaml")).expect("rules");
    let rendered = chart("tests/golden/default.yaml");
    let roles = rendered.split("\n---").filter_map(|one| serde_saphyr::from_str::<Value>(one).ok());
    let mut watching = roles.filter(|one| one["metadata"]["name"] == "drover-watch-builtin");
    let watching = watching.next().expect("the role by which drover watches");
    let watch = watching["rules"].as_array().expect("rules");
    for child in kinds() {
        assert!(gives(&deployer, &APPLY, child.group, child.plural), "files/deployer-rules.yaml lacks {child:?}");
        let watches = gives(watch, &WATCH, child.group, child.plural);
        assert_eq!(watches, is_watched(&child), "templates/rbac-watch.yaml and {child:?}");
    }
    assert!(!gives(&deployer, &APPLY, "", "nodes") && !gives(watch, &["delete"], "", "services"));
}

#[test]
fn the_recorded_rights_are_those_for_every_child() {
    let rights = chart("tests/rights.txt");
    let lines = |account: &str| -> BTreeSet<String> {
        let mut sections = rights.split("\n\n").filter_map(|section| section.split_once('\n'));
        let (_, lines) = sections.find(|(title, _)| *title == account).unwrap_or_else(|| panic!("no {account}"));
        lines.lines().map(|line| line.trim().to_owned()).collect()
    };
    let deployer = lines("system:serviceaccount:shop:drover in shop");
    let drover = lines("system:serviceaccount:drover-system:drover in shop");
    for child in kinds() {
        let name =
            if child.group.is_empty() { child.plural.to_owned() } else { format!("{}.{}", child.plural, child.group) };
        let watches = Some((&drover, &WATCH[..])).filter(|_| is_watched(&child));
        for (account, verbs) in [(&deployer, &APPLY[..])].into_iter().chain(watches) {
            let line = format!("{name}: {}", verbs.join(" "));
            assert!(account.contains(&line), "tests/rights.txt lacks {line:?}");
        }
    }
}
