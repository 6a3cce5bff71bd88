//! Systems of `manifests/examples`, with real pods on a node of their own: killed at each write of their releases.
//! `SOAK_EVERY=5` takes each fifth write only, and `SOAK_SKIP=40` goes on where a campaign was ended after 40 rollouts.

use std::time::Duration;

use drover_e2e::campaign::{Campaign, Disturbance, Versions};
use drover_e2e::fault::api::{Fault, When};
use drover_e2e::{
    BucketServer, DataServer, Forestry, ServiceAddresses, System, Testbed, activemq_image, errand_image, front_image,
    mariadb_image, postgres_image,
};
use serde_json::json;

/// The number of their cluster; `SOAK_TESTBED` chooses another.
const NUMBER: u32 = 6;
/// How long one rollout may take: images start, gunicorn among them, and a sync runs.
const DEADLINE: Duration = Duration::from_secs(240);

fn node() -> &'static Testbed {
    Box::leak(Box::new(Testbed::with_node(crate::cluster(NUMBER))))
}

/// Where the images of Python programs are, each of that tag and built from that revision.
fn push(bed: &Testbed, image: &str, program: &str) -> String {
    let image = format!("{}/{image}", bed.registry());
    bed.push_python(&image, program, |_| (), &["--label", "org.opencontainers.image.revision=1111111"]);
    image
}

/// drover is killed before and after each write of a rollout of these versions, of which one may take so long.
async fn killed_at_any_write(bed: &'static Testbed, arguments: &[&str], versions: Versions, deadline: Duration) {
    let errands = errand_image(bed);
    let arguments = [&["--errand-image", &*errands][..], arguments].concat();
    let mut campaign = Campaign::over(bed, env!("CARGO_BIN_EXE_drover-faulty"), &arguments, versions, deadline).await;
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let (every, skipped) = (number("SOAK_EVERY").unwrap_or(1), number("SOAK_SKIP").unwrap_or(0));
    let at_each = |when| {
        let points = campaign.points().iter().step_by(every);
        points.map(move |point| Disturbance::at(point, &Fault::Kill(when)))
    };
    let kills: Vec<Disturbance> = at_each(When::Before).chain(at_each(When::After)).skip(skipped).collect();
    campaign.disturb(&kills, 1).await;
    campaign.ends_well(90).await;
    bed.down();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_the_jacow_validator_comes_to_the_same_end() {
    let bed = node();
    let image = push(bed, "jacow-validator:latest", "jacow");
    let server = DataServer::beside(bed, "jacow");
    server.put("references.csv", &"MOPB001,A title of a paper about beams,Ada Lovelace\n".repeat(10));
    let url = server.url("references.csv");
    let settled = |system: System| {
        system
            .with("jacow.example.org", Versions::HOST)
            .with("registry.example.org/jacow-validator:latest", &image)
            .with("https://data.example.org/references.csv", &url)
            // A sync by the clock would come in the middle of one rollout and not of another.
            .with("\"0 * * * *\"", "\"0 0 1 1 *\"")
            .with("{path: /upload}", "{path: /upload, probation: 0s}")
            // Beside the pods of the rollout before, which are ending.
            .with(
                "{limits: {cpu: \"1\", memory: 400Mi}}",
                "{limits: {cpu: \"1\", memory: 400Mi}, requests: {cpu: 100m}}",
            )
    };
    let versions = [System::first("jacow-validator"), System::second("jacow-validator")].map(settled);
    killed_at_any_write(bed, &[], Versions::of_example(versions, &["jacow"]), DEADLINE).await;
}

/// Both apps of the example, on one data set: they come, get a second release, and fall asleep, after the job that is due then.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_viewbovis_comes_to_the_same_end() {
    let bed = node();
    push(bed, "viewbovis:prod", "viewbovis");
    push(bed, "auspice:prod", "auspice");
    let server = bed.bucket_server("viewbovis");
    Forestry::new(&server).upload("only");
    let settled = |system: System| {
        system
            .with("registry.example.org/", &format!("{}/", bed.registry()))
            .with("https://s3.example.org", &server.endpoint())
            .with("eu-west-2", "us-east-1")
            .with(", settle: 60s", "")
            // How often both apps share one sync, a kill between them decides.
            .with("  refreshOn: [Release, Wake]\n", "")
            // Nobody asks for a page, so that there is no log to count.
            .with("[python3, /ViewBovis/server/parse_nginx_log.py, --log_path, /logs/access-$(DROVER_DAY).log, --out_dir, /logs]", "[echo, $(DROVER_DAY)]")
            .with("[auspice, view,", "[python3, /app/auspice.py, view,")
            .with("storage: 20Gi", "storage: 100Mi")
            // Awake at all hours.
            .with("{from: \"08:00\", to: \"22:00\"}", "{from: \"00:00\", to: \"24:00\"}")
            .with("health: {path: /}", "health: {path: /, probation: 0s}")
            .with("{path: /charon/getAvailable}", "{path: /charon/getAvailable, probation: 0s}")
    };
    let asleep = System::second("viewbovis").with("onDemand: ${ON_DEMAND}", "onDemand: true");
    // Without ON_DEMAND in the last version it is a variable too many, which nobody minds.
    let versions = [System::first("viewbovis"), System::second("viewbovis"), asleep].map(settled);
    let [(id, key), (secret, value)] = BucketServer::KEYS;
    let keys = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": {id: key, secret: value}});
    let versions = Versions::of_example(versions, &["nextstrain", "viewbovis"])
        .beside(&keys.to_string())
        .with_variable("TAG", "prod")
        .with_variable("WORKERS", "2")
        .with_variable("HOST", Versions::HOST)
        .with_variable("TREE", &format!("tree.{}", Versions::HOST))
        .with_variable("ON_DEMAND", "false");
    let front = front_image(bed);
    let arguments = ["--front-image", &front, "--front-trusted-proxy", "10.244.0.0/16"];
    // Three versions, two apps.
    killed_at_any_write(bed, &arguments, versions, DEADLINE * 2).await;
}

/// A database with a verified backup, its app with files of its image and jobs, and a second release of them.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_mwa_transients_comes_to_the_same_end() {
    let bed = node();
    let postgres = postgres_image(bed);
    let image = format!("{}/gleamxgp", bed.registry());
    bed.push_python_versions(&image, "mwa");
    let settled = |system: System| {
        system
            .with("registry.example.org/postgres-q3c:15", &postgres)
            .with("registry.example.org/gleamxgp:", &format!("{image}:"))
            .with("mwa.example.org", Versions::HOST)
            .with("storage: 10Gi", "storage: 500Mi")
            .with("storage: 11Gi", "storage: 200Mi")
            .with("storage: 20Gi", "storage: 100Mi")
            // One by the clock would come in the middle of one rollout and not of another.
            .with("\"0 2 * * *\"", "\"0 0 1 1 *\"")
            .with("livenessPath: /accounts/login/}", "livenessPath: /accounts/login/, probation: 0s}")
    };
    let versions = [System::first("mwa-transients"), System::second("mwa-transients")].map(settled);
    let front = front_image(bed);
    let arguments = ["--front-image", &*front];
    killed_at_any_write(bed, &arguments, Versions::of_example(versions, &["web"]), DEADLINE * 2).await;
}

/// A broker and a database, the two apps and the workers of the example, and a second release of an app and of the workers.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_autoreduction_comes_to_the_same_end() {
    let bed = node();
    let (mariadb, activemq, _way) = (mariadb_image(bed), activemq_image(bed), ServiceAddresses::of(bed));
    let image = format!("{}/autoreduction", bed.registry());
    bed.push_python_versions(&image, "autoreduction");
    let settled = |system: System| {
        ["autoreduce-frontend", "autoreduce-rest-api", "autoreduce-run-detection", "autoreduce"]
            .into_iter()
            .fold(system, |system, name| system.with(&format!("registry.example.org/{name}:"), &format!("{image}:")))
            .with("registry.example.org/mariadb:10.11", &mariadb)
            .with("registry.example.org/activemq:5.18.3", &activemq)
            .with("  tls: [{hosts: [reduce.example.org], secretName: reduce-tls}]", "  tls: []")
            .with("reduce.example.org", Versions::HOST)
            .with(
                "  selector: {app: activemq}\n",
                &format!("  clusterIP: {}\n  selector: {{app: activemq}}\n", Versions::SERVICE_ADDRESS),
            )
            .with("[ReadWriteMany], storageClassName: \"\", volumeName: isis-archive,", "[ReadWriteOnce],")
            .with("[ReadWriteMany], storageClassName: \"\", volumeName: instrument,", "[ReadWriteOnce],")
            .with("storage: 20Gi", "storage: 300Mi")
            .with("storage: 5Gi", "storage: 500Mi")
            // What comes by the clock would come in the middle of one rollout and not of another.
            .with("\"* * * * *\"", "\"0 0 1 1 *\"")
            .with("\"0 2 * * *\"", "\"0 0 1 1 *\"")
            // They share a volume of one node's now.
            .with(
                "maxReplicas: 8, messagesPerReplica: 1, cooldown: 45m",
                "maxReplicas: 1, pollingInterval: 2s, cooldown: 10s",
            )
            // Nobody submits a run.
            .with("select count(*) from reduction_viewer_reductionrun", "select 1")
            .with("drain: {timeout: 45m", "drain: {timeout: 1m")
            .with("health: {path: /}", "health: {path: /, probation: 0s}")
            .with("health: {port: probe, path: /ready,", "health: {port: probe, path: /ready, probation: 0s,")
    };
    let versions = [System::first("autoreduction"), System::second("autoreduction")].map(settled);
    let front = front_image(bed);
    let arguments = ["--front-image", &front, "--front-trusted-proxy", "10.244.0.0/16"];
    killed_at_any_write(bed, &arguments, Versions::of_example(versions, &["rest-api", "webapp"]), DEADLINE * 2).await;
}
