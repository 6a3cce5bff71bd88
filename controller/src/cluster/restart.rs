//! When a watch that ended begins anew.

use std::time::Duration;

use tokio::time::Instant;

use super::lease::Leadership;

/// The first pause and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A watch that ran that long was sound. One that only listed was not: the listing is what its restart costs.
const SOUND: Duration = Duration::from_secs(60);

/// The pauses of one watch, and when it lists anew. A clone is for another watch.
#[derive(Clone)]
pub struct Restarts {
    leadership: Leadership,
    resync: Duration,
    pause: Duration,
    began: Instant,
}

impl Restarts {
    /// Of a watch that begins now, and that lists anew every `resync` or so: an event that was lost on its way is made up for then.
    pub fn new(leadership: Leadership, resync: Duration) -> Self {
        Self { leadership, resync, pause: PAUSE.0, began: Instant::now() }
    }

    /// When the watch has run long enough, and is to list anew. Spread, so that not all watches list at once.
    pub fn next_listing(&self) -> Instant {
        Instant::now() + self.resync.mul_f64(rand::random_range(0.8..1.2))
    }

    /// The watch ended. Returns when it is to begin anew: after a pause that grows, and not while the API server is away, which the
    /// election finds out for all.
    pub async fn wait(&mut self) {
        let away = !self.leadership.may_write();
        if away {
            self.leadership.until_it_may_write().await;
        }
        if away || self.began.elapsed() > SOUND {
            self.pause = PAUSE.0;
        }
        // Spread, so that many watches do not return as one burst.
        tokio::time::sleep(self.pause.mul_f64(rand::random_range(0.8..1.2))).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
        self.began = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::lease::DURATION;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn waited(restarts: &mut Restarts) -> Duration {
        let began = Instant::now();
        restarts.wait().await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_a_watch_was_sound() {
        let mut restarts = Restarts::new(Leadership::sole(), HOUR);
        let mut all = Duration::ZERO;
        for _ in 0..10 {
            all += waited(&mut restarts).await;
        }
        assert!(all > Duration::from_secs(100), "ten restarts in {all:?}");
        assert!(waited(&mut restarts).await <= PAUSE.1.mul_f64(1.2));
        tokio::time::sleep(SOUND * 2).await;
        assert!(waited(&mut restarts).await < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_begins_while_the_api_server_is_away_and_all_soon_after() {
        let (lease, leadership) = Leadership::of_a_lease(DURATION);
        let mut restarts = Restarts::new(leadership, HOUR);
        for _ in 0..4 {
            waited(&mut restarts).await;
        }
        lease.send_replace(None);
        let away = Duration::from_secs(90);
        tokio::spawn(async move {
            tokio::time::sleep(away).await;
            lease.send_replace(Some(Instant::now() + DURATION));
        });
        let waited = waited(&mut restarts).await;
        assert!(waited >= away && waited < away + Duration::from_secs(1), "{waited:?}");
    }
}
