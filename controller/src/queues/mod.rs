//! Asks brokers how many messages their queues have, as work of its own: each queue at its pace, over one pool of connections per broker.
//! Who watches a queue is told by [`Queues`] when there is something to do about it, and else left alone.

mod known;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use drover_core::queue::{Lasting, Reading, Unasked};
use drover_crds::Owner;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use self::known::{DeadLetters, Known};
pub use self::known::{Sight, Waits};
use self::transport::Transport;
pub use self::transport::{Login, NoClient, Question};
use crate::clock;
use crate::metrics;
use crate::unpoisoned;

/// All queues that are watched. Cheap to clone.
#[derive(Clone)]
pub struct Queues {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    watched: Mutex<HashMap<Owner, Entry>>,
    tell: UnboundedSender<Owner>,
}

/// One queue, as one owner watches it.
struct Entry {
    /// What is asked, or why nothing can be.
    asked: Result<Question, Unasked>,
    every: Duration,
    /// What its owner waits for.
    waits: Waits,
    known: Known,
    /// Something else is to be asked now, or nothing any more.
    changed: Arc<Notify>,
}

impl Queues {
    /// No queue is watched yet. No address of `refused` is ever asked; `tell` gets whose turn it is.
    ///
    /// # Errors
    /// Where no certificate authority can be read.
    pub fn new(refused: Vec<SocketAddr>, tell: UnboundedSender<Owner>) -> Result<Self, NoClient> {
        Ok(Self::with(Transport::new(refused)?, tell))
    }

    fn with(transport: Transport, tell: UnboundedSender<Owner>) -> Self {
        Self { shared: Arc::new(Shared { transport, watched: Mutex::default(), tell }) }
    }

    /// What is known of the queue that `who` watches from now on, asked `every` so often; where it cannot be asked, why. Must be called
    /// within a tokio runtime.
    pub fn watch(&self, who: &Owner, asked: Result<Question, Unasked>, every: Duration, waits: Waits) -> Sight {
        let mut watched = self.shared.watched();
        let entry = watched.entry(who.clone()).or_insert_with(|| {
            let changed = Arc::new(Notify::new());
            tokio::spawn(ask_again_and_again(Arc::downgrade(&self.shared), who.clone(), changed.clone()));
            Entry { asked: asked.clone(), every, waits, known: Known::default(), changed }
        });
        if entry.asked != asked {
            if !is_of_the_same_queue(&entry.asked, &asked) {
                entry.known = Known::default();
            }
            entry.asked = asked;
            entry.changed.notify_one();
        }
        if entry.every != every {
            entry.every = every;
            entry.changed.notify_one();
        }
        entry.waits = waits;
        entry.known.attend(waits.ready);
        if let Err(why) = &entry.asked {
            entry.known.hear(Err(why.clone()), Instant::now(), clock::now());
        }
        entry.known.look(Instant::now())
    }

    /// `who` watches no queue any more.
    pub fn forget(&self, who: &Owner) {
        if let Some(entry) = self.shared.watched().remove(who) {
            entry.changed.notify_one();
        }
    }
}

/// Whether what is known of one still holds for the other: another password, or another address of the same broker, changes no number.
fn is_of_the_same_queue(one: &Result<Question, Unasked>, other: &Result<Question, Unasked>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.broker == other.broker && one.queue == other.queue,
        _ => true,
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, HashMap<Owner, Entry>> {
        unpoisoned::lock(&self.watched)
    }

    /// Takes in the answer to `question`, unless `who` asks something else by now, and tells who has to do something about it. Which dead
    /// letters there are that nobody has looked at yet.
    fn hear(&self, who: &Owner, question: &Question, answer: Result<Reading, Unasked>) -> Option<DeadLetters> {
        metrics::polled(answer.as_ref().map_or_else(Unasked::label, |_| "ok"));
        if let Err(why) = &answer {
            tracing::debug!(owner = %who, %why, "cannot ask a queue");
        }
        let learnt = self.learn(who, question, |known, now| {
            known.hear(answer, now, clock::now());
            known.unseen_dead_letters()
        });
        let (watched, now) = (self.watched(), Instant::now());
        metrics::queues_unavailable(watched.values().filter(|entry| entry.known.is_unknown()).count());
        let is_short = |entry: &&Entry| entry.known.short(now) == Lasting::Long;
        metrics::queues_short_of_consumers(watched.values().filter(is_short).count());
        learnt.flatten()
    }

    /// Has `who` learn something of what it asks, where that is still `question`, and tells it where there is something to do about that.
    fn learn<T>(&self, who: &Owner, question: &Question, learn: impl FnOnce(&mut Known, Instant) -> T) -> Option<T> {
        let mut watched = self.watched();
        let entry = watched.get_mut(who).filter(|entry| entry.asked.as_ref() == Ok(question))?;
        let now = Instant::now();
        let learnt = learn(&mut entry.known, now);
        if entry.known.is_to_be_told(entry.waits, now) {
            // The receiver ends with the process.
            let _ = self.tell.send(who.clone());
        }
        Some(learnt)
    }
}

/// Asks the queue that `who` watches, for as long as it does.
async fn ask_again_and_again(shared: Weak<Shared>, who: Owner, changed: Arc<Notify>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let (asked, every) = match shared.watched().get(&who).filter(|entry| Arc::ptr_eq(&entry.changed, &changed)) {
            Some(entry) => (entry.asked.clone(), entry.every),
            None => return,
        };
        if let Ok(question) = asked {
            let answer = shared.transport.ask(&question).await;
            if let Some(unseen) = shared.hear(&who, &question, answer) {
                let first = shared.transport.first_dead(&question).await;
                shared.learn(&who, &question, |known, _| known.find_first_dead(unseen, first));
            }
        }
        drop(shared);
        // Spread, so that many queues of a broker are not asked as one burst; and never later than was said.
        tokio::select! {
            () = tokio::time::sleep(every.mul_f64(rand::random_range(0.9..1.0))) => {}
            () = changed.notified() => {}
        }
    }
}
