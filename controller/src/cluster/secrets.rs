//! Secrets as accounts read them. Where many follow one repository all of them want the same one when drover starts: it is read once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::unpoisoned;

/// For how long what was read serves others of the same account.
const SHARED: Duration = Duration::from_secs(2);

/// What a Secret holds.
pub type Data = Arc<BTreeMap<String, Vec<u8>>>;

/// A namespace, one of its accounts and the name of a Secret.
pub(super) type Place = (String, String, String);

/// What was read a moment ago.
#[derive(Default)]
pub(super) struct Secrets(Mutex<HashMap<Place, (Instant, Data)>>);

impl Secrets {
    /// What the Secret at `place` holds, read by `client`, which acts as its account; `None` where there is none. Unless it is to be read
    /// `anew` that may be what the same account read two seconds ago.
    pub(super) async fn read(&self, client: Client, place: Place, anew: bool) -> Result<Option<Data>, kube::Error> {
        if let Some(known) = self.known(&place).filter(|_| !anew) {
            return Ok(Some(known));
        }
        let (namespace, _, name) = &place;
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let Some(secret) = secrets.get_opt(name).await? else { return Ok(None) };
        let data: Data = Arc::new(secret.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect());
        unpoisoned::lock(&self.0).insert(place, (Instant::now(), data.clone()));
        Ok(Some(data))
    }

    fn known(&self, place: &Place) -> Option<Data> {
        let mut read = unpoisoned::lock(&self.0);
        // What nobody may use any more is not kept.
        read.retain(|_, (at, _)| at.elapsed() < SHARED);
        read.get(place).map(|(_, data)| data.clone())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use kube::core::Status;
    use serde_json::{Value, json};
    use tokio::sync::mpsc::unbounded_channel;

    use super::super::{Cluster, mocked};
    use super::*;
    use crate::cluster::lease::Leadership;

    /// How often a Secret was read, and what it says next.
    #[derive(Default)]
    struct Server(u8);

    fn answer(server: &mut Server, _: &Method, path: &str, _: &str, _: &Value) -> (u16, Value) {
        if path.ends_with("/secrets/git") {
            server.0 += 1;
            let data = json!({"password": k8s_openapi::ByteString(vec![server.0])});
            return (200, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git"}, "data": data}));
        }
        let status = Status::failure("there is none", "NotFound").with_code(404);
        (404, serde_json::to_value(status).expect("JSON"))
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_act_as_one_account_read_a_secret_once() {
        let client = mocked::client(&Arc::new(Mutex::new(Server::default())), answer);
        let hour = Duration::from_secs(3600);
        let cluster = Cluster::new(client, Leadership::sole(), hour, [0; 32], unbounded_channel().0);
        let read = async |account: &str, anew| {
            let data = cluster.acting_as("shop", account).secret("git", anew).await.expect("an answer");
            data.expect("a Secret")["password"][0]
        };
        assert_eq!([read("drover", false).await, read("drover", false).await], [1, 1]);
        assert_eq!(read("other", false).await, 2, "it may not see what another account read");
        assert_eq!([read("drover", true).await, read("drover", false).await], [3, 3], "somebody has reason to ask");
        tokio::time::advance(SHARED).await;
        assert_eq!(read("drover", false).await, 4, "it may be another by now");
        assert!(cluster.acting_as("shop", "drover").secret("none", false).await.expect("an answer").is_none());
    }
}
