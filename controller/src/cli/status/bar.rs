//! How far something is, as a bar.

use drover_core::errand::Progress;

/// How many signs a bar has.
const BAR: u8 = 20;

/// A bar, and what it stands for.
pub fn bar(progress: &Progress) -> String {
    let part = progress.part();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part is between 0 and 1")]
    let [full, percent] = [f64::from(BAR), 100.0].map(|all| (part * all) as usize);
    let Progress { files, of_files, bytes, of_bytes, bytes_per_second } = *progress;
    let of = if of_bytes > 0 { format!(" of {}", size(of_bytes)) } else { String::new() };
    let (done, left) = ("█".repeat(full), "░".repeat(usize::from(BAR) - full));
    format!("{done}{left} {percent} %  {files} of {of_files} files  {}{of}  {}/s", size(bytes), size(bytes_per_second))
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some((unit, one)) = units.into_iter().find(|(_, one)| bytes >= *one) else { return format!("{bytes} B") };
    format!("{}.{} {unit}", bytes / one, bytes % one * 10 / one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_far_and_how_fast() {
        let progress =
            Progress { files: 3, of_files: 10, bytes: 5 << 20, of_bytes: 20 << 20, bytes_per_second: 1536 << 10 };
        assert_eq!(bar(&progress), "█████░░░░░░░░░░░░░░░ 25 %  3 of 10 files  5.0 MiB of 20.0 MiB  1.5 MiB/s");
        let unknown = Progress { bytes: 900, of_bytes: 0, bytes_per_second: 0, ..progress };
        assert!(bar(&unknown).ends_with("30 %  3 of 10 files  900 B  0 B/s"), "{}", bar(&unknown));
        assert!(bar(&Progress::default()).starts_with("░░░░░░░░░░░░░░░░░░░░ 0 %"));
    }

    #[test]
    fn sizes_are_cut_and_never_rounded_up() {
        assert_eq!(
            [0, 1023, 1024, (1 << 20) - 1, 1 << 30].map(size),
            ["0 B", "1023 B", "1.0 KiB", "1023.9 KiB", "1.0 GiB"]
        );
    }
}
