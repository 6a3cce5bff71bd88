//! The published set at the top of the claim: a link per name, all by way of one link that changes in one step.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use drover_core::errand::{Manifest, Reason, Refusal};

use super::{Claim, sync_folder};
use crate::failure::Final as _;

impl Claim {
    /// Refuses names at the top of the claim that somebody else has.
    pub fn refuse_taken_names(&self, manifest: &Manifest) -> Result<(), Refusal> {
        for name in manifest.top_names() {
            if self.link_of(name).or_final(Reason::ClaimFails, "the claim cannot be read")? == Place::Taken {
                let sentence = format!(
                    "{} at the top of the claim is no link of drover's and is not replaced: move it away, or give `to` another folder",
                    name.escape_debug()
                );
                return Err(Refusal::of(Reason::NameTaken, name, sentence));
            }
        }
        Ok(())
    }

    /// Leads readers to the set from one moment to the next. A name that is in both sets is there all the time.
    pub fn switch_to(&self, manifest: &Manifest) -> Result<(), Refusal> {
        self.refuse_taken_names(manifest)?;
        self.switch(manifest).or_final(Reason::ClaimFails, "the claim's links cannot be changed")?;
        sync_folder(&self.own("."))?;
        sync_folder(&self.root)
    }

    fn switch(&self, manifest: &Manifest) -> io::Result<()> {
        let names = manifest.top_names();
        for name in &names {
            if self.link_of(name)? == Place::Free {
                symlink(target(name), self.root.join(name))?;
            }
        }
        let (published, set) = (self.own("published"), PathBuf::from("sets").join(manifest.id()));
        if !fs::read_link(&published).is_ok_and(|leads| leads == set) {
            let beside = self.own("staging").join("published");
            // The link is made where it is not looked up: it leads from the folder that it is renamed to.
            symlink(set, &beside)?;
            fs::rename(beside, published)?;
        }
        self.remove_dead_links(&names)
    }

    fn remove_dead_links(&self, names: &BTreeSet<&str>) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if !names.contains(name) && self.link_of(name)? == Place::Ours {
                fs::remove_file(self.root.join(name))?;
            }
        }
        Ok(())
    }

    fn link_of(&self, name: &str) -> io::Result<Place> {
        let path = self.root.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() && fs::read_link(&path)? == target(name) => Ok(Place::Ours),
            Ok(_) => Ok(Place::Taken),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place::Free),
            Err(error) => Err(error),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Place {
    Free,
    Ours,
    Taken,
}

fn target(name: &str) -> PathBuf {
    PathBuf::from(".drover/published").join(name)
}
