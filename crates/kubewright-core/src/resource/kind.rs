//! The kinds of resources, as their names begin.

use super::{Resource, ResourceId};

/// The kind of a resource, without the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A system user.
    User,
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link.
    Symlink,
    /// A secret that several nodes share.
    SharedSecret,
    /// A key and its certificate.
    Certificate,
    /// A kernel parameter.
    Sysctl,
    /// A kernel module.
    KernelModule,
    /// That swap is off.
    SwapOff,
    /// An executable.
    Binary,
    /// A container image.
    Image,
    /// Routes and masquerading.
    Routing,
    /// A unit.
    Unit,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::User,
        Self::Directory,
        Self::File,
        Self::Symlink,
        Self::SharedSecret,
        Self::Certificate,
        Self::Sysctl,
        Self::KernelModule,
        Self::SwapOff,
        Self::Binary,
        Self::Image,
        Self::Routing,
        Self::Unit,
    ];

    /// Returns the word before the colon of a [`ResourceId`].
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Directory => "directory",
            Self::File => "file",
            Self::Symlink => "symlink",
            Self::SharedSecret => "secret",
            Self::Certificate => "certificate",
            Self::Sysctl => "sysctl",
            Self::KernelModule => "module",
            Self::SwapOff => "swap",
            Self::Binary => "binary",
            Self::Image => "image",
            Self::Routing => "routing",
            Self::Unit => "unit",
        }
    }
}

impl ResourceId {
    /// Returns the kind of resource it names; `None` when it names none, as `node:reset` does.
    pub fn resource_kind(&self) -> Option<ResourceKind> {
        ResourceKind::ALL
            .into_iter()
            .find(|kind| kind.word() == self.kind())
    }
}

impl Resource {
    /// Returns its kind.
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::User(_) => ResourceKind::User,
            Self::Directory(_) => ResourceKind::Directory,
            Self::File(_) => ResourceKind::File,
            Self::Symlink(_) => ResourceKind::Symlink,
            Self::SharedSecret(_) => ResourceKind::SharedSecret,
            Self::Certificate(_) => ResourceKind::Certificate,
            Self::Sysctl(_) => ResourceKind::Sysctl,
            Self::KernelModule(_) => ResourceKind::KernelModule,
            Self::SwapOff(_) => ResourceKind::SwapOff,
            Self::Binary(_) => ResourceKind::Binary,
            Self::Image(_) => ResourceKind::Image,
            Self::Routing(_) => ResourceKind::Routing,
            Self::Unit(_) => ResourceKind::Unit,
        }
    }
}
