//! Why a front cannot be built, each as one sentence that says what to write instead.

use crate::schedule::InvalidSchedule;

/// Why a front cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No image.
    #[error(
        "{why} needs a front, and drover knows no image for it: an administrator sets the chart's value front.image to one with nginx, such as nginxinc/nginx-unprivileged:1.28"
    )]
    NoImage {
        /// What of the spec needs it.
        why: String,
    },
    /// Addresses that nobody vouches for.
    #[error(
        "the route {host}{path} has allowFrom, and drover does not know which proxies may say from where a request came, so the ingress controller's own address would be judged: an administrator sets the chart's value front.trustedProxies to the addresses of the ingress controller's pods"
    )]
    NobodyTrusted {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// Nobody may ask.
    #[error(
        "the route {host}{path} has an empty allowFrom: list the ranges of addresses that may ask, or remove it to let everybody ask"
    )]
    NobodyAllowed {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// No range.
    #[error("in allowFrom of the route {host}{path}, {why}")]
    AllowFrom {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No host.
    #[error(
        "the route's host {host:?} is no host name: write one such as www.example.org, or *.example.org for all names one level below"
    )]
    Host {
        /// The host.
        host: String,
    },
    /// No path.
    #[error(
        "the route {host} has the {field} {path:?}, which a front cannot compare: write it with a leading /, of letters, digits and ._~!$&'()*+,;=:@-, without %, //, /./ and /../"
    )]
    Path {
        /// The host.
        host: String,
        /// `path` or `rewritePath`.
        field: &'static str,
        /// The path.
        path: String,
    },
    /// Two routes for the same requests.
    #[error("the routes {host}{path} and {host}{path}/ are for the same requests: remove one")]
    Twice {
        /// The host.
        host: String,
        /// The path, without a slash at its end.
        path: String,
    },
    /// No name of a header.
    #[error(
        "the header {name:?} has no name of a header: write letters, digits and dashes, beginning with a letter, at most 64"
    )]
    HeaderName {
        /// What is written.
        name: String,
    },
    /// A header of the transfer itself.
    #[error(
        "the header {name} says how an answer is sent, and so is made by the server and the front: remove it from headers"
    )]
    OwnHeader {
        /// Its name.
        name: String,
    },
    /// No value of a header.
    #[error(
        "the header {name} has a value that cannot be sent as it is: write 1 to 2000 printable ASCII characters, without $ and line breaks"
    )]
    HeaderValue {
        /// Its name.
        name: String,
    },
    /// A header twice.
    #[error(
        "the route {host}{path} has the header {name} twice, since capitals make no difference: write all of its value once"
    )]
    HeaderTwice {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// Its name.
        name: String,
    },
    /// An address that is none.
    #[error(
        "the route {host}{path} leads to the address {address:?}: write an IP address; for a name make a Service without a selector, with an EndpointSlice"
    )]
    Address {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// What is written.
        address: String,
    },
    /// An address that would lead outsiders where only the node may go.
    #[error(
        "the route {host}{path} leads to {address}, which is the front's own machine or where clouds keep their credentials: write another address"
    )]
    Inner {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// The address.
        address: String,
    },
    /// No port.
    #[error("the route {host}{path} leads to the port {port}: write a number from 1 to 65535")]
    Port {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// What is written.
        port: i32,
    },
    /// A rewritten path without a server.
    #[error(
        "the route {host}{path} has rewritePath and leads to files, which are looked up below its path: remove rewritePath"
    )]
    RewrittenFiles {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// Not exactly one target.
    #[error("the route {host}{path} must go to exactly one of app, service, address and static")]
    Target {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// Not exactly one place of files.
    #[error("the route {host}{path} must serve files of exactly one of volume, dataSync and assets")]
    FilesSource {
        /// The host.
        host: String,
        /// The path.
        path: String,
    },
    /// Nothing whose files could be served.
    #[error("the route {host}{path} leads to the files of volume {volume:?}, {why}")]
    Volume {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// The volume.
        volume: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// Assets that are none of the app's.
    #[error(
        "the route {host}{path} leads to the assets {assets:?}, which the app has not: write the name of one of spec.assets"
    )]
    NoAssets {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// Their name.
        assets: String,
    },
    /// No folder.
    #[error(
        "the assets {assets} have the path {path:?}, which is no folder of an image: write it with a leading / and without .."
    )]
    AssetsPath {
        /// Their name.
        assets: String,
        /// The path.
        path: String,
    },
    /// Assets that nobody sees.
    #[error(
        "the assets {assets} are served by no route: add one with `to: {{static: {{assets: {assets}}}}}`, or remove them"
    )]
    NotServed {
        /// Their name.
        assets: String,
    },
    /// Two claims of one name.
    #[error(
        "the assets {assets} have the claim {claim}, which a volume or the access log would have: give one of them another name"
    )]
    AssetsClaim {
        /// Their name.
        assets: String,
        /// The claim.
        claim: String,
    },
    /// A claim that the front and what fills it cannot both mount.
    #[error(
        "the claim of the assets {assets} is for one pod only, and the front reads what a Job writes: give it accessModes [ReadWriteOnce], which pods of one node share"
    )]
    AssetsShutOut {
        /// Their name.
        assets: String,
    },
    /// Two jobs of one name.
    #[error("the job {job} has the name of what makes the assets {assets}: give it another name")]
    AssetsJob {
        /// The job.
        job: String,
        /// Their name.
        assets: String,
    },
    /// A folder that is a volume's.
    #[error(
        "the assets {assets} and volume {volume} are both at {path}, and the command writes to an empty folder there: give one of them another folder"
    )]
    AssetsFolder {
        /// Their name.
        assets: String,
        /// The volume.
        volume: String,
        /// The folder.
        path: String,
    },
    /// A time zone that is not one.
    #[error("logs: {0}")]
    Zone(InvalidSchedule),
    /// A time zone without a rule for the years to come.
    #[error("logs: the days of the time zone {zone} follow no rule that a front knows: write another time zone")]
    ZoneWithoutRule {
        /// Its name.
        zone: String,
    },
    /// Nothing is logged.
    #[error("logs keeps the access log of the routes, and there are none: add routes, or remove logs")]
    NothingLogged,
    /// Two claims of one name.
    #[error("the access log has the claim {claim}, which the volume logs would have: give that volume another name")]
    LogClaim {
        /// The claim.
        claim: String,
    },
    /// Two CronJobs of one name.
    #[error("the job {job} has the name of what removes old access logs: give it another name")]
    PruneJob {
        /// The job.
        job: String,
    },
    /// Two volumes on one folder of a job.
    #[error("logs and volume {volume} are both mounted at {path}: give one of them another folder")]
    LogFolder {
        /// The volume.
        volume: String,
        /// The folder.
        path: String,
    },
}
