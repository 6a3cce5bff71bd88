//! A broker of ActiveMQ in a namespace, and what a person asks it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::command::{finish, run};
use crate::eventually::eventually;
use crate::namespace::Namespace;
use crate::pushed::Pushed;
use crate::testbed::{Testbed, repository};

/// How long it takes to start, on a machine that is busy with other tests.
const STARTED: Duration = Duration::from_secs(150);

/// The way to addresses of Services that drover reaches: it runs beside the cluster, and this machine knows no way to Services, of which all
/// clusters have the same addresses. So each testbed's have some of their own. The way ends with this.
pub struct ServiceAddresses {
    to: String,
}

impl ServiceAddresses {
    /// All those of that testbed.
    pub fn of(bed: &Testbed) -> Self {
        Self::lead(bed, format!("{}.0/24", Self::network(bed)))
    }

    /// One that hardly another namespace of the testbed has.
    pub fn of_namespace(namespace: &Namespace) -> String {
        let mut hasher = DefaultHasher::new();
        namespace.name().hash(&mut hasher);
        format!("{}.{}", Self::network(namespace.bed()), 1 + hasher.finish() % 254)
    }

    fn network(bed: &Testbed) -> String {
        format!("10.96.{}", 100 + bed.number())
    }

    fn lead(bed: &Testbed, to: String) -> Self {
        if bed.node_ip() != "127.0.0.1" {
            run(Command::new("ip").args(["route", "replace", &to, "via", bed.node_ip()]));
        }
        Self { to }
    }
}

/// Leaves no way behind.
impl Drop for ServiceAddresses {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["route", "del", &self.to]).status();
    }
}

/// One of them, and the way to it alone.
pub struct ServiceAddress {
    address: String,
    _way: ServiceAddresses,
}

impl ServiceAddress {
    /// One of that testbed, that hardly anybody has.
    pub fn of(bed: &Testbed) -> Self {
        let address = format!("{}.{}", ServiceAddresses::network(bed), rand::random_range(1..255));
        let way = ServiceAddresses::lead(bed, format!("{address}/32"));
        Self { address, _way: way }
    }
}

impl std::ops::Deref for ServiceAddress {
    type Target = str;

    fn deref(&self) -> &str {
        &self.address
    }
}

/// The broker `activemq` of a namespace: a Deployment with a claim, and a Service with the ports of the console and of STOMP.
pub struct Broker<'a> {
    namespace: &'a Namespace,
    address: ServiceAddress,
}

impl<'a> Broker<'a> {
    /// The password of its user admin, in the Secret `amq`.
    pub const PASSWORD: &'static str = "made-for-the-test";

    /// Starts one, and waits until its console answers.
    pub async fn start(namespace: &'a Namespace) -> Self {
        let bed = namespace.bed();
        let address = ServiceAddress::of(bed);
        let (password, image, service) = (Self::PASSWORD, image(bed), &*address);
        namespace.apply(&format!(
            "apiVersion: v1
kind: Secret
metadata: {{name: amq}}
stringData: {{password: {password}}}
---
apiVersion: v1
kind: Service
metadata: {{name: activemq}}
spec:
  clusterIP: {service}
  selector: {{app: activemq}}
  ports: [{{name: console, port: 8161}}, {{name: stomp, port: 61613}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: activemq}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 200Mi}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: activemq}}
spec:
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: activemq}}}}
  template:
    metadata: {{labels: {{app: activemq}}}}
    spec:
      securityContext: {{runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {{type: RuntimeDefault}}}}
      terminationGracePeriodSeconds: 10
      containers:
      - name: activemq
        image: {image}
        imagePullPolicy: Always
        env: [{{name: ACTIVEMQ_ADMIN_PASSWORD, valueFrom: {{secretKeyRef: {{name: amq, key: password}}}}}}]
        readinessProbe: {{tcpSocket: {{port: 61613}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 50m, memory: 300Mi}}, limits: {{memory: 600Mi}}}}
        securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
        volumeMounts: [{{name: data, mountPath: /data}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: activemq}}}}]
"
        ));
        let broker = Self { namespace, address };
        broker.answers().await;
        broker
    }

    /// Waits until its console answers.
    pub async fn answers(&self) {
        eventually("the broker's console answers", STARTED, async || {
            let page = Self::curl(&["--output", "/dev/null", &format!("http://{}:8161/admin/", &*self.address)]);
            page.map(drop)
        })
        .await;
    }

    /// Ends it; what it holds stays on its claim.
    pub fn stop(&self) {
        self.namespace.kubectl(&["scale", "deployment/activemq", "--replicas=0"]);
        self.namespace.kubectl(&[
            "delete",
            "pod",
            "--selector=app=activemq",
            "--grace-period=0",
            "--force",
            "--wait=true",
        ]);
    }

    /// Starts it again, and waits until its console answers.
    pub async fn start_again(&self) {
        self.namespace.kubectl(&["scale", "deployment/activemq", "--replicas=1"]);
        self.answers().await;
    }

    /// Puts a message into a queue, to stay until somebody takes it.
    pub fn put(&self, queue: &str, message: &str) {
        let url = format!("http://{}:8161/api/message/{queue}?type=queue&JMSDeliveryMode=persistent", &*self.address);
        let body = format!("body={message}");
        Self::curl(&["--data-urlencode", &body, &url])
            .unwrap_or_else(|error| panic!("{message} is not taken: {error}"));
    }

    /// All messages that are in a queue, as many as it says that it holds. They stay there: who takes them over the broker's pages takes some
    /// ahead, and holds them for longer than it asks.
    pub async fn messages(&self, queue: &str) -> Vec<String> {
        eventually(&format!("the messages of the queue {queue} are read"), STARTED, async || {
            let bean = format!(
                "org.apache.activemq:type=Broker,brokerName=localhost,destinationType=Queue,destinationName={queue}"
            );
            let ask = |what: &str| -> Result<Value, String> {
                let said = Self::curl(&["--globoff", &format!("http://{}:8161/api/jolokia/{what}", &*self.address)])?;
                let said: Value = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
                if said["status"] == 200 { Ok(said["value"].clone()) } else { Err(said.to_string()) }
            };
            let texts = ask(&format!("exec/{bean}/browse()"))?;
            let texts: Vec<String> = texts
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| Some(one["Text"].as_str()?.to_owned()))
                .collect();
            match ask(&format!("read/{bean}/QueueSize"))?.as_u64() {
                Some(size) if usize::try_from(size) == Ok(texts.len()) => Ok(texts),
                other => Err(format!("{} of {other:?}", texts.len())),
            }
        })
        .await
    }

    fn curl(arguments: &[&str]) -> Result<String, String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*"]);
        curl.args(["--user", &format!("admin:{}", Self::PASSWORD), "--header", "Origin: http://localhost"]);
        let finished = finish(curl.args(arguments), "");
        if finished.code == 0 { Ok(finished.stdout) } else { Err(finished.said()) }
    }
}

/// The image of ActiveMQ, pushed to the registry of that testbed at the first call.
pub fn image(bed: &Testbed) -> String {
    static PUSHED: Pushed = Pushed::nowhere();
    let name = format!("{}/activemq:5.18.3", bed.registry());
    PUSHED.to(bed, || {
        let tool = repository().join("e2e/testbed/activemq-image");
        run(Command::new(tool).args([&*name, "--push"]).env("TESTBED", bed.number().to_string()));
    });
    name
}

/// The image of the worker `e2e/testbed/apps/worker`, pushed to the registry of that testbed at the first call.
pub fn worker_image(bed: &Testbed) -> String {
    static PUSHED: Pushed = Pushed::nowhere();
    let name = format!("{}/worker:1", bed.registry());
    PUSHED.to(bed, || {
        bed.push_python(&name, "worker", |_| (), &[]);
    });
    name
}
