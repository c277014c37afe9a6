//! Closed lists that are their own documentation: of each kind its id and everything said about it, in one place.

/// Declares an enum `Kind`, with its stable ids and a function for each text that every kind has; `means = 0` says that
/// `means` is the first of them.
macro_rules! kinds {
    (
        $(#[$all:meta])*
        pub enum Kind {
            $($(#[$about:meta])* $text:ident = $at:literal,)+
        }
        $($(#[$doc:meta])* $kind:ident = $id:literal: $($words:literal;)+)+
    ) => {
        $(#[$all])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $id)] $kind,)+
        }

        impl Kind {
            /// Every kind, in the order of reports.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Returns the stable id.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$kind => $id),+ }
            }

            $(
                $(#[$about])*
                pub const fn $text(self) -> &'static str {
                    self.texts()[$at]
                }
            )+

            const fn texts(self) -> [&'static str; [$($at),+].len()] {
                match self { $(Self::$kind => [$($words),+]),+ }
            }
        }
    };
}

pub(crate) use kinds;
