//! What a lab is: a name, a directory, a subnet and a bridge that no other lab of this computer shares.

pub(crate) mod lock;
pub(crate) mod name;
pub(crate) mod state;
pub(crate) mod subnet;

pub(crate) use name::{LabName, MachineName};
pub(crate) use state::{Lab, MachineRecord, Phase, Role};
pub(crate) use subnet::Subnet;
