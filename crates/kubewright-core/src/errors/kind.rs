//! Whose matter an error is; that decides the exit code.

/// Whose matter an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The file, the flags or this computer.
    User,
    /// Something differs or was found.
    Findings,
    /// A run did what it could, and something waits for nodes that cannot be reached.
    Incomplete,
    /// A run stopped part-way and can be continued.
    Stopped,
    /// Something on a node.
    Node,
    /// etcd.
    Etcd,
    /// The Kubernetes API.
    Api,
    /// The way to a node.
    Ssh,
    /// A safety rule said no.
    Refused,
    /// kubewright itself.
    Bug,
}

impl Kind {
    /// Returns the process' exit code, which is part of the contract.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Findings => 3,
            Self::Incomplete => 4,
            Self::Stopped | Self::Node => 10,
            Self::Etcd => 11,
            Self::Api => 12,
            Self::Ssh => 13,
            Self::Refused => 20,
            Self::Bug => 70,
        }
    }
}
