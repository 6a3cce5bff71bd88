//! gunicorn as the program: its command line, and what it reads from the environment.

use drover_crds as crds;

use super::drain;
use crate::workload::Invalid;

/// What is left of the memory limit for gunicorn's master, in thousandths of a byte: that of gunicorn 27 under Python 3.11 has 27 MB.
const MASTER: i128 = 1000 * (32 << 20);

/// Where gunicorn 27 puts its control socket. Without it that goes to the user's home, and where nobody can write there an error is
/// logged for each worker that starts.
const RUNTIME_FOLDER: (&str, &str) = ("XDG_RUNTIME_DIR", "/tmp");

/// The container's command.
pub(super) fn command(spec: &crds::WebAppSpec, port: i32) -> Result<Option<Vec<String>>, Invalid> {
    let Some(gunicorn) = &spec.gunicorn else { return Ok(spec.pod.command.clone()) };
    if spec.pod.command.is_some() {
        return Err(Invalid::CommandAndGunicorn);
    }
    let mut command = vec!["gunicorn".to_owned(), gunicorn.app.clone(), "--bind".into(), format!("0.0.0.0:{port}")];
    // A flag wins over the image's gunicorn.conf.py, so only what the spec says becomes one.
    if let Some(workers) = workers(gunicorn, spec.pod.resources.as_ref())? {
        command.extend(["--workers".into(), workers.to_string()]);
    }
    if let Some(timeout) = gunicorn.timeout {
        command.extend(["--timeout".into(), timeout.as_secs().to_string()]);
    }
    if let Some(drain) = drain(spec) {
        command.extend(["--graceful-timeout".into(), drain.as_secs().to_string()]);
    }
    Ok(Some(command))
}

/// The number of gunicorn's workers: as written, or two per CPU and one, as far as the memory limit allows.
fn workers(gunicorn: &crds::Gunicorn, resources: Option<&crds::Resources>) -> Result<Option<i64>, Invalid> {
    let Some(each) = &gunicorn.memory_per_worker else { return Ok(gunicorn.workers.map(i64::from)) };
    if gunicorn.workers.is_some() {
        return Err(Invalid::WorkersAndMemory);
    }
    let amount = |name: &str, requests: bool| {
        let resources = resources?;
        let found = resources.limits.get(name).or_else(|| resources.requests.get(name).filter(|_| requests))?;
        crds::milli_units(&found.0)
    };
    let memory = amount("memory", false).ok_or(Invalid::NoMemoryLimit)?;
    let fitting = (memory - MASTER) / each.milli_bytes().max(1);
    if fitting < 1 {
        return Err(Invalid::WorkerTooLarge { worker: each.to_string() });
    }
    // Parts of a CPU count as one: a worker that waits needs little.
    let cpus = amount("cpu", true).map_or(1, |milli| ((milli + 999) / 1000).max(1));
    Ok(i64::try_from(fitting.min(2 * cpus + 1)).ok())
}

/// The spec's environment variables, and with gunicorn where it finds a folder that it can write to.
pub(super) fn env(spec: &crds::WebAppSpec) -> Result<Vec<crds::EnvVar>, Invalid> {
    let mut env = spec.pod.env.clone();
    if spec.gunicorn.is_none() {
        return Ok(env);
    }
    let value = |name: &str| env.iter().find(|e| e.name == name).and_then(|e| e.value.clone());
    // Read before any flag, and whatever flags there are.
    if let Some(value) = value("WEB_CONCURRENCY").filter(|v| !v.contains("$(") && v.trim().parse::<u32>().is_err()) {
        return Err(Invalid::WebConcurrency { value });
    }
    let (name, folder) = RUNTIME_FOLDER;
    if !env.iter().any(|e| e.name == name) {
        env.insert(0, crds::EnvVar { name: name.into(), value: Some(folder.into()), ..Default::default() });
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::*;

    fn counted(memory: &str, cpu: &str, each: &str) -> Result<Option<i64>, Invalid> {
        let limits = [("memory", memory), ("cpu", cpu)].map(|(name, amount)| (name.into(), Quantity(amount.into())));
        let resources = crds::Resources { limits: limits.into(), ..Default::default() };
        let each = Some(each.parse().expect("a size"));
        workers(&crds::Gunicorn { memory_per_worker: each, ..Default::default() }, Some(&resources))
    }

    #[test]
    fn as_many_workers_run_as_fit_beside_their_master() {
        assert_eq!(counted("400Mi", "1", "120Mi"), Ok(Some(3)));
        assert_eq!(counted("391Mi", "1", "120Mi"), Ok(Some(2)));
        assert_eq!(counted("152Mi", "1", "120Mi"), Ok(Some(1)));
        assert_eq!(counted("10Gi", "500m", "120Mi"), Ok(Some(3)), "two per CPU and one");
        assert_eq!(counted("10Gi", "4", "120Mi"), Ok(Some(9)));
        for memory in ["151Mi", "20Mi", "0"] {
            assert_eq!(counted(memory, "1", "120Mi"), Err(Invalid::WorkerTooLarge { worker: "120Mi".into() }));
        }
    }

    #[test]
    fn what_gunicorn_cannot_start_with_is_refused() {
        let of = |value: &str| {
            let own = crds::EnvVar { name: "WEB_CONCURRENCY".into(), value: Some(value.into()), ..Default::default() };
            let pod = crds::PodSpec { env: vec![own], ..Default::default() };
            env(&crds::WebAppSpec { pod, gunicorn: Some(crds::Gunicorn::default()), ..Default::default() })
        };
        assert_eq!(of("3").expect("a number").len(), 2);
        assert_eq!(of("$(WORKERS)").expect("a number, perhaps").len(), 2);
        for value in ["", "auto"] {
            assert_eq!(of(value), Err(Invalid::WebConcurrency { value: value.into() }));
        }
    }
}
