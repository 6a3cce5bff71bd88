//! Tells the rest of the process, and whoever asks it, what the election says.

use drover_crds::LEASE;
use tokio::sync::watch;

use crate::cluster::lease::Role;
use crate::git::webhook::Leadership;
use crate::metrics;
use crate::web::Readiness;

/// Follows the role for as long as the election runs.
pub(super) async fn announce(
    mut role: watch::Receiver<Role>,
    readiness: Readiness,
    webhooks: watch::Sender<Leadership>,
) {
    loop {
        let now = role.borrow_and_update().clone();
        metrics::leading(now == Role::Leader);
        readiness.set(ready(&now));
        if let Some(leadership) = takes_webhooks(&now) {
            webhooks.send_replace(leadership);
        }
        if role.changed().await.is_err() {
            return;
        }
    }
}

fn ready(role: &Role) -> Result<(), String> {
    let Role::OutOfTouch { since, why } = role else { return Ok(()) };
    let since = since.round(jiff::Unit::Second).unwrap_or(*since);
    Err(format!(
        "the Kubernetes API has not let this replica read or renew the Lease {LEASE} since {since}, so it writes nothing: {why}"
    ))
}

/// Where webhooks go. Who is out of touch goes on as before: a leader that lost only the API server still finds out what was
/// pushed, and applies it when it may write again.
fn takes_webhooks(role: &Role) -> Option<Leadership> {
    match role {
        Role::Leader => Some(Leadership::Leader),
        Role::Standby { forward_to } => {
            Some(Leadership::Standby { forward_to: forward_to.as_ref().map(|address| format!("http://{address}")) })
        }
        Role::OutOfTouch { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_out_of_touch_says_since_when_and_why() {
        let since = "2026-03-01T12:00:00.4Z".parse().expect("a time");
        let said = ready(&Role::OutOfTouch { since, why: "connection refused".into() }).expect_err("not ready");
        assert!(said.contains("since 2026-03-01T12:00:00Z") && said.ends_with(": connection refused"), "{said}");
        assert_eq!(said.matches(". ").count(), 0, "one sentence");
        assert_eq!(ready(&Role::Leader), Ok(()));
        assert_eq!(ready(&Role::Standby { forward_to: None }), Ok(()));
    }
}
