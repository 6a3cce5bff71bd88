//! Being told to stop, as Kubernetes does with pods.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when this program is told to stop; where nobody can be heard, never.
pub async fn told_to_stop() {
    match signal(SignalKind::terminate()) {
        Ok(mut asked) => {
            asked.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
