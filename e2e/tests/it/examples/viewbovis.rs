//! `manifests/examples/viewbovis`, used as its people do: data of a bucket, two apps on one address, eight to ten, and a test on demand.

use std::time::{Duration, Instant};

use drover_crds::condition::{READY, get};
use drover_crds::{DataSync, DataSyncStatus, UptimeState, WebAppStatus};
use drover_e2e::{Answer, App, Browser, BucketServer, Environment, Forestry, GitServer, Namespace, System, Testbed};
use drover_e2e::{ask, errand_image, eventually, front_image, install, ready};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::moved_clock::MovedClock;

/// The testbed of this test, which has a node and a clock of its own.
const NUMBER: u32 = 56;
/// Pods of gunicorn start, a sync runs before, on two cores that others share.
const SOON: Duration = Duration::from_secs(180);
/// For how long nobody may have uploaded: much longer than [`A_PART`].
const SETTLED: Duration = Duration::from_secs(12);
/// How long the upload of one part takes.
const A_PART: Duration = Duration::from_secs(3);

/// Where it is between nine and ten in the morning now, so that the days of drover's clock, which the test moves on, begin as those of the
/// front's, which it cannot move.
fn where_it_is_nine() -> String {
    let hour = Timestamp::now().to_zoned(TimeZone::UTC).hour();
    // Such a zone is called by the hours that it is behind.
    let behind = (hour - 9 + 24) % 24;
    let behind = if behind > 12 { behind - 24 } else { behind };
    format!("Etc/GMT{behind:+}")
}

/// A moment of the test's days: 0 is today.
struct Calendar {
    zone: TimeZone,
    today: Date,
}

impl Calendar {
    fn new(zone: &str) -> Self {
        let zone = TimeZone::get(zone).expect("a time zone");
        let today = Timestamp::now().to_zoned(zone.clone()).date();
        Self { zone, today }
    }

    fn at(&self, day: i64, hour: i8, minute: i8) -> Timestamp {
        let date = self.today.checked_add(day.days()).expect("a date");
        date.at(hour, minute, 0, 0).to_zoned(self.zone.clone()).expect("a time").timestamp()
    }
}

/// A namespace in which the example runs, and its two hosts.
struct Lab {
    namespace: Namespace,
    host: String,
    tree: String,
}

impl Lab {
    async fn new(bed: &'static Testbed, topic: &str) -> Self {
        let namespace = Namespace::on(bed, topic).await;
        let [(id, key), (secret, value)] = BucketServer::KEYS;
        let literals = [format!("--from-literal={id}={key}"), format!("--from-literal={secret}={value}")];
        namespace.kubectl(&["create", "secret", "generic", "s3", &literals[0], &literals[1]]);
        let (host, tree) = (namespace.host(), format!("tree.{}", namespace.host()));
        Self { namespace, host, tree }
    }

    /// An Environment of the folder, with this namespace's variables.
    async fn follow(&self, repo: &drover_e2e::GitRepo, on_demand: bool) -> Environment<'_> {
        let on_demand = on_demand.to_string();
        let pairs = [
            ("TAG", "prod"),
            ("WORKERS", "2"),
            ("HOST", &*self.host),
            ("TREE", &*self.tree),
            ("ON_DEMAND", &*on_demand),
        ];
        let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Environment::create(&self.namespace, "prod", repo, |spec| spec.substitute = Some(variables.into())).await
    }

    fn app(&self, name: &str) -> App<'_> {
        self.namespace.app(name)
    }

    async fn data(&self) -> DataSyncStatus {
        self.namespace.get::<DataSync>("data").await.and_then(|sync| sync.status).unwrap_or_default()
    }

    /// Waits until the DataSync's `Ready` says so.
    async fn data_says(&self, word: &str) {
        eventually(&format!("the DataSync says {word}"), SOON, async || {
            let status = self.data().await;
            match get(&status.conditions, READY) {
                Some(ready) if format!("{} {}", ready.reason, ready.message).contains(word) => Ok(()),
                other => Err(format!("{other:?} {:?}", status.failure)),
            }
        })
        .await;
    }

    async fn ask(&self, host: &str, path: &str) -> Result<Answer, String> {
        ask(&self.namespace.ingress(), host, path, &[]).await
    }

    /// Waits until both apps show that edition, whole.
    async fn shows(&self, edition: &str) {
        let page = format!("<p>edition {edition}</p>");
        let tree = json!({"edition": edition}).to_string();
        for (host, path, text) in [(&self.host, "/", &page), (&self.tree, "/charon/getDataset?prefix=tree", &tree)] {
            eventually(&format!("{host}{path} shows edition {edition}"), SOON, async || {
                let answer = self.ask(host, path).await?;
                if answer.status == 200 && answer.body.contains(text) {
                    Ok(())
                } else {
                    Err(format!("{answer:?}; {:?}", self.data().await))
                }
            })
            .await;
        }
    }

    /// Waits until a person's browser shows all that at the first host, on which the other one is a frame.
    async fn browser_shows(&self, browser: Option<&Browser>, words: &[&str]) {
        let Some(browser) = browser else { return };
        eventually(&format!("a browser shows {words:?}"), SOON, async || {
            let page = browser.page(&self.host, "/").await?;
            if words.iter().all(|word| page.contains(word)) { Ok(()) } else { Err(page) }
        })
        .await;
    }

    async fn is(&self, name: &str, state: UptimeState) -> WebAppStatus {
        let told = format!("is {state:?}");
        self.app(name)
            .comes_to(&told, |status| match &status.rollout.uptime {
                Some(uptime) if uptime.state == state => Ok(status.clone()),
                other => Err(format!("{other:?} {:?}", status.conditions)),
            })
            .await
    }

    /// Has drover look at the clock now: that it does so by itself within 20 s is another test's.
    async fn look_at_the_clock(&self, stamp: &str) {
        for name in ["viewbovis", "nextstrain"] {
            self.app(name).look_now(stamp).await;
        }
    }

    async fn pods(&self) -> usize {
        self.app("viewbovis").pods().await.len() + self.app("nextstrain").pods().await.len()
    }

    async fn has_no_pods(&self) {
        eventually("both apps have no pods", SOON, async || match self.pods().await {
            0 => Ok(()),
            count => Err(format!("{count}")),
        })
        .await;
    }

    fn drover(&self, arguments: &[&str]) -> String {
        let finished = self.namespace.drover(&[arguments, &["--namespace", self.namespace.name()]].concat());
        assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.said());
        finished.stdout
    }

    /// What their own script counted on that day.
    fn counts(&self, day: &str) -> Value {
        let path = format!("/logs/viewbovis_requests_{day}.json");
        let printed =
            self.namespace.drover(&["run", "viewbovis", "--namespace", self.namespace.name(), "--", "cat", &path]);
        serde_json::from_str(printed.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {}", printed.said()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewbovis_runs_from_git_and_is_used_as_its_people_do() {
    let began = Instant::now();
    let step = |what: &str| println!("{:>4} s: {what}", began.elapsed().as_secs());
    let bed: &'static Testbed = Box::leak(Box::new(Testbed::with_node(NUMBER)));
    install(bed);
    step("the testbed is up");
    let image = |name: &str| format!("{}/{name}:prod", bed.registry());
    let push = |name: &str, revision: &str| {
        let label = format!("org.opencontainers.image.revision={revision}");
        bed.push_python(&image(name), name, |_| (), &["--label", &label])
    };
    push("viewbovis", "1111111");
    push("auspice", "1111111");
    let server = bed.bucket_server("viewbovis");
    let forestry = Forestry::new(&server);
    forestry.upload("first");

    let clock = MovedClock::new();
    let set_to = |time: Timestamp| {
        let ahead = time.duration_since(Timestamp::now()).try_into().expect("a time to come");
        clock.set_ahead(ahead);
    };
    let zone = where_it_is_nine();
    let calendar = Calendar::new(&zone);
    let (errands, front) = (errand_image(bed), front_image(bed));
    let start = || {
        clock
            .drover(bed)
            .variable("SSL_CERT_FILE", GitServer::beside(bed).authority())
            .arguments(&["--errand-image", &errands, "--front-image", &front])
            .arguments(&["--front-trusted-proxy", "10.244.0.0/16"])
            .start()
    };
    let drover = start();
    drover.leads_within(Duration::from_secs(40)).await;

    step("one push, and both hosts are live");
    let prod = Lab::new(bed, "viewbovis").await;
    let settled = |system: System| {
        system
            .with("registry.example.org/", &format!("{}/", bed.registry()))
            .with("https://s3.example.org", &server.endpoint())
            .with("settle: 60s", &format!("settle: {}s", SETTLED.as_secs()))
            // The only region of the test's bucket.
            .with("eu-west-2", "us-east-1")
            // As the Debian packages of the test's image have it, and a node of two cores holds it.
            .with("/ViewBovis/server/parse_nginx_log.py", "/app/parse_nginx_log.py")
            .with("[auspice, view,", "[python3, /app/auspice.py, view,")
            .with("storage: 20Gi", "storage: 100Mi")
            .with("health: {path: /}", "health: {path: /, probation: 1s}")
            .with("{path: /charon/getAvailable}", "{path: /charon/getAvailable, probation: 1s}")
            .with("Europe/London", &zone)
            .with("10.0.0.0/8", "203.0.113.0/24")
    };
    let repo = prod.namespace.repository("viewbovis");
    let first = settled(System::first("viewbovis")).push(&repo, "ViewBovis");
    let environment = prod.follow(&repo, false).await;
    // The same folder in another namespace is asleep until somebody's checklist wakes it.
    let test = Lab::new(bed, "viewbovis-test").await;
    let of_test = test.follow(&repo, true).await;

    // On the same data, which was there before the first request.
    environment.is_ready_at(&first).await;
    prod.shows("first").await;
    let tree = prod.ask(&prod.tree, "/charon/getDataset?prefix=tree").await.expect("it answers");
    assert_eq!(tree.headers("Cache-Control"), ["no-store"]);
    let said = prod.ask(&prod.host, "/").await.expect("it answers").body;
    assert!(said.contains("revision 1111111") && said.contains(&prod.tree), "{said}");
    let browser = Browser::at(&prod.namespace.ingress());
    prod.browser_shows(browser.as_ref(), &["<p>edition first</p>", ">tree of edition first</p>"]).await;

    step("what is asleep until somebody wakes it is woken, and then shows what there is");
    of_test.is_ready_at(&first).await;
    assert_eq!(test.pods().await, 0, "nobody has woken it");
    for name in ["viewbovis", "nextstrain"] {
        test.drover(&["wake", name, "--for", "1h", "--no-wait"]);
    }
    test.shows("first").await;
    for name in ["viewbovis", "nextstrain"] {
        test.drover(&["sleep", name]);
    }

    step("an upload takes its time, and a sync comes in the middle of it: half of it is never shown");
    let sync = || prod.drover(&["sync", "data"]);
    for (number, part) in Forestry::FILES.iter().enumerate() {
        forestry.put_part("second", &[part]);
        if number == 0 {
            sync();
        }
        for _ in 0..4 {
            sleep(A_PART / 4).await;
            let page = prod.ask(&prod.host, "/").await.expect("it answers");
            assert!(page.body.contains("<p>edition first</p>"), "{page:?}");
        }
    }
    forestry.upload("second");
    // Who asks now waits until it is whole.
    sync();
    prod.shows("second").await;
    test.has_no_pods().await;

    step(
        "ten in the evening: who asked for what is counted by their own script, then nothing runs, and a page says until when",
    );
    for (host, path, times) in [
        (&prod.host, "/sample", 3),
        (&prod.host, "/sample/related", 1),
        (&prod.tree, "/charon/getDataset?prefix=tree", 2),
    ] {
        for _ in 0..times {
            assert_eq!(prod.ask(host, path).await.expect("it answers").status, 200);
        }
    }
    set_to(calendar.at(0, 22, 0));
    prod.is("viewbovis", UptimeState::Asleep).await;
    prod.is("nextstrain", UptimeState::Asleep).await;
    prod.has_no_pods().await;
    for host in [&prod.host, &prod.tree] {
        let asleep = prod.ask(host, "/").await.expect("the front answers");
        assert!(asleep.status == 503 && asleep.body.contains("08:00"), "{asleep:?}");
    }
    prod.browser_shows(browser.as_ref(), &["This site is asleep until 08:00"]).await;
    let counts = prod.counts(&calendar.today.to_string());
    let of = |path: &str| counts[path].as_u64().unwrap_or_else(|| panic!("{path} is not counted: {counts}"));
    assert_eq!([of("/sample"), of("/sample/related"), of("/sample/matrix")], [3, 1, 0], "{counts}");
    assert!(of("/ ") > 0 && of("/charon/getDataset") >= 2, "both hosts are counted: {counts}");

    step("a push at night runs no pods");
    forestry.upload("third");
    let settles = Instant::now() + SETTLED;
    let second = settled(System::second("viewbovis")).push(&repo, "More patience");
    environment.is_ready_at(&second).await;
    assert_eq!(prod.pods().await, 0);

    step("drover sleeps through eight o'clock: it wakes the apps as soon as it is back, on what was uploaded at night");
    drover.stop();
    sleep(settles.saturating_duration_since(Instant::now())).await;
    set_to(calendar.at(1, 8, 20));
    let drover = start();
    drover.leads_within(Duration::from_secs(40)).await;
    prod.shows("third").await;
    prod.app("viewbovis").is_live_at(&second).await;

    step("a moved tag is rolled out");
    push("viewbovis", "2222222");
    prod.app("viewbovis").look_now("moved").await;
    eventually("the new revision is shown", SOON, async || {
        let page = prod.ask(&prod.host, "/").await?;
        if page.body.contains("revision 2222222") { Ok(()) } else { Err(format!("{page:?}")) }
    })
    .await;

    step("a broken data set is put back for both");
    forestry.upload("fourth");
    // As large as a good one, so that only who reads it finds out.
    forestry.put("Metadata/viewbovis.db", &"no database ".repeat(683)[..8192]);
    sync();
    prod.data_says("viewbovis does not run with it").await;
    prod.shows("third").await;

    step("the next morning the bucket is away: they come up on the last complete set, and its age is said");
    set_to(calendar.at(1, 22, 0));
    prod.look_at_the_clock("at ten").await;
    prod.is("viewbovis", UptimeState::Asleep).await;
    prod.has_no_pods().await;
    drop(server);
    set_to(calendar.at(2, 8, 0));
    prod.look_at_the_clock("at eight").await;
    prod.is("viewbovis", UptimeState::Awake).await;
    prod.shows("third").await;
    prod.data_says("LastSyncFailed").await;
    prod.app("viewbovis")
        .comes_to("is ready", |status| match ready(&status.conditions)? {
            ready if ready.status == "True" => Ok(()),
            ready => Err(format!("{ready:?}")),
        })
        .await;
    step("all was seen");
    drover.stop();
    bed.down();
}
