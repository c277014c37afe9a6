//! The breakages: what a change could get wrong one day, each against a promise of docs/contributing/invariants.md.

/// A replacement of a few lines.
pub(super) struct Breakage {
    /// What is broken, in a word or two.
    pub(super) name: &'static str,
    /// The file.
    pub(super) path: &'static str,
    /// The lines as they are, exactly once in the file.
    pub(super) right: &'static str,
    /// The lines that break the promise.
    pub(super) wrong: &'static str,
}

pub(super) const BREAKAGES: [Breakage; 13] = [
    // A change is journalled durably before it is made.
    Breakage {
        name: "journal-not-synced",
        path: "crates/kubewright-agent/src/journal.rs",
        right: "        system.sync_data(file.as_fd()).doing(doing)?;\n",
        wrong: "",
    },
    Breakage {
        name: "intents-not-journalled",
        path: "crates/kubewright-agent/src/converge.rs",
        right: "            intents.push(Event::Intended { resource, undo });\n        }\n        self.node.ledger.save(&self.node.tree)?;\n        self.node.tree.sync()?;\n        self.record(intents)?;\n        for (resource, change)",
        wrong: "            intents.push(Event::Intended { resource, undo });\n        }\n        self.node.ledger.save(&self.node.tree)?;\n        self.node.tree.sync()?;\n        drop(intents);\n        for (resource, change)",
    },
    // A file is written beside itself, synced, renamed, and its directory synced.
    Breakage {
        name: "file-not-synced",
        path: "crates/kubewright-agent/src/tree/new_file.rs",
        right: "        let synced = self.tree.system.sync(self.file.as_fd());\n        synced.map_err(|error| self.tree.full(&path, doing(), error))\n",
        wrong: "        Ok(())\n",
    },
    Breakage {
        name: "directory-not-synced",
        path: "crates/kubewright-agent/src/tree.rs",
        right: "                self.system\n                    .sync(directory.as_fd())\n                    .doing(|| format!(\"sync {path}\"))?;\n",
        wrong: "                drop(directory);\n",
    },
    Breakage {
        name: "file-written-in-place",
        path: "crates/kubewright-agent/src/tree/new_file.rs",
        right: "        let temporary = format!(\".{name}{TEMPORARY}\");\n",
        wrong: "        let temporary = format!(\"{name}{}\", &TEMPORARY[..0]);\n",
    },
    // Only a bootstrapping run may found an etcd cluster.
    Breakage {
        name: "permission-to-found-stays",
        path: "crates/kubewright-agent/src/bootstrapped.rs",
        right: "    node.tree.remove(BEGIN_PATH)?;\n",
        wrong: "",
    },
    Breakage {
        name: "bootstrapped-never-noted",
        path: "crates/kubewright-agent/src/bootstrapped.rs",
        right: "    tree.write(PATH, b\"etcd's bootstrap is finished\\n\", Owner::mine(0o600))?;\n",
        wrong: "",
    },
    // A lost answer is an unknown outcome.
    Breakage {
        name: "lost-answer-is-done",
        path: "crates/kubewright-control/src/node/calls.rs",
        right: "                answer = &mut answer => break answer.map_err(|_| self.shared.lost(doing))?,\n",
        wrong: "                answer = &mut answer => match answer {\n                    Ok(answer) => break answer,\n                    Err(_) => return Ok(Work { changed: Default::default(), counters: Default::default() }),\n                },\n",
    },
    // Control planes that serve are changed in turns.
    Breakage {
        name: "control-planes-at-once",
        path: "crates/kubewright-core/src/plan/apply.rs",
        right: "    if observed.api.is_none() && !observed.is_bootstrapped() {\n",
        wrong: "    if observed.api.is_none() || observed.is_bootstrapped() {\n",
    },
    // What a plan found of the other control planes is asked again.
    Breakage {
        name: "guards-always-hold",
        path: "crates/kubewright-control/src/execute/guards.rs",
        right: "            match self.ask(planned, which).await {\n",
        wrong: "            match self.ask(planned, which).await.or(Ok::<(), Refusal>(())) {\n",
    },
    // A unit runs with what is on disk, whatever came between.
    Breakage {
        name: "restart-forgotten-after-a-crash",
        path: "crates/kubewright-agent/src/resource/unit.rs",
        right: "        if !restart && node.ledger.started.get(&unit.name) != Some(&present) {\n",
        wrong: "        if !restart && node.ledger.started.get(&unit.name).is_some_and(|_| false && present == present) {\n",
    },
    // The authorities of a cluster are made once.
    Breakage {
        name: "authorities-made-again",
        path: "crates/kubewright-control/src/observe/look.rs",
        right: "    let (secrets, certificates) = (merge_secrets(&held)?, merge_certificates(&certificates)?);\n",
        wrong: "    let (secrets, certificates) = (merge_secrets(&held)?, merge_certificates(&certificates)?);\n    let secrets = if is_bootstrapped { secrets } else { Default::default() };\n    let certificates = if is_bootstrapped { certificates } else { Default::default() };\n",
    },
    // What says that a node was ours goes last.
    Breakage {
        name: "reset-forgets-first",
        path: "crates/kubewright-agent/src/reset.rs",
        right: "    peer.progress(&whole, false);\n    for name in stop_units(node)? {\n",
        wrong: "    peer.progress(&whole, false);\n    let names: Vec<_> = node.ledger.owned.keys().filter(|id| id.kind() == \"unit\").cloned().collect();\n    for id in names { unit::stop(node, &[id.what().to_owned()])?; unit::delete(node, &[id.what().to_owned()])?; }\n    forget(node, &mut Vec::new())?;\n    for name in stop_units(node)? {\n",
    },
];
