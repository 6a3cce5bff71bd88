//! What a namespace's account may do: the ClusterRole that the chart brings, for clusters without the chart.

use drover_core::render::Object;
use drover_crds::LABEL_AGGREGATE_TO_DEPLOYER;
use k8s_openapi::api::rbac::v1::{AggregationRule, ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::opt_in::{DEPLOYER, metadata};

/// An administrator's ClusterRole with this label adds its rules to every namespace's account.
const AGGREGATE: (&str, &str) = (LABEL_AGGREGATE_TO_DEPLOYER, "true");

/// The ClusterRole `drover-deployer`, which gathers rules by label, and the one that holds drover's own rules.
///
/// # Panics
/// When the rules that the program was built with cannot be read; a test reads them.
pub fn cluster_roles() -> Vec<Object> {
    let (label, value) = AGGREGATE;
    let rules: Vec<PolicyRule> =
        serde_saphyr::from_str(include_str!("../../../charts/drover/files/deployer-rules.yaml"))
            .expect("the built-in rules are valid");
    let mut builtin = ClusterRole {
        metadata: metadata(None, &format!("{DEPLOYER}-builtin")),
        rules: Some(rules),
        aggregation_rule: None,
    };
    builtin.metadata.labels.get_or_insert_default().insert(label.to_owned(), value.to_owned());
    let selector =
        LabelSelector { match_labels: Some([(label.to_owned(), value.to_owned())].into()), ..LabelSelector::default() };
    let deployer = ClusterRole {
        metadata: metadata(None, DEPLOYER),
        aggregation_rule: Some(AggregationRule { cluster_role_selectors: Some(vec![selector]) }),
        rules: None,
    };
    vec![Object::built(&builtin), Object::built(&deployer)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_give_no_right_to_hand_out_rights() {
        let made = cluster_roles();
        let rules = made[0].json()["rules"].as_array().expect("rules");
        assert!(rules.len() > 5);
        for rule in rules {
            let text = rule.to_string();
            assert!(!text.contains("rbac") && !text.contains("impersonate") && !text.contains('*'), "{text}");
        }
        assert_eq!(
            made[1].json()["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"][AGGREGATE.0],
            AGGREGATE.1
        );
        assert_eq!(made[0].json()["metadata"]["labels"][AGGREGATE.0], AGGREGATE.1);
    }
}
