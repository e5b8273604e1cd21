//! Which generation of IoTDB a peer speaks.

use core::fmt;

/// The form that pipe requests take towards one generation of IoTDB.
///
/// One reply byte cannot tell 1.3 from 2.0, so the dialect is configured or taken from the source's
/// own version, never probed (`ARCHITECTURE.md`, "Dialects").
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(clippy::exhaustive_enums)] // a new generation must be thought about everywhere
pub enum Dialect {
    /// IoTDB 1.2: request types 1 to 7, no mods files.
    V1_2,
    /// IoTDB 1.3: mods files beside TsFiles, handshake V2.
    V1_3,
    /// IoTDB 2.0: TsFile v4, database names beside files and tablets.
    V2_0,
}

impl Dialect {
    /// `1.2`, `1.3` or `2.0`, as in `connector.tidegate.dialect`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1.2" => Some(Self::V1_2),
            "1.3" => Some(Self::V1_3),
            "2.0" => Some(Self::V2_0),
            _ => None,
        }
    }

    /// The dialect of an `iotdb_version` such as `1.2.2` or `2.0.1-beta`; `None` outside 1.2 to 2.x.
    pub fn of_version(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        let major: u32 = parts.next()?.parse().ok()?;
        let minor: u32 = parts.next()?.parse().ok()?;
        match (major, minor) {
            (1, 2) => Some(Self::V1_2),
            (1, minor) if minor > 2 => Some(Self::V1_3),
            (2, _) => Some(Self::V2_0),
            _ => None,
        }
    }

    /// See [`Dialect::parse`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V2_0 => "2.0",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
