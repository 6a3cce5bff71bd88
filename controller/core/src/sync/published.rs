//! What pods mount of a DataSync's claim.

use drover_crds::{DataSync, Publish};

use crate::workload::pods::DataSet;

/// The folder of a claim in which each set has a folder of its name.
pub const SETS: &str = ".drover/sets";

/// What the DataSync has published; `None` before the first files are there.
pub fn data_set(sync: &DataSync) -> Option<DataSet> {
    let published = sync.status.as_ref()?.published.as_ref()?;
    Some(DataSet { folder: (sync.spec.publish == Publish::Rollout).then(|| format!("{SETS}/{}", published.set)) })
}
