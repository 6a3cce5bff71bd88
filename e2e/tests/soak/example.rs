//! The JACoW validator of `manifests/examples`, with real pods on a node of its own: killed at each write of its releases.
//! `SOAK_EVERY=5` takes each fifth write only.

use std::time::Duration;

use drover_e2e::campaign::{Campaign, Disturbance, Versions};
use drover_e2e::fault::api::{Fault, When};
use drover_e2e::{DataServer, Testbed, errand_image};

/// The number of its cluster.
const NUMBER: u32 = 6;
/// How long one rollout may take: two images start, gunicorn among them, and a sync runs.
const DEADLINE: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_the_jacow_validator_comes_to_the_same_end() {
    let bed: &'static Testbed = Box::leak(Box::new(Testbed::with_node(NUMBER)));
    let image = format!("{}/jacow-validator:latest", bed.registry());
    bed.push_python(&image, "jacow", |_| (), &["--label", "org.opencontainers.image.revision=1111111"]);
    let server = DataServer::beside(bed, "jacow");
    server.put("references.csv", &"MOPB001,A title of a paper about beams,Ada Lovelace\n".repeat(10));
    let url = server.url("references.csv");
    let versions = Versions::of_example("jacow-validator", "jacow", "jacow.example.org", |system| {
        system
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
    });
    let (program, errands) = (env!("CARGO_BIN_EXE_drover-faulty"), errand_image(bed));
    let arguments = ["--errand-image", &errands];
    let mut campaign = Campaign::over(bed, program, &arguments, versions, DEADLINE).await;
    let every = std::env::var("SOAK_EVERY").map_or(1, |text| text.parse().expect("SOAK_EVERY is a number"));
    for when in [When::Before, When::After] {
        let points = campaign.points().iter().step_by(every);
        let kills: Vec<Disturbance> = points.map(|point| Disturbance::at(point, &Fault::Kill(when))).collect();
        campaign.disturb(&kills, 1).await;
    }
    campaign.ends_well(90).await;
    bed.down();
}
