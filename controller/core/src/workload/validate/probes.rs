//! How the kubelet asks whether the app serves, has started, and lives.

use drover_crds as crds;

use super::port_named;
use crate::workload::Invalid;
use crate::workload::pods::seconds;

/// A question that the kubelet asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Does the page answer with a status below 400?
    Http {
        /// The page.
        path: String,
        /// The host that the request names.
        host: Option<String>,
        /// Name of the port.
        port: String,
    },
    /// Does the port accept connections?
    Tcp {
        /// Name of the port.
        port: String,
    },
    /// Does the program end with 0?
    Command(Vec<String>),
}

/// The questions, and how patiently they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// Whether the app serves.
    pub serves: Check,
    /// Whether the app need not be restarted.
    pub lives: Check,
    /// Seconds that an answer may take.
    pub timeout: i32,
    /// Seconds between two questions once the app has started.
    pub period: i32,
    /// How many wrong answers in a row make a pod not ready.
    pub not_ready_after: i32,
    /// How many wrong answers in a row make the kubelet restart the container.
    pub restart_after: i32,
    /// Seconds between two questions while the app starts.
    pub startup_period: i32,
    /// How many wrong answers in a row end the start.
    pub startup_failures: i32,
}

/// Those of a program that listens nowhere: a command tells whether it has started and whether it lives.
pub(crate) fn by_command(command: &[String], health: &crds::WorkerHealth) -> Probes {
    let check = || Check::Command(command.to_vec());
    let timeout = seconds(health.timeout, 5).clamp(1, 600);
    let (period, startup_period, not_ready_after) = (timeout.max(10), 2, 3);
    let restart = seconds(health.restart_after, 180).max((i64::from(not_ready_after) + 1) * period);
    Probes {
        serves: check(),
        lives: check(),
        timeout: i32::try_from(timeout).unwrap_or(i32::MAX),
        period: i32::try_from(period).unwrap_or(i32::MAX),
        not_ready_after,
        restart_after: count(restart, period),
        startup_period,
        startup_failures: count(seconds(health.startup_timeout, 120), i64::from(startup_period)),
    }
}

fn count(total: i64, each: i64) -> i32 {
    i32::try_from((total + each - 1) / each).unwrap_or(i32::MAX).max(1)
}

pub(super) fn probes(spec: &crds::WebAppSpec, main: &crds::Port) -> Result<Probes, Invalid> {
    let health = spec.health.clone().unwrap_or_default();
    let port = port_named(&spec.ports, health.port.as_deref(), main, "health.port")?.name.clone();
    let first_route = spec.routes.first().map(|r| r.host.clone()).filter(|h| !h.starts_with('*'));
    let host = health.host.clone().or(first_route);
    let http = |path: String| Check::Http { path, host: host.clone(), port: port.clone() };
    let serves = match (health.path.clone(), health.command.clone()) {
        (Some(_), Some(_)) => return Err(Invalid::PathAndCommand),
        (Some(path), None) => http(path),
        (None, Some(command)) => Check::Command(command),
        // gunicorn listens before its workers have loaded the app, and goes on listening when they cannot.
        (None, None) if spec.gunicorn.is_some() => http("/".to_owned()),
        (None, None) => Check::Tcp { port: port.clone() },
    };
    let lives = health.liveness_path.clone().map_or(Check::Tcp { port: port.clone() }, http);

    let timeout = seconds(health.timeout, 5).clamp(1, 600);
    let period = timeout.max(10);
    // While long requests hold all of gunicorn's workers the page does not answer, and nothing is wrong. A sync worker is free again, or
    // killed, after gunicorn's timeout, so only what lasts longer tells anything. Asking for a connection instead would never tell
    // anything: the kernel takes it, whatever became of the workers.
    let request = spec.gunicorn.as_ref().map_or(0, |g| seconds(g.timeout, 30));
    let not_ready_after = count(request, period).saturating_add(1).max(3);
    let not_ready_seconds = i64::from(not_ready_after) * period;
    let restart = seconds(health.restart_after, 180).max(not_ready_seconds + period).max(request + timeout + period);
    let startup_period = 2;
    Ok(Probes {
        serves,
        lives,
        timeout: i32::try_from(timeout).unwrap_or(i32::MAX),
        period: i32::try_from(period).unwrap_or(i32::MAX),
        not_ready_after,
        restart_after: count(restart, period),
        startup_period,
        startup_failures: count(seconds(health.startup_timeout, 120), i64::from(startup_period)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gunicorn_is_asked_for_a_page_and_other_programs_for_a_connection() {
        let serves = |gunicorn, command: Option<Vec<String>>| {
            let health = command.map(|command| crds::Health { command: Some(command), ..Default::default() });
            let ports = vec![crds::Port { name: "http".into(), port: 80, metrics: None }];
            let spec = crds::WebAppSpec { health, ports, gunicorn, ..Default::default() };
            probes(&spec, &spec.ports[0]).expect("valid").serves
        };
        let port = || "http".to_owned();
        let page = Check::Http { path: "/".into(), host: None, port: port() };
        assert_eq!(serves(Some(crds::Gunicorn::default()), None), page);
        assert_eq!(serves(None, None), Check::Tcp { port: port() });
        let own = vec!["true".to_owned()];
        assert_eq!(serves(Some(crds::Gunicorn::default()), Some(own.clone())), Check::Command(own));
    }

    /// Three uploads of 150 s hold all of three workers: no question that is asked meanwhile is answered.
    #[test]
    fn uploads_that_hold_all_workers_are_no_ill_health() {
        let ports = vec![crds::Port { name: "http".into(), port: 8080, metrics: None }];
        let gunicorn = crds::Gunicorn { timeout: Some(crds::Duration::from_secs(180)), ..Default::default() };
        let page = crds::Health { path: Some("/upload".into()), liveness_path: Some("/".into()), ..Default::default() };
        for health in [None, Some(page)] {
            let spec = crds::WebAppSpec {
                health,
                ports: ports.clone(),
                gunicorn: Some(gunicorn.clone()),
                ..Default::default()
            };
            let Probes { period, timeout, not_ready_after, restart_after, .. } =
                probes(&spec, &ports[0]).expect("valid");
            let unanswered = 150 / period + 1;
            assert!(not_ready_after > unanswered, "the pod stays ready");
            // A worker is killed up to a second late, and an answer may take its time.
            assert!(restart_after * period > 180 + 1 + timeout, "nothing is restarted");
        }
    }

    #[test]
    fn a_restart_is_always_slower_than_a_request_and_than_becoming_not_ready() {
        for (request, wanted) in [(30, 10), (180, 10), (180, 600), (3600, 60), (1, 10)] {
            let health = crds::Health {
                restart_after: Some(crds::Duration::from_secs(wanted)),
                path: Some("/".into()),
                ..Default::default()
            };
            let spec = crds::WebAppSpec {
                health: Some(health),
                ports: vec![crds::Port { name: "http".into(), port: 80, metrics: None }],
                gunicorn: Some(crds::Gunicorn {
                    timeout: Some(crds::Duration::from_secs(request)),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let probes = probes(&spec, &spec.ports[0]).expect("valid");
            let restart = probes.restart_after * probes.period;
            assert!(restart > probes.not_ready_after * probes.period, "{probes:?}");
            assert!(i64::from(restart) > i64::try_from(request).expect("small"), "{probes:?}");
            assert!(i64::from(restart) >= i64::try_from(wanted).expect("small"), "{probes:?}");
        }
    }
}
