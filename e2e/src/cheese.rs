//! A kind of a test's own, which nobody else knows and drover has never heard of.

use crate::namespace::Namespace;

/// The kind `Cheese` in an API group that only this namespace's tests use.
pub struct Cheese {
    group: String,
}

impl Cheese {
    /// The group is named after the namespace.
    pub fn of(namespace: &Namespace) -> Self {
        Self { group: format!("{}.example.org", namespace.name()) }
    }

    /// The API group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The name of its CustomResourceDefinition, by which `kubectl get` finds its objects too.
    pub fn definition_name(&self) -> String {
        format!("cheeses.{}", self.group)
    }

    /// Its CustomResourceDefinition.
    pub fn definition(&self) -> String {
        format!(
            "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {name}}}
spec:
  group: {group}
  names: {{kind: Cheese, plural: cheeses, singular: cheese}}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{age: {{type: integer}}}}}}}}}}}}
",
            name = self.definition_name(),
            group = self.group
        )
    }

    /// A cheese called `brie`, of that age.
    pub fn brie(&self, age: u32) -> String {
        format!("apiVersion: {}/v1\nkind: Cheese\nmetadata: {{name: brie}}\nspec: {{age: {age}}}\n", self.group)
    }
}
