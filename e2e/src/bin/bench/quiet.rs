//! What drover asks of the API server while nothing changes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use drover_e2e::{Asked, Testbed, eventually};

use crate::figures::Row;

/// Waits until drover has finished what came before, and counts its requests for a minute, from the API server's audit log.
/// An open watch is logged when it ends, and then counts as one request.
pub async fn minute(bed: &Testbed, namespace: &str) -> Vec<Row> {
    let writes = Cell::new(0_usize);
    eventually(&format!("drover has nothing more to do in {namespace}"), Duration::from_secs(300), async || {
        let before = writes.get();
        tokio::time::sleep(Duration::from_secs(5)).await;
        writes.set(requests(bed).iter().filter(|(request, _)| changes(request)).map(|(_, count)| count).sum());
        if writes.get() == before { Ok(()) } else { Err(format!("{} writes in 5 s", writes.get() - before)) }
    })
    .await;
    let before = requests(bed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut during = requests(bed);
    for (request, count) in before {
        *during.entry(request).or_default() -= count;
    }
    during.retain(|_, count| *count > 0);

    let sum = |write: bool| {
        during.iter().filter(|(request, _)| !write || changes(request)).map(|(_, count)| count).sum::<usize>()
    };
    let shown: Vec<String> = during.iter().map(|(request, count)| format!("{count} × {request}")).collect();
    vec![
        Row::new("requests in a quiet minute", format!("{} ({})", sum(false), shown.join(", "))),
        Row::new("of these, writes other than the Lease", format!("{}", sum(true))),
    ]
}

fn changes(request: &str) -> bool {
    !request.ends_with(" leases") && !["get ", "list ", "watch "].iter().any(|verb| request.starts_with(verb))
}

/// Drover's requests so far, by verb and kind.
fn requests(bed: &Testbed) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for asked in bed.audit().into_entries().into_iter().filter(Asked::by_drover) {
        let what = if asked.call.resource.is_empty() { "of no object" } else { &asked.call.resource };
        *counts.entry(format!("{} {what}", asked.call.verb)).or_default() += 1;
    }
    counts
}
