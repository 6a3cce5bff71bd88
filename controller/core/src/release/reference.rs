//! The parts of an image reference, as far as they tell what runs. Whether it is one at all is for the registry's room.

/// The digest that `image` names.
pub fn digest(image: &str) -> Option<&str> {
    image.split_once('@').map(|(_, digest)| digest)
}

/// The tag that `image` names, or stands for by itself.
pub fn tag(image: &str) -> &str {
    parts(image).1.unwrap_or("latest")
}

/// Where the image is, without tag and digest.
pub fn repository(image: &str) -> &str {
    parts(image).0
}

/// `image` with that digest in place of its own: the digest says what runs, and people still see the tag.
pub fn pinned(image: &str, digest: &str) -> String {
    format!("{}@{digest}", named(image))
}

/// Whether `text` is a digest, as all registries have it: it becomes part of an image's name.
pub fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn named(image: &str) -> &str {
    image.split('@').next().unwrap_or(image)
}

fn parts(image: &str) -> (&str, Option<&str>) {
    let named = named(image);
    // What stands before a slash is a port.
    match named.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (named, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag_and_no_tag_is_latest() {
        for (image, expected) in [
            ("web", ("web", "latest", None)),
            ("web:1", ("web", "1", None)),
            ("r.test:5000/team/web", ("r.test:5000/team/web", "latest", None)),
            ("r.test:5000/team/web:prod@sha256:aa", ("r.test:5000/team/web", "prod", Some("sha256:aa"))),
            ("web@sha256:aa", ("web", "latest", Some("sha256:aa"))),
        ] {
            assert_eq!((repository(image), tag(image), digest(image)), expected, "{image}");
        }
        assert_eq!(pinned("web:1@sha256:aa", "sha256:bb"), "web:1@sha256:bb");
    }
}
