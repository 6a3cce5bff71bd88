//! The commands of a page of documentation, so that a test can run what a reader would type.

/// The contents of the blocks that begin with `tag` (such as ```` ```sh test ````), in order.
pub fn commands_of(markdown: &str, tag: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if line.trim_end().strip_prefix("```").is_some_and(|info| info == tag) {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim_end() != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tagged_blocks_are_run() {
        let page = "# A\n```sh test\none\ntwo\n```\ntext\n```sh\nnot this\n```\n```sh test\nthree\n```\n";
        assert_eq!(commands_of(page, "sh test"), ["one\ntwo", "three"]);
    }
}
