//! A cache that was damaged, emptied or grew old.

use std::fs;
use std::path::{Path, PathBuf};

use drover::git::{Error, Limits};

use super::followed::Followed;
use super::pool::team;
use super::server::noise;

impl Followed {
    fn repository(&self) -> PathBuf {
        let mut folders = fs::read_dir(self.pool.cache.path()).expect("folder");
        folders.next().expect("one").expect("readable").path().join("repository")
    }

    fn packs(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.repository().join("objects/pack")).expect("folder").flatten();
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "pack")).collect()
    }

    /// How many files the head has.
    async fn files(&self) -> Result<usize, Error> {
        let tree = self.read(&self.head, "", None).await?;
        Ok(tree.files.expect("files").len())
    }

    /// The reading fails, the cache is fetched anew, the subscriber is told, and then it works.
    async fn heals(&mut self, label: &str) {
        while self.pool.news.try_recv().is_ok() {}
        assert_eq!(self.files().await.expect_err("damaged").label(), label);
        let told = tokio::time::timeout(super::pool::DEADLINE, self.pool.news.recv()).await.expect("in time");
        assert_eq!(told, Some(team("app")));
        assert_eq!(self.files().await, Ok(1));
    }
}

fn damage(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("read");
    change(&mut bytes);
    fs::remove_file(path).expect("removed");
    fs::write(path, bytes).expect("written");
}

#[tokio::test]
async fn a_truncated_pack_is_fetched_anew() {
    let mut followed = Followed::new().await;
    followed.packs().iter().for_each(|pack| damage(pack, |bytes| bytes.truncate(40)));
    followed.heals("MissingCommit").await;
}

#[tokio::test]
async fn a_garbled_pack_is_fetched_anew() {
    let mut followed = Followed::new().await;
    followed.packs().iter().for_each(|pack| {
        damage(pack, |bytes| {
            let end = bytes.len() - 20;
            bytes[12..end].fill(0xff);
        });
    });
    followed.heals("DamagedCache").await;
}

#[tokio::test]
async fn what_is_damaged_again_when_it_was_fetched_anew_is_not_fetched_for_ever() {
    let mut followed = Followed::new().await;
    let garble = |bytes: &mut Vec<u8>| {
        let end = bytes.len() - 20;
        bytes[12..end].fill(0xff);
    };
    followed.packs().iter().for_each(|pack| damage(pack, garble));
    followed.heals("DamagedCache").await;
    followed.packs().iter().for_each(|pack| damage(pack, garble));
    for _ in 0..3 {
        let error = followed.files().await.expect_err("damaged again");
        assert_eq!(error.label(), "UnsoundCommit", "{error}");
        assert!(error.is_terminal());
    }
}

#[tokio::test]
async fn an_emptied_cache_is_fetched_anew() {
    let mut followed = Followed::new().await;
    fs::remove_dir_all(followed.repository()).expect("removed");
    followed.heals("MissingCommit").await;
    let folder = followed.repository().parent().expect("folder").to_owned();
    fs::remove_dir_all(folder).expect("removed");
    followed.heals("MissingCommit").await;
}

#[tokio::test]
async fn a_half_made_cache_is_fetched_anew() {
    let mut followed = Followed::new().await;
    fs::remove_dir_all(followed.repository().join("objects")).expect("removed");
    followed.push(&[("deploy/app.yaml", "a: 2")]).await;
    assert_eq!(followed.files().await, Ok(1));
}

#[tokio::test]
async fn each_push_brings_only_what_is_new_and_packs_do_not_pile_up() {
    let mut followed = Followed::with(Limits { packs: 5, ..Limits::default() }).await;
    // Much that stays, so that a whole tree is told from a change.
    let noise = noise();
    followed.repo.push("prod", &[("other/stays.txt", &noise)], "much");
    let mut most = 0;
    for n in 0..12 {
        followed.push(&[("deploy/app.yaml", &format!("n: {n}"))]).await;
        assert_eq!(followed.files().await, Ok(1));
        let packs = followed.packs();
        most = most.max(packs.len());
        let large = packs.iter().filter(|pack| fs::metadata(pack).is_ok_and(|file| file.len() > 50_000)).count();
        assert_eq!(large, 1, "what stays was sent once");
    }
    assert!((4..=6).contains(&most), "{most} packs");
    assert!(followed.packs().len() < 6);
    assert!(followed.server.requests("GET") <= 18, "one connection per push, and one for each time it is fetched anew");
}
