//! What is missing while something of the cluster is waited for.

/// Why a condition of the cluster does not hold yet, as the API sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// What is missing and why, line by line; a line that belongs to the one before is indented.
    pub lines: Vec<String>,
    /// The nodes that are waited for: their kubelets know more.
    pub nodes: Vec<String>,
}

impl Late {
    /// Nothing is known but why.
    pub fn unknown(cause: String) -> Self {
        Self {
            lines: vec![cause],
            nodes: Vec::new(),
        }
    }

    /// The nodes of some that are not ready, with the reason of each.
    pub fn of_nodes(unready: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut late = Self::default();
        for (node, reason) in unready {
            late.lines.push(format!("{node}: {reason}"));
            late.nodes.push(node);
        }
        late
    }
}
