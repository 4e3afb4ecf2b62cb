//! What there is on the whole cluster, so that what a run leaves behind can be seen.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Cluster;

/// Prints a line for each object; of those that belong to another one, only the other counts.
const TEMPLATE: &str = "go-template={{range .items}}{{if not .metadata.ownerReferences}}{{.kind}} \
                        {{with .metadata.namespace}}{{.}}/{{end}}{{.metadata.name}}{{\"\\n\"}}{{end}}{{end}}";

/// Every object that belongs to no other, as kind, namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory(BTreeSet<String>);

impl Inventory {
    fn parse(printed: &str) -> Self {
        Self(printed.lines().map(ToOwned::to_owned).collect())
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has come since `before`.
    #[must_use]
    pub fn new_since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }

    /// What has come and what has gone since `before`.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let went = before.0.difference(&self.0).map(|it| format!("- {it}"));
        let came = self.0.difference(&before.0).map(|it| format!("+ {it}"));
        went.chain(came).collect()
    }

    /// Those whose kind, namespace or name has `word` in it.
    #[must_use]
    pub fn mentioning(&self, word: &str) -> Vec<String> {
        let named = self.0.iter().filter(|it| it.contains(word));
        named.cloned().collect()
    }
}

impl Cluster {
    /// Everything on the cluster that can be listed.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub async fn inventory(&self) -> Result<Inventory> {
        let kinds = self.kinds(&[]).await?;
        let printed = ["get", &kinds, "-A", "-o", TEMPLATE];
        Ok(Inventory::parse(&self.kubectl.run(&printed).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_went_is_told_apart() {
        let before = Inventory::parse("Namespace a\nPod a/b\n");
        let after = Inventory::parse("Namespace a\nJob a/c\n");
        assert_eq!(after.new_since(&before), ["Job a/c"]);
        assert_eq!(after.changes_since(&before), ["- Pod a/b", "+ Job a/c"]);
        assert_eq!(after.mentioning("Job"), ["Job a/c"]);
        assert_eq!((before.len(), before.is_empty()), (2, false));
    }
}
