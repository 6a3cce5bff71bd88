//! A place in a bucket. The library asks from threads of its own, which wait for the runtime's answer.

use std::str::FromStr as _;
use std::time::Duration;

use bytes::Bytes;
use drover_core::errand::{Reason, Refusal};
use rustic_core::{FileType, Id};
use tokio::runtime::Handle;

use super::{Place, path};
use crate::s3;

/// For how long a server that knows no new objects is given to show a second configuration.
const SETTLES: Duration = Duration::from_secs(3);

/// A place in a bucket.
pub struct Bucket {
    objects: s3::Bucket,
    name: String,
    prefix: String,
    runtime: Handle,
}

impl Bucket {
    /// Below `prefix` in that bucket, which a sentence names so.
    pub fn new(objects: s3::Bucket, name: &str, prefix: &str, runtime: Handle) -> Self {
        Self { objects, name: format!("bucket {name}, below {prefix}"), prefix: prefix.to_owned(), runtime }
    }

    fn key(&self, kind: FileType, id: &Id) -> String {
        format!("{}/{}", self.prefix, path(kind, id))
    }
}

impl Place for Bucket {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Refusal> {
        // Of a single object a server may say that it is not there when the bucket is not: the list of what begins so tells.
        let below = match kind {
            FileType::Config => path(kind, &Id::default()),
            _ => format!("{}/", kind.dirname()),
        };
        let objects = self.runtime.block_on(self.objects.list_prefix(&format!("{}/{below}", self.prefix)))?;
        let own = objects.into_iter().filter_map(|object| {
            let name = object.key.rsplit('/').next().unwrap_or_default();
            let id = match kind {
                FileType::Config => (object.key == self.key(kind, &Id::default())).then(Id::default)?,
                _ => Id::from_str(name).ok()?,
            };
            Some((id, object.size.try_into().unwrap_or(u32::MAX)))
        });
        Ok(own.collect())
    }

    fn read(&self, kind: FileType, id: &Id, range: Option<(u32, u32)>) -> Result<Bytes, Refusal> {
        let range = range.map(|(offset, length)| (u64::from(offset), u64::from(length)));
        self.runtime.block_on(self.objects.read(&self.key(kind, id), range)).map_err(|refusal| match refusal.reason {
            Reason::NotFound => {
                let file = path(kind, id);
                let sentence = format!(
                    "the repository in {} is damaged, and {file} gone: put it back from where you copy backups to, or run `restic rebuild-index`, and the next backup stores anew what it held",
                    self.name
                );
                Refusal::of(Reason::RepositoryDamaged, &file, sentence)
            }
            _ => refusal,
        })
    }

    fn write(&self, kind: FileType, id: &Id, content: Bytes) -> Result<bool, Refusal> {
        let is_only_one = kind == FileType::Config;
        self.runtime.block_on(self.objects.write(&self.key(kind, id), content, is_only_one))
    }

    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Refusal> {
        self.runtime.block_on(self.objects.remove(&self.key(kind, id)))
    }

    fn settle(&self) {
        std::thread::sleep(SETTLES);
    }
}
