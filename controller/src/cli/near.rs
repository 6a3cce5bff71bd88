//! What a person may have meant by a name that does not exist.

/// Names that are close to `wanted`, the closest first, at most three.
pub fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let allowed = wanted.chars().count().div_ceil(3).min(3);
    let mut close: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let distance = strsim::damerau_levenshtein(wanted, name);
            let part = wanted.len() >= 3 && (name.starts_with(wanted) || wanted.starts_with(name) && name.len() >= 3);
            (distance <= allowed || part).then_some((distance, name))
        })
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_beginnings_and_nothing_else() {
        let names = ["hello", "help", "stock", "viewbovis", "hello"];
        assert_eq!(near("hella", names), ["hello", "help"]);
        assert_eq!(near("view", names), ["viewbovis"]);
        assert_eq!(near("sotck", names), ["stock"]);
        assert!(near("reduce", names).is_empty());
        assert!(near("x", names).is_empty());
    }
}
