//! What takes long: the same events again and again, at moments that differ. `make soak` runs it and prints its figures; each test
//! prints its seed, and `SOAK_SEED` in the environment repeats a run.

mod frozen;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Random numbers that can be had again.
fn random(what: &str) -> StdRng {
    let given = std::env::var("SOAK_SEED").ok().map(|text| text.parse().expect("SOAK_SEED is a number"));
    let seed: u64 = given.unwrap_or_else(rand::random);
    println!("{what}: SOAK_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
