//! The receiver of push webhooks: one address per repository, whoever hosts it.
//!
//! A webhook proves nothing but that it may ask us to look: what is applied comes from the repository alone.

mod forward;
mod payload;
mod plain;
mod receiver;
mod signature;

use drover_fetch::Address;
use sha2::{Digest as _, Sha256};

pub use forward::Leadership;
pub use payload::Hint;
pub use receiver::{Receiver, Refresh, router};
pub use signature::verifies;

/// The last part of a repository's webhook address, `/webhook/<id>`: the same for its https and its ssh address. `None` for
/// an address that drover does not follow.
pub fn webhook_id(url: &str) -> Option<String> {
    Address::parse(url, true).ok().as_ref().map(webhook_id_of)
}

pub(super) fn webhook_id_of(address: &Address) -> String {
    hex::encode(&Sha256::digest(address.normalised())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_webhook() {
        let id = webhook_id("https://git.example.org/team/app.git").expect("id");
        assert_eq!(id.len(), 16);
        assert_eq!(webhook_id("git@git.example.org:team/app.git").as_deref(), Some(id.as_str()));
        assert_ne!(webhook_id("https://git.example.org/team/other").expect("id"), id);
        assert_eq!(webhook_id("file:///etc"), None);
    }
}
