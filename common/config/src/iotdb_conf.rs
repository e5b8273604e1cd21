//! What the sender reads from the files of an IoTDB: where its data is and who it is.

use std::path::Path;
use std::path::PathBuf;

use tidegate_model::Precision;

use crate::error::ConfigError;
use crate::error::ConfigErrors;
use crate::error::Reason;
use crate::properties::Properties;
use crate::properties::Repeated;
use crate::text;
use crate::value::DirTiers;
use crate::value::IotdbVersion;
use crate::value::Kind;
use crate::value::Setting;

/// Files of a `conf` directory that may name directories, the strongest last. From 1.3.3 on
/// `iotdb-system.properties` stands alone; where it exists the older ones are not read.
pub const IOTDB_CONF_FILES: [&str; 4] = [
    "iotdb-common.properties",
    "iotdb-confignode.properties",
    "iotdb-datanode.properties",
    "iotdb-system.properties",
];

/// Directories of one IoTDB, taken from its `conf` directory.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // paths only
pub struct IotdbConf {
    /// `dn_data_dirs`, absolute if the directory `conf` was given so.
    pub dn_data_dirs: DirTiers,
    /// `dn_system_dir`.
    pub dn_system_dir: PathBuf,
    /// `dn_consensus_dir`.
    pub dn_consensus_dir: PathBuf,
    /// `cn_system_dir`.
    pub confignode_system_dir: PathBuf,
}

impl IotdbConf {
    /// Reads the texts of those of [`IOTDB_CONF_FILES`] that exist in `conf_dir`, as pairs of file
    /// name and content. Keys that are not given have IoTDB's default; relative directories are
    /// below IoTDB's home, the parent of `conf_dir`.
    ///
    /// # Errors
    /// No such file, an unreadable one, or a bad list of directories.
    pub fn read(conf_dir: &Path, files: &[(&str, &[u8])]) -> Result<Self, ConfigErrors> {
        let is_new = |name: &str| name == IOTDB_CONF_FILES[3];
        let alone = files.iter().any(|(name, _)| is_new(name));
        let mut texts: Vec<(String, Properties)> = Vec::new();
        for known in IOTDB_CONF_FILES {
            let Some((name, bytes)) = files.iter().find(|(name, _)| *name == known) else {
                continue;
            };
            if alone && !is_new(name) {
                continue;
            }
            let path = conf_dir.join(name).display().to_string();
            let properties = Properties::parse(&path, bytes, Repeated::LastWins)?;
            texts.push((path, properties));
        }
        if texts.is_empty() {
            let demand = format!("expected one of {}, but found none", IOTDB_CONF_FILES.join(", "));
            let dir = conf_dir.display().to_string();
            return Err(ConfigError::new(&dir, None, Reason::Missing { demand }).into());
        }
        let home = conf_dir.parent().unwrap_or(conf_dir);
        let path = |key: &str, default: &str| -> Result<PathBuf, ConfigErrors> {
            let read: PathBuf = value(&texts, key, default, &Kind::Path)?;
            Ok(home.join(read))
        };
        let data_dirs: DirTiers =
            value(&texts, "dn_data_dirs", "data/datanode/data", &Kind::DirTiers)?;
        Ok(Self {
            dn_data_dirs: data_dirs.below(home),
            dn_system_dir: path("dn_system_dir", "data/datanode/system")?,
            dn_consensus_dir: path("dn_consensus_dir", "data/datanode/consensus")?,
            confignode_system_dir: path("cn_system_dir", "data/confignode/system")?,
        })
    }
}

/// The value of a key, from the strongest file that has it.
fn value<T: Setting>(
    texts: &[(String, Properties)],
    key: &str,
    default: &str,
    kind: &Kind,
) -> Result<T, ConfigErrors> {
    let found = texts.iter().rev().find_map(|(path, it)| Some((path, it.entry(key)?)));
    // An empty value is IoTDB's default too: it skips blank settings of directories.
    let found = found.filter(|(_, entry)| !entry.value.is_empty());
    let text = found.map_or(default, |(_, entry)| entry.value.as_str());
    T::read(kind, text).ok_or_else(|| match found {
        Some((path, entry)) => {
            let found = text::quoted(&entry.value);
            Properties::bad_value(path, entry, kind.to_string(), found).into()
        }
        None => {
            let demand = format!("{key} has no default");
            ConfigError::new("", None, Reason::Missing { demand }).into()
        }
    })
}

/// What a node's own `system.properties` tells. Each value is `None` where it is not written:
/// the precision stands only with ConfigNodes, the data node id only with DataNodes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // read by the sender field by field
pub struct SystemProperties {
    /// `iotdb_version`.
    pub iotdb_version: Option<IotdbVersion>,
    /// `cluster_id`.
    pub cluster_id: Option<String>,
    /// `data_node_id`.
    pub data_node_id: Option<u32>,
    /// `timestamp_precision`.
    pub timestamp_precision: Option<Precision>,
}

impl SystemProperties {
    /// Reads `system.properties` of a DataNode or ConfigNode.
    ///
    /// # Errors
    /// Not a properties file, or one of the four values is malformed.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ConfigErrors> {
        let properties = Properties::parse(file, bytes, Repeated::LastWins)?;
        let texts = [(file.to_owned(), properties)];
        let id = Kind::Integer { min: 0, max: u64::from(i32::MAX as u32) };
        let words = Kind::Choice(&["ms", "us", "ns"]);
        let [(_, properties)] = &texts;
        let data_node_id = match properties.value("data_node_id") {
            // A node that has not joined yet has -1.
            None | Some("" | "-1") => None,
            Some(_) => Some(value(&texts, "data_node_id", "", &id)?),
        };
        Ok(Self {
            iotdb_version: value(&texts, "iotdb_version", "auto", &Kind::VersionOrAuto)?,
            cluster_id: value(&texts, "cluster_id", "auto", &Kind::TextOrAuto { bytes_max: 255 })?,
            data_node_id,
            timestamp_precision: value(&texts, "timestamp_precision", "auto", &words)?,
        })
    }
}
