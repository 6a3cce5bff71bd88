//! What a broker is asked for the queue of a spec: where it is and as whom, read as the namespace's account.

use std::time::Duration;

use drover_core::front::reach;
use drover_core::queue::{Broker, Unasked};
use drover_core::workload::App;
use drover_core::workload::pods::settings::SettingKind;
use drover_crds::{ActiveMq, Owner, SecretKeyReference};

use crate::cluster::{Acting, ApiError, Sight};
use crate::queues::{Login, Question};
use crate::rollout::dereference;
use crate::settings::{self, Settings, UNSEEN, Watched};

/// The question for that queue, or why none can be asked; and when to look again where nobody tells of changes. The owner is called when
/// the Service or the Secret changes that it names.
pub async fn question(
    acting: &Acting,
    watched: &Settings,
    owner: &Owner,
    app: &App,
    source: &ActiveMq,
) -> Result<(Result<Question, Unasked>, Option<Duration>), ApiError> {
    let mut unseen = None;
    let mut waits_for = |what: Watched, name: &str| {
        watched.interest().wait(owner, &settings::key(what, &app.namespace, name));
        if watched.ensure(acting, &app.namespace, what) == Sight::Blind {
            unseen = Some(UNSEEN);
        }
    };
    let broker = match Broker::read(&source.url, &app.namespace) {
        Ok(broker) => broker,
        Err(why) => return Ok((Err(why), None)),
    };
    let service = match broker.service() {
        None => None,
        Some(wanted) => {
            waits_for(Watched::Service, &wanted.service);
            let found = dereference::service(acting, app, &wanted.service).await?;
            match reach(found.as_ref(), &wanted) {
                Ok(address) => Some(address),
                Err(why) => return Ok((Err(why.into()), unseen)),
            }
        }
    };
    let login = match source.username.as_ref().zip(source.password_secret_ref.as_ref()) {
        None => None,
        Some((user, SecretKeyReference { name, key })) => {
            waits_for(Watched::Setting(SettingKind::Secret), name);
            let found = dereference::secret(acting, app, name).await?;
            let password = found.and_then(|secret| secret.data?.remove(key));
            match password.and_then(|password| String::from_utf8(password.0).ok()) {
                Some(password) => Some(Login { user: user.clone(), password }),
                None => return Ok((Err(Unasked::Password { secret: name.clone(), key: key.clone() }), unseen)),
            }
        }
    };
    let (queue, dead) = (source.queue.clone(), source.dead_letters().to_owned());
    Ok((Ok(Question { broker, service, queue, dead, login }), unseen))
}
