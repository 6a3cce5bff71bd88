//! Stays with a Job to the end of its program: says what it waits for, shows what it writes, and learns its exit code.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};

use super::seen::{Seen, ended_by_job};
use crate::cli::session::Session;
use crate::cli::{Error, output, watch};

/// After what time without a pod a person is told where to look; and how long a Job may take to say why its pod was deleted.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Job that somebody waits for.
pub struct Attended<'a> {
    /// The connection.
    pub session: &'a Session,
    /// The Job's name.
    pub job: &'a str,
}

impl Attended<'_> {
    /// Shows what the program writes; its exit code.
    ///
    /// # Errors
    /// Where it has none: the Job was too slow or could not run, or the API server does not say.
    pub async fn to_its_end(&self) -> Result<u8, Error> {
        let mut otherwise = std::pin::pin!(self.ended_otherwise());
        tokio::select! {
            shown = self.shown() => match shown {
                // The Job says why, but it deletes the pod first.
                Err(cut @ Error::CutShort { .. }) => match tokio::time::timeout(PATIENCE, otherwise).await {
                    Ok(why) => Err(self.cut_short(why?)),
                    Err(_) => Err(cut),
                },
                shown => shown,
            },
            why = &mut otherwise => Err(self.cut_short(why?)),
        }
    }

    async fn shown(&self) -> Result<u8, Error> {
        let pod = tokio::select! {
            pod = self.begun() => pod?,
            never = self.remind() => match never {},
        };
        self.show(&pod).await?;
        let (code, reason) = self.code().await?;
        if let Some(reason) = reason {
            output::warn(&format!("{} ended with exit code {code}, {reason}", self.name()));
        }
        Ok(u8::try_from(code).unwrap_or(1))
    }

    /// The name of the pod, once its program runs or has run.
    async fn begun(&self) -> Result<String, Error> {
        let mut said = None;
        let look = |pod: &Pod| match Seen::of(pod) {
            Seen::Waits(why) => {
                if let Some(why) = why.filter(|why| said.as_ref() != Some(why)) {
                    output::progress(&format!("waiting: {why}"));
                    said = Some(why);
                }
                None
            }
            Seen::Runs | Seen::Ended { .. } => Some(Ok(pod.name_any())),
            Seen::Cut(why) => Some(Err(why)),
        };
        self.pod(look).await
    }

    /// The program's exit code, and Kubernetes' word for its end where that says more.
    async fn code(&self) -> Result<(i32, Option<String>), Error> {
        let look = |pod: &Pod| match Seen::of(pod) {
            Seen::Ended { code, reason } => Some(Ok((code, reason))),
            Seen::Cut(why) => Some(Err(why)),
            Seen::Waits(_) | Seen::Runs => None,
        };
        self.pod(look).await
    }

    /// Watches the Job's pod until `look` finds in it what it looks for, or why that never comes.
    async fn pod<T>(&self, mut look: impl FnMut(&Pod) -> Option<Result<T, String>>) -> Result<T, Error> {
        let pods: Api<Pod> = Api::namespaced(self.session.client(), self.session.namespace());
        let config = watcher::Config::default().labels(&format!("batch.kubernetes.io/job-name={}", self.job));
        let mut events = watcher(pods, config).default_backoff().boxed();
        loop {
            match events.next().await {
                Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => {
                    if let Some(found) = look(&pod) {
                        return found.map_err(|why| self.cut_short(why));
                    }
                }
                Some(Ok(Event::Delete(_))) | None => return Err(self.cut_short("its pod is gone".to_owned())),
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) => watch::judge(self.session, &error, "watch the pods")?,
            }
        }
    }

    /// Says once where to look when there is no pod to say anything.
    async fn remind(&self) -> std::convert::Infallible {
        tokio::time::sleep(PATIENCE).await;
        output::progress(&format!(
            "still waiting; `kubectl describe job -n {} {}` shows what Kubernetes says",
            self.session.namespace(),
            self.job
        ));
        std::future::pending().await
    }

    /// Prints what the program writes, to its end. Where the connection breaks, what is written in the meantime is lost.
    async fn show(&self, pod: &str) -> Result<(), Error> {
        let pods: Api<Pod> = Api::namespaced(self.session.client(), self.session.namespace());
        let params = LogParams { follow: true, ..LogParams::default() };
        let action = format!("read the log of pod {}/{pod}", self.session.namespace());
        let log = match self.session.ask(&action, pods.log_stream(pod, &params)).await {
            // A program that could not be started has none.
            Err(refused @ Error::Refused { .. }) => {
                output::warn(&refused.to_string());
                return Ok(());
            }
            log => log?,
        };
        let mut log = std::pin::pin!(log);
        let mut line = Vec::new();
        loop {
            line.clear();
            match log.read_until(b'\n', &mut line).await {
                Ok(0) => return Ok(()),
                Ok(_) => output::print(&String::from_utf8_lossy(&line))?,
                Err(error) => {
                    output::warn(&format!("the rest of what {} writes is not shown: {error}", self.name()));
                    return Ok(());
                }
            }
        }
    }

    /// Why the Job ended otherwise than by its program.
    async fn ended_otherwise(&self) -> Result<String, Error> {
        let jobs: Api<Job> = Api::namespaced(self.session.client(), self.session.namespace());
        let look = |job: Option<&Job>| job.map_or(Some("the Job was deleted".to_owned()), ended_by_job);
        let found = watch::until(self.session, jobs, self.job, "watch the Job", Duration::MAX, look).await?;
        Ok(found.unwrap_or_else(|| "it is not watched any more".to_owned()))
    }

    fn name(&self) -> String {
        format!("Job {}/{}", self.session.namespace(), self.job)
    }

    fn cut_short(&self, why: String) -> Error {
        Error::CutShort { what: self.name(), why }
    }
}
