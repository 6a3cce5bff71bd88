//! What each owner has applied: written ahead of the first apply, in drover's own namespace, where no tenant writes.
//!
//! An inventory is named by its owner's kind, namespace and name, not its uid, so that it survives a restore of the cluster. It is
//! kept in ConfigMaps of at most [`CHUNK`] entries. An entry stays in the chunk where it once was, so that no crash between the
//! writes of two chunks can lose one. Every write is bound to the version that was read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use drover_core::plan::InventoryEntry;
use drover_core::render::ObjectKey;
use drover_crds::{
    ANNOTATION_DEFINITION, ANNOTATION_DELETION_POLICY, ANNOTATION_SERVICE_ACCOUNT, DeletionPolicy, Key,
    LABEL_INVENTORY, Owner, OwnerKind, bounded_name,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};

use super::error::ApiError;
use super::refusal::{is_conflict, is_not_found};
use crate::unpoisoned;

/// Entries per ConfigMap: some 250 bytes each, and a ConfigMap holds 1 MiB.
const CHUNK: usize = 2000;
const DATA: &str = "objects.json";

/// What an owner has applied, and what its deletion means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The objects.
    pub entries: Vec<InventoryEntry>,
    /// What happens to them when the owner is deleted.
    pub on_deletion: DeletionPolicy,
    /// The service account that they were applied as.
    pub account: String,
    /// The uid of the owner's definition under which they were applied, where their deletion depends on it.
    pub definition: Option<String>,
}

impl Record {
    /// Whether all but the objects is the same.
    pub fn same_but_objects(&self, other: &Self) -> bool {
        let Self { entries: _, on_deletion, account, definition } = other;
        (on_deletion, account, definition) == (&self.on_deletion, &self.account, &self.definition)
    }
}

#[derive(Clone, Default)]
struct Stored {
    record: Arc<Record>,
    chunks: Vec<Chunk>,
    /// How many chunks there may be, because an answer to the making of the last was never seen.
    unseen: usize,
    /// It was read or written by itself. A list alone is not believed: after a restore of the store the API server goes on for a while
    /// to list what is not there any more.
    is_confirmed: bool,
}

/// A part of an inventory: what one ConfigMap holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// The ConfigMap's version; `None` before it was written.
    pub version: Option<String>,
    /// The objects in it.
    pub entries: Vec<InventoryEntry>,
}

/// All inventories. Only the leader writes them, so what was read of one by itself stays true.
pub struct Inventories {
    api: Api<ConfigMap>,
    stored: Mutex<HashMap<Owner, Stored>>,
}

impl Inventories {
    /// Reads all inventories of `namespace`.
    pub async fn load(client: Client, namespace: &str) -> Result<Self, kube::Error> {
        let api: Api<ConfigMap> = Api::namespaced(client, namespace);
        let mut maps = Vec::new();
        let mut params = ListParams::default().labels(LABEL_INVENTORY).limit(200);
        loop {
            let page = api.list(&params).await?;
            maps.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break,
            }
        }
        let mut stored: HashMap<Owner, BTreeMap<usize, (Chunk, Record)>> = HashMap::new();
        for map in maps {
            match read(&map) {
                Some((owner, number, chunk, record)) => {
                    stored.entry(owner).or_default().insert(number, (chunk, record));
                }
                None => tracing::error!(name = ?map.metadata.name, "an inventory cannot be read and is left as it is"),
            }
        }
        let stored = stored.into_iter().map(|(owner, chunks)| (owner, assemble(chunks))).collect();
        Ok(Self { api, stored: Mutex::new(stored) })
    }

    /// The inventory of an owner, where it has one.
    pub fn get(&self, owner: &Owner) -> Option<Arc<Record>> {
        self.stored().get(owner).map(|stored| stored.record.clone())
    }

    /// The same, which is read once more by itself where this process only saw it in a list.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn confirmed(&self, owner: &Owner) -> Result<Option<Arc<Record>>, ApiError> {
        if self.stored().get(owner).is_some_and(|stored| !stored.is_confirmed) {
            self.reload(owner).await?;
        }
        Ok(self.get(owner))
    }

    /// All owners of that kind that have an inventory.
    pub fn keys(&self, kind: OwnerKind) -> Vec<Key> {
        self.stored().keys().filter(|owner| owner.kind == kind).map(|owner| owner.key.clone()).collect()
    }

    /// Writes an inventory: only the chunks that differ.
    pub async fn put(&self, owner: &Owner, record: Record) -> Result<(), ApiError> {
        let mut stored = self.stored().get(owner).cloned().unwrap_or_default();
        let meta_changed = !stored.record.same_but_objects(&record);
        let changed = spread(&mut stored.chunks, &record.entries);
        for &number in &changed {
            self.write(owner, number, &mut stored.chunks[number], &record).await?;
        }
        if meta_changed
            && !changed.contains(&0)
            && let Some(first) = stored.chunks.first_mut()
        {
            self.write(owner, 0, first, &record).await?;
        }
        stored.record = Arc::new(record);
        (stored.unseen, stored.is_confirmed) = (0, true);
        self.stored().insert(owner.clone(), stored);
        Ok(())
    }

    /// Removes an inventory.
    pub async fn remove(&self, owner: &Owner) -> Result<(), ApiError> {
        let chunks = self.stored().get(owner).map_or(0, |stored| stored.chunks.len().max(stored.unseen));
        // Backwards: the first chunk carries the policy and is needed as long as any other is there.
        for number in (0..chunks).rev() {
            match self.api.delete(&name(owner, number), &DeleteParams::default()).await {
                Ok(_) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(ApiError::of(error, "delete", &object_key(owner, number), None)),
            }
        }
        self.stored().remove(owner);
        Ok(())
    }

    // The lock guards a plain map that no panic can leave half-written.
    fn stored(&self) -> MutexGuard<'_, HashMap<Owner, Stored>> {
        unpoisoned::lock(&self.stored)
    }

    async fn write(&self, owner: &Owner, number: usize, chunk: &mut Chunk, record: &Record) -> Result<(), ApiError> {
        let map = config_map(owner, number, chunk, record);
        let params = PostParams::default();
        let written = match chunk.version {
            Some(_) => self.api.replace(&name(owner, number), &params, &map).await,
            None => self.api.create(&params, &map).await,
        };
        match written {
            Ok(map) => {
                chunk.version = map.metadata.resource_version;
                Ok(())
            }
            Err(error) => {
                if is_conflict(&error) || is_not_found(&error) {
                    if let Err(error) = self.reload(owner).await {
                        tracing::warn!(%error, "cannot read an inventory again");
                    }
                } else if chunk.version.is_none() {
                    self.stored().entry(owner.clone()).or_default().unseen = number + 1;
                }
                Err(ApiError::of(error, "write", &object_key(owner, number), None))
            }
        }
    }

    /// Reads one inventory again: after a write that met another version, because a person restored it, or a write whose answer was lost
    /// had in fact succeeded; and where it was only listed.
    async fn reload(&self, owner: &Owner) -> Result<(), ApiError> {
        let mut chunks = BTreeMap::new();
        for number in 0.. {
            match self.api.get_opt(&name(owner, number)).await {
                Ok(Some(map)) => {
                    if let Some((_, _, chunk, record)) = read(&map) {
                        chunks.insert(number, (chunk, record));
                    }
                }
                Ok(None) => break,
                Err(error) => return Err(ApiError::of(error, "get", &object_key(owner, number), None)),
            }
        }
        self.stored().insert(owner.clone(), Stored { is_confirmed: true, ..assemble(chunks) });
        Ok(())
    }
}

fn assemble(chunks: BTreeMap<usize, (Chunk, Record)>) -> Stored {
    let mut stored = Stored::default();
    let mut record = Record::default();
    for (number, (chunk, of_chunk)) in chunks {
        if number == 0 {
            record.on_deletion = of_chunk.on_deletion;
            record.account = of_chunk.account;
            record.definition = of_chunk.definition;
        }
        record.entries.extend(chunk.entries.iter().cloned());
        stored.chunks.resize_with(number, Chunk::default);
        stored.chunks.push(chunk);
    }
    stored.record = Arc::new(record);
    stored
}

/// Lays `wanted` out over the chunks, each entry where it already is, new ones where there is room. Returns the numbers of
/// the chunks that changed, those that grew first.
fn spread(chunks: &mut Vec<Chunk>, wanted: &[InventoryEntry]) -> Vec<usize> {
    let by_key: HashMap<&ObjectKey, &InventoryEntry> = wanted.iter().map(|entry| (&entry.key, entry)).collect();
    let mut placed: HashSet<ObjectKey> = HashSet::new();
    let mut changed: BTreeMap<usize, bool> = BTreeMap::new();
    for (number, chunk) in chunks.iter_mut().enumerate() {
        let kept: Vec<InventoryEntry> = chunk
            .entries
            .iter()
            .filter(|entry| placed.insert(entry.key.clone()))
            .filter_map(|entry| by_key.get(&entry.key).map(|&entry| entry.clone()))
            .collect();
        if kept != chunk.entries {
            chunk.entries = kept;
            changed.insert(number, false);
        }
    }
    let mut number = 0;
    for entry in wanted.iter().filter(|entry| !placed.contains(&entry.key)) {
        while chunks.get(number).is_some_and(|chunk| chunk.entries.len() >= CHUNK) {
            number += 1;
        }
        if number == chunks.len() {
            chunks.push(Chunk::default());
        }
        chunks[number].entries.push(entry.clone());
        changed.insert(number, true);
    }
    if chunks.is_empty() {
        chunks.push(Chunk::default());
        changed.insert(0, true);
    }
    let (grown, shrunk): (Vec<_>, Vec<_>) = changed.into_iter().partition(|(_, grew)| *grew);
    grown.into_iter().chain(shrunk).map(|(number, _)| number).collect()
}

/// Environments have the names that they had before other kinds had inventories. A namespace has no dot, so no two are the same.
fn name(owner: &Owner, number: usize) -> String {
    let Key { namespace, name } = &owner.key;
    match owner.kind {
        OwnerKind::Environment => format!("inventory-{}-{number}", bounded_name(&format!("{namespace}.{name}"))),
        OwnerKind::WebApp | OwnerKind::QueueProcessor | OwnerKind::DataSync | OwnerKind::Database => {
            format!("inventory.{}-{number}", owner.label())
        }
    }
}

fn object_key(owner: &Owner, number: usize) -> ObjectKey {
    ObjectKey { group: String::new(), kind: "ConfigMap".into(), namespace: None, name: name(owner, number) }
}

/// The ConfigMap of the part `number` of an inventory; the first carries what `record` says beside the objects.
///
/// # Panics
/// Never: inventory entries are plain data.
pub fn config_map(owner: &Owner, number: usize, chunk: &Chunk, record: &Record) -> ConfigMap {
    let policy = match record.on_deletion {
        DeletionPolicy::Orphan => "Orphan",
        DeletionPolicy::Delete => "Delete",
    };
    let annotations = [
        (owner.kind.annotation().to_owned(), owner.key.to_string()),
        (ANNOTATION_DELETION_POLICY.to_owned(), policy.to_owned()),
        (ANNOTATION_SERVICE_ACCOUNT.to_owned(), record.account.clone()),
    ];
    let definition = record.definition.clone().map(|definition| (ANNOTATION_DEFINITION.to_owned(), definition));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name(owner, number)),
            resource_version: chunk.version.clone(),
            labels: Some([(LABEL_INVENTORY.to_owned(), number.to_string())].into()),
            annotations: Some(annotations.into_iter().chain(definition).collect()),
            ..ObjectMeta::default()
        },
        data: Some(
            [(DATA.to_owned(), serde_json::to_string(&chunk.entries).expect("inventory entries are plain data"))]
                .into(),
        ),
        ..ConfigMap::default()
    }
}

/// Reads what [`config_map`] wrote; `None` when it did not.
pub fn read(map: &ConfigMap) -> Option<(Owner, usize, Chunk, Record)> {
    let annotations = map.metadata.annotations.as_ref()?;
    let mut named = OwnerKind::ALL.into_iter().filter_map(|kind| Some((kind, annotations.get(kind.annotation())?)));
    let (kind, named) = named.next()?;
    let (namespace, name) = named.split_once('/')?;
    let number = map.metadata.labels.as_ref()?.get(LABEL_INVENTORY)?.parse().ok()?;
    let entries: Vec<InventoryEntry> = serde_json::from_str(map.data.as_ref()?.get(DATA)?).ok()?;
    let record = Record {
        entries: Vec::new(),
        on_deletion: match annotations.get(ANNOTATION_DELETION_POLICY).map(String::as_str) {
            Some("Delete") => DeletionPolicy::Delete,
            _ => DeletionPolicy::Orphan,
        },
        account: annotations.get(ANNOTATION_SERVICE_ACCOUNT).cloned().unwrap_or_default(),
        definition: annotations.get(ANNOTATION_DEFINITION).cloned(),
    };
    let chunk = Chunk { version: map.metadata.resource_version.clone(), entries };
    Some((Owner::new(kind, namespace, name), number, chunk, record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> InventoryEntry {
        let key = ObjectKey { group: String::new(), kind: "Service".into(), namespace: None, name: name.into() };
        InventoryEntry::ahead(key)
    }

    #[test]
    fn an_entry_stays_in_its_chunk_and_only_changed_chunks_are_written() {
        let many: Vec<_> = (0..CHUNK + 10).map(|i| entry(&format!("s{i}"))).collect();
        let mut chunks = Vec::new();
        assert_eq!(spread(&mut chunks, &many), [0, 1]);
        assert_eq!(chunks[1].entries.len(), 10);
        assert!(spread(&mut chunks, &many).is_empty(), "nothing changed");
        // One leaves the first chunk: nothing of the second moves there.
        assert_eq!(spread(&mut chunks, &many[1..]), [0]);
        assert_eq!(chunks[1].entries.len(), 10);
        // A new one fills the gap.
        let mut more = many[1..].to_vec();
        more.push(entry("new"));
        assert_eq!(spread(&mut chunks, &more), [0]);
        assert_eq!(chunks[0].entries.len(), CHUNK);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for kind in OwnerKind::ALL {
            let owner = Owner::new(kind, "shop", "prod");
            let record = Record {
                entries: Vec::new(),
                on_deletion: DeletionPolicy::Delete,
                account: "deployer".into(),
                definition: Some("uid".into()),
            };
            let chunk = Chunk { version: Some("7".into()), entries: vec![entry("web")] };
            let (read_owner, number, read_chunk, read_record) =
                read(&config_map(&owner, 3, &chunk, &record)).expect("readable");
            assert_eq!((read_owner, number, read_record), (owner, 3, record));
            assert_eq!(read_chunk.entries, chunk.entries);
        }
    }

    #[test]
    fn no_two_owners_have_inventories_of_one_name() {
        let long = "x".repeat(60);
        let owners = [
            Owner::new(OwnerKind::Environment, "shop", "web"),
            Owner::new(OwnerKind::WebApp, "shop", "web"),
            // What an Environment's name would have to be for the name of a WebApp's inventory.
            Owner::new(OwnerKind::Environment, "app", "shop.web"),
            Owner::new(OwnerKind::Environment, "shop", &long),
            Owner::new(OwnerKind::WebApp, "shop", &long),
        ];
        let names: HashSet<String> = owners.iter().map(|owner| name(owner, 0)).collect();
        assert_eq!(names.len(), owners.len(), "{names:?}");
        assert!(names.contains("inventory-shop.web-0"), "an Environment's was renamed: {names:?}");
    }
}
