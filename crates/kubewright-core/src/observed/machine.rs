//! What a machine brings along: interfaces, kernel modules and settings, and places that cannot be written as they are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Link {
    /// Its hardware address; empty where it has none.
    pub mac: String,
    /// The largest packet it takes, bytes.
    pub mtu: Option<u32>,
    /// The length of the prefix of each of its addresses.
    pub prefixes: BTreeMap<IpAddr, u8>,
}

/// Whether something the kernel can do as a module is at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ModuleState {
    /// It is there, loaded or built in.
    Present {},
    /// It is a file that can be loaded.
    Loadable {},
    /// It is a file, and the kernel loads no more modules until the next boot (`kernel.modules_disabled`).
    Locked {},
    /// It is a file, and a line of modprobe's configuration runs something else instead of loading it.
    Blocked {
        /// The file with the line.
        by: String,
    },
    /// It is not there, and nothing on the node can bring it.
    Absent {},
    /// The modules of the running kernel are gone; there are those of another one.
    OtherKernel {
        /// A kernel whose modules there are.
        release: String,
    },
    /// It is not there, and the node shares its kernel with the computer that contains it.
    OnHost {},
    /// It shows nowhere, which proves nothing.
    Unknown {},
}

/// A kernel setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Setting {
    /// Its value; `None` when this kernel has no such setting.
    pub value: Option<String>,
    /// It can be changed.
    pub writable: bool,
    /// A file that sets it at boot after kubewright's own.
    pub later: Option<LaterSetting>,
}

/// A line that sets a kernel setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaterSetting {
    /// The file.
    pub path: String,
    /// The value it sets.
    pub value: String,
}

/// Something that keeps kubewright from writing where it has to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathObstacle {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub what: PathObstacleKind,
}

/// What keeps kubewright from writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathObstacleKind {
    /// A symbolic link where a directory belongs.
    Link,
    /// Neither a directory nor a link where a directory belongs.
    NotADirectory,
    /// The immutable attribute (`chattr +i`).
    Immutable,
    /// The append-only attribute (`chattr +a`).
    AppendOnly,
}
