//! End-to-end tests of drover, one file per room.

mod chart;
