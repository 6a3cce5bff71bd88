//! Who looks at all objects of a kind, also those that nobody of drover's applied.

use std::collections::HashSet;

use drover_core::render::ObjectKey;
use kube::core::DynamicObject;

/// Takes note of all objects of a kind, whoever applied them.
pub(super) trait Onlooker: Send + Sync {
    /// The watch shows this object.
    fn observed(&self, key: &ObjectKey, object: &DynamicObject);
    /// The object is gone.
    fn gone(&self, key: &ObjectKey);
    /// A listing begins.
    fn listing(&self);
    /// A listing ended, in which these were seen.
    fn keep_only(&self, seen: &HashSet<ObjectKey>);
}
