//! The sentence for an object that the acting account may not touch.

use crate::render::ObjectKey;

/// What a person reads when the API server answered 403 to a request for `key` that was made as the service account
/// `namespace`/`account`. `verb` and `resource` are RBAC's words, such as `patch` and `deployments`.
///
/// Which objects an Environment may touch is decided by the rights of its account alone, also in other namespaces.
pub fn forbidden(key: &ObjectKey, verb: &str, resource: &str, namespace: &str, account: &str) -> String {
    let qualified = if key.group.is_empty() { resource.to_owned() } else { format!("{resource}.{}", key.group) };
    let (place, grant) = match &key.namespace {
        Some(target) => (
            format!(" in namespace {target}"),
            format!(
                "kubectl create rolebinding drover-{namespace}-{account} --namespace {target} --clusterrole=edit \
                 --serviceaccount={namespace}:{account}"
            ),
        ),
        None => (
            " in the whole cluster".to_owned(),
            format!(
                "kubectl create clusterrolebinding drover-{namespace}-{account} --clusterrole=ROLE \
                 --serviceaccount={namespace}:{account}"
            ),
        ),
    };
    format!(
        "{key} was refused, because service account {namespace}/{account} may not {verb} {qualified}{place}: grant it that, \
         for example with `{grant}`, or remove the object from git"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_which_account_lacks_which_right_where() {
        let key = |namespace: Option<&str>| ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: namespace.map(str::to_owned),
            name: "web".into(),
        };
        let sentence = forbidden(&key(Some("other")), "patch", "deployments", "shop", "drover");
        assert!(
            sentence.starts_with("Deployment other/web was refused, because service account shop/drover may not patch")
        );
        assert!(sentence.contains("deployments.apps in namespace other"), "{sentence}");
        assert!(forbidden(&key(None), "patch", "deployments", "shop", "drover").contains("clusterrolebinding"));
    }
}
