//! The systems of `manifests/examples`, each used as its people do. Tests begin in the order of their names, and these take longest.

mod autoreduction;
mod jacow;
mod mwa;
mod mwa_development;
mod viewbovis;
