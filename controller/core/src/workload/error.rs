//! What can be wrong with a spec, each as one sentence that says what to write instead.

use crate::front::Refused;
use crate::schedule::InvalidSchedule;
use crate::trouble::{Mend, Trouble};
use crate::uptime::InvalidUptime;

/// Why a spec cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The name cannot be a Service's.
    #[error(
        "the WebApp's name {name:?} cannot be a Service's: write it with lower-case letters, digits and dashes, beginning with a letter"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The name of workers.
    #[error(
        "the QueueProcessor's name {name:?} is none: write it with lower-case letters, digits and dashes, beginning with a letter"
    )]
    WorkerName {
        /// The name.
        name: String,
    },
    /// No port for people.
    #[error("spec.ports has no port on which the app answers people: add one that is not for metrics")]
    NoPort,
    /// A number out of range, or used twice.
    #[error(
        "port {name} has the number {port}, which another port has or which is not between 1 and 65535: give it its own"
    )]
    PortNumber {
        /// The port's name.
        name: String,
        /// Its number.
        port: i32,
    },
    /// A name that no port has.
    #[error(
        "{field} names the port {port}, but the app's ports are {known}: write one of them, or leave it out for the first"
    )]
    UnknownPort {
        /// Where it is written.
        field: String,
        /// What is written.
        port: String,
        /// The ports that there are.
        known: String,
    },
    /// A named list has a name twice.
    #[error("spec.{list} has {name} twice: remove one, or give it another name")]
    Twice {
        /// The list.
        list: &'static str,
        /// The name.
        name: String,
    },
    /// Both command and gunicorn.
    #[error(
        "spec has both command and gunicorn: gunicorn is the command, so remove one; further flags of gunicorn go into args"
    )]
    CommandAndGunicorn,
    /// Workers by memory, without a limit.
    #[error(
        "gunicorn.memoryPerWorker shares out the memory limit, and there is none: set resources.limits.memory, or write gunicorn.workers"
    )]
    NoMemoryLimit,
    /// Not even one worker fits.
    #[error(
        "not even one worker of {worker} fits into resources.limits.memory beside gunicorn's master, which takes 32Mi: raise the limit, or lower gunicorn.memoryPerWorker"
    )]
    WorkerTooLarge {
        /// The memory of a worker.
        worker: String,
    },
    /// A fixed number of workers, and one by memory.
    #[error(
        "gunicorn has both workers and memoryPerWorker, which are two ways to say how many workers run: remove one"
    )]
    WorkersAndMemory,
    /// A variable that gunicorn does not start with.
    #[error(
        "the variable WEB_CONCURRENCY is {value:?}, and gunicorn only starts with a number there: write one, or remove it and say gunicorn.workers"
    )]
    WebConcurrency {
        /// Its value.
        value: String,
    },
    /// User 0 without a reason.
    #[error("runAs.user is 0, which is root: write another user, or say in allowRoot why the app needs root")]
    Root,
    /// The image's user is a name.
    #[error(
        "the image {image} runs as the user {user:?}, and Kubernetes cannot tell from a name that it is not root: set runAs.user to that user's number (`id -u {user}` in the image prints it)"
    )]
    NamedUser {
        /// The image.
        image: String,
        /// The name.
        user: String,
    },
    /// Not exactly one source.
    #[error(
        "volume {volume} has {count} sources: write exactly one of claim, persistentVolumeClaim, nfs, secret, configMap, emptyDir or dataSync"
    )]
    VolumeSources {
        /// The volume.
        volume: String,
        /// How many.
        count: usize,
    },
    /// A folder of data that changes under the pod.
    #[error(
        "volume {volume} has a subPath, which is looked up once, when a pod starts, and DataSync {data_sync} publishes Live, so the pod would see old data for ever: mount the whole volume and read the folder below it, or publish by Rollout"
    )]
    SyncedSubPath {
        /// The volume.
        volume: String,
        /// The DataSync.
        data_sync: String,
    },
    /// A name that drover uses itself.
    #[error("volume {volume} begins with `drover-`, as drover's own volumes do: give it another name")]
    ReservedVolume {
        /// The volume.
        volume: String,
    },
    /// Two volumes on one folder.
    #[error("volumes {first} and {second} are both mounted at {path}: give one of them another folder")]
    MountedTwice {
        /// The folder.
        path: String,
        /// A volume.
        first: String,
        /// The other.
        second: String,
    },
    /// A path that leaves the volume.
    #[error(
        "volume {volume} has the path {path:?}, which leads out of the volume: write it without a leading / and without .."
    )]
    OutsideVolume {
        /// The volume.
        volume: String,
        /// The path.
        path: String,
    },
    /// Several pods and a volume for one.
    #[error(
        "{replicas} replicas cannot share volume {volume}, which only one pod may hold: set replicas to 1, mount it readOnly, or use a claim with accessModes [ReadWriteMany]"
    )]
    HeldByOne {
        /// The volume.
        volume: String,
        /// How many pods.
        replicas: i32,
    },
    /// Several pods where there may never be two.
    #[error("singleton is never more than one pod, and the spec asks for {replicas}: ask for one, or remove singleton")]
    Several {
        /// How many pods.
        replicas: i32,
    },
    /// A smaller claim.
    #[error(
        "claim {claim} has {has} and cannot shrink to {wants}: write at least {has}, or give the volume a new name for a new claim and copy the data"
    )]
    Shrunk {
        /// The claim.
        claim: String,
        /// Its size.
        has: String,
        /// What the spec asks.
        wants: String,
    },
    /// Another class or access mode.
    #[error(
        "claim {claim} has the {field} {has} and Kubernetes cannot change it to {wants}: write {has}, or give the volume a new name for a new claim and copy the data"
    )]
    ClaimChanged {
        /// The claim.
        claim: String,
        /// Which field.
        field: &'static str,
        /// What it is.
        has: String,
        /// What the spec asks.
        wants: String,
    },
    /// Neither app nor service, or both.
    #[error(
        "the route {host}{path} must go to exactly one of app, service, address and static: write `to: {{app: {{}}}}` for this app"
    )]
    RouteTarget {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// A host and path twice.
    #[error("the route {host}{path} is written twice: remove one, or give it another path")]
    RouteTwice {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// A path with characters that are not for paths.
    #[error(
        "the route {host} has the path {path:?}: write it as the browser sends it, beginning with / and without //, ./ or ../"
    )]
    RoutePath {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// A certificate for a host without a route.
    #[error("tls names the host {host}, which no route has: write the hosts as they stand in spec.routes")]
    TlsHost {
        /// The host.
        host: String,
    },
    /// A schedule that Kubernetes would not keep as it is meant.
    #[error("the job {job}: {why}")]
    Schedule {
        /// The job.
        job: String,
        /// What is wrong.
        why: InvalidSchedule,
    },
    /// Windows that nobody can keep.
    #[error(transparent)]
    Uptime(#[from] InvalidUptime),
    /// A time zone of nothing.
    #[error("the job {job} has a timeZone and no schedule: write schedule too, or remove timeZone")]
    ZoneWithoutSchedule {
        /// The job.
        job: String,
    },
    /// Two times to run.
    #[error(
        "the job {job} has both at and a schedule or timeZone, and runs at a moment of a release or by a schedule: remove at, or remove schedule and timeZone"
    )]
    MomentAndSchedule {
        /// The job.
        job: String,
    },
    /// A moment that never comes.
    #[error(
        "the job {job} runs when the app falls asleep (at: BeforeSleep), and without uptime it never does: write uptime, or another moment"
    )]
    NeverSleeps {
        /// The job.
        job: String,
    },
    /// A job that runs once, at no moment of a release.
    #[error(
        "the job {job} has run: Once, which is for a moment of a release: write at: BeforeDeploy or at: AfterDeploy, or remove run"
    )]
    OnceAtNoMoment {
        /// The job.
        job: String,
    },
    /// A job that asks for a backup, and does not run before a release.
    #[error(
        "the job {job} has requireBackup, which is for a job that runs before a release: write at: BeforeDeploy, or remove requireBackup"
    )]
    BackupAtNoMoment {
        /// The job.
        job: String,
    },
    /// A job that runs once, and nothing to remember that.
    #[error(
        "the job {job} has run: Once, which is remembered on the claim of a Database or of the app, and the app has neither: add databaseRefs or a volume with claim, or remove run"
    )]
    OnceWithoutMemory {
        /// The job.
        job: String,
    },
    /// Nothing to run.
    #[error("the job {job} has no command: write the program and its arguments")]
    NoCommand {
        /// The job.
        job: String,
    },
    /// A job that could never start beside the app.
    #[error(
        "the job {job} cannot run beside the app, because only one pod may mount the volume {volume}: give its claim accessModes [ReadWriteOnce], which pods of one node share"
    )]
    ShutOut {
        /// The job.
        job: String,
        /// The volume.
        volume: String,
    },
    /// A front that cannot be built.
    #[error(transparent)]
    Front(#[from] Refused),
    /// Two ways to ask.
    #[error("spec.health has both path and command: remove one")]
    PathAndCommand,
}

/// A new spec is an event, and so is a claim that changes size only by a new spec.
impl From<Invalid> for Trouble {
    fn from(invalid: Invalid) -> Self {
        Self::new("InvalidSpec", invalid.to_string(), Mend::Spec)
    }
}
