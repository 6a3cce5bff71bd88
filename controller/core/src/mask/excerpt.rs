//! Which lines of a log a status shows: the last ones, and among them why the program ended.

use super::mask;

/// The most lines and characters of a log that a status holds.
const LINES: usize = 10;
const CHARACTERS: usize = 2000;
/// The most characters of a line that is shown for what it says, so that it leaves room for the last ones.
const TELLING: usize = 600;

/// The last lines of a log, masked: at most 10, and 2,000 characters together. What a server with many processes logs while it
/// stops can be longer than that, so the last exception of the log is shown before them where it is not among them.
pub fn excerpt(log: &str, secrets: &[String]) -> Vec<String> {
    // Masked as a whole, so that a secret of several lines is found.
    let masked = mask(log, secrets);
    let lines: Vec<String> = masked.lines().map(plain).filter(|line| !line.is_empty()).collect();
    let exception = last_exception(&lines);
    let shown_anyway = exception.is_some_and(|at| at + LINES >= lines.len());
    let telling = exception.filter(|_| !shown_anyway).map(|at| cut(&lines[at], TELLING));
    let mut left = CHARACTERS - telling.as_ref().map_or(0, |line| line.chars().count());
    let mut shown: Vec<String> = Vec::new();
    for line in lines.iter().rev().take(LINES - usize::from(telling.is_some())) {
        let kept = cut(line, left);
        left -= kept.chars().count();
        shown.push(kept);
        if left == 0 {
            break;
        }
    }
    shown.extend(telling);
    shown.reverse();
    shown
}

/// One line without what would steer a terminal.
fn plain(line: &str) -> String {
    line.trim_end().chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

fn cut(line: &str, characters: usize) -> String {
    line.chars().take(characters).collect()
}

/// The line that says what was thrown last: after the frames in Python, before them elsewhere.
fn last_exception(lines: &[String]) -> Option<usize> {
    (0..lines.len()).rev().find_map(|at| python(lines, at).or_else(|| others(lines, at)))
}

/// The exception of the traceback that begins in that line: the first line after it that is not indented further. Lines may all
/// have something before them, such as the name of a process.
fn python(lines: &[String], at: usize) -> Option<usize> {
    let begin = lines[at].find("Traceback (most recent call last):")?;
    let is_frame = |line: &String| line.get(begin..).is_none_or(|rest| rest.starts_with([' ', '\t']));
    let frames = lines[at + 1..].iter().take_while(|line| is_frame(line)).count();
    Some(at + 1 + frames).filter(|exception| frames > 0 && *exception < lines.len())
}

/// Whether a frame follows that line, as in Java and JavaScript, or it is where Go begins to panic.
fn others(lines: &[String], at: usize) -> Option<usize> {
    let is_frame = |line: &String| line.starts_with([' ', '\t']) && line.trim_start().starts_with("at ");
    let line = &lines[at];
    let before_frames = !is_frame(line) && lines.get(at + 1).is_some_and(is_frame);
    (before_frames || line.starts_with("panic: ") || line.starts_with("fatal error: ")).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What gunicorn logs when the app cannot be imported: each of its workers says so, and then it ends.
    fn gunicorn(workers: u32) -> String {
        let says = |who: u32, what: String| format!("[2026-11-27 04:00:01 +0000] [{who}] {what}");
        let frame = |line: u32| {
            format!("  File \"/usr/lib/python3/gunicorn.py\", line {line}, in load\n    return self.load()")
        };
        let each =
            |what: &'static str| (8..8 + workers).map(move |worker| says(worker, format!("[INFO] {what} {worker}")));
        let mut lines = vec![says(7, "[INFO] Listening at: http://0.0.0.0:8000 (7)".to_owned())];
        lines.extend(each("Booting worker with pid:"));
        lines.push(says(8, "[ERROR] Exception in worker process\nTraceback (most recent call last):".to_owned()));
        lines.extend((0..20).map(frame));
        lines.push("ModuleNotFoundError: No module named 'shop.wsgi'".to_owned());
        lines.extend(each("Worker exiting, pid:"));
        lines.push(says(7, "[ERROR] Reason: Worker failed to boot.".to_owned()));
        lines.join("\n")
    }

    #[test]
    fn the_last_exception_is_among_the_lines_and_the_last_lines_are() {
        let many = excerpt(&gunicorn(20), &[]);
        assert_eq!((many.len(), many[0].as_str()), (10, "ModuleNotFoundError: No module named 'shop.wsgi'"));
        assert!(many[9].ends_with("Reason: Worker failed to boot."), "{many:?}");
        // Where it is among the last lines anyway, nothing is said twice.
        let few = excerpt(&gunicorn(2), &[]);
        assert_eq!(few.iter().filter(|line| line.starts_with("ModuleNotFoundError")).count(), 1, "{few:?}");
        assert_eq!(few.len(), 10);
    }

    #[test]
    fn exceptions_are_found_as_languages_write_them() {
        let chatter = "stopping\n".repeat(12);
        for (log, exception) in [
            (
                "Traceback (most recent call last):\n  File \"a\"\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b\"\nRuntimeError: b\n",
                "RuntimeError: b",
            ),
            (
                "web | Traceback (most recent call last):\nweb |   File \"a\"\nweb | ValueError: c\n",
                "web | ValueError: c",
            ),
            (
                "Exception in thread \"main\" x.Failed: d\n\tat x.Main.main(Main.java:1)\nCaused by: java.net.ConnectException: refused\n\tat x.Db.open(Db.java:2)\n\t... 3 more\n",
                "Caused by: java.net.ConnectException: refused",
            ),
            (
                "/app/a.js:1\nthrow new Error()\n^\n\nError: Cannot find module 'express'\n    at Function.resolve (node:internal)\n    at node:internal\n",
                "Error: Cannot find module 'express'",
            ),
            (
                "panic: no database\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:3 +0x1d\n",
                "panic: no database",
            ),
        ] {
            assert_eq!(excerpt(&format!("{log}{chatter}"), &[])[0], exception, "{log}");
        }
        assert_eq!(excerpt(&format!("Traceback (most recent call last):\n{chatter}"), &[])[0], "stopping");
    }

    #[test]
    fn a_log_is_cut_from_the_top() {
        let log = (0..50).map(|i| format!("line {i}")).collect::<Vec<_>>().join("\n");
        let lines = excerpt(&log, &[]);
        assert_eq!((lines.len(), lines[0].as_str(), lines[9].as_str()), (10, "line 40", "line 49"));
    }

    proptest! {
        #[test]
        fn it_is_short_and_holds_no_secret(
            secret in "[a-zA-Z0-9/+-]{6,30}",
            parts in prop::collection::vec(
                "[a-zA-Z0-9 =:@/.\n\"']{0,20}|\nTraceback \\(most recent call last\\):\n  a\n|\n\tat x\n|panic: é{0,900}", 1..20),
        ) {
            let log = parts.join(&secret);
            let shown = excerpt(&log, std::slice::from_ref(&secret));
            prop_assert!(!shown.iter().any(|line| line.contains(secret.as_str())), "{shown:?}");
            prop_assert!(shown.len() <= LINES);
            prop_assert!(shown.iter().map(|l| l.chars().count()).sum::<usize>() <= CHARACTERS);
        }
    }
}
