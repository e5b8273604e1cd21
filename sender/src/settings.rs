//! Reads the sender's configuration and what the source's own files say of it.

pub(crate) mod replicas;

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use tidegate_config::CONFIG_TEXT_BYTES_MAX;
use tidegate_config::IOTDB_CONF_FILES;
use tidegate_config::IotdbConf;
use tidegate_config::Loaded;
use tidegate_config::SenderConfig;
use tidegate_config::SystemProperties;
use tidegate_daemon::files::read_at_most;
use tidegate_model::Dialect;
use tidegate_model::Precision;
use tidegate_source::DropPolicy;
use tidegate_source::ReadRule;
use tidegate_source::SourceConfig;

use crate::catalog::Catalog;
use crate::excerpts::Excerpts;
use crate::pins::PinConfig;
use replicas::Replicas;

/// What is known of the source before anything is read from it.
#[derive(Clone, Debug)]
pub(crate) struct SourceFacts {
    pub(crate) data_dirs: Vec<PathBuf>,
    pub(crate) dn_system_dir: Option<PathBuf>,
    pub(crate) precision: Precision,
    /// The generation of the IoTDB; `None` means that every pipe must name its dialect.
    pub(crate) dialect: Option<Dialect>,
    pub(crate) iotdb_version: Option<String>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) data_node_id: Option<u32>,
    /// Which replicas are sent.
    pub(crate) replicas: Replicas,
    /// What becomes of data that the source drops.
    pub(crate) drop_policy: DropPolicy,
    /// What the operator should know of all this.
    pub(crate) notices: Vec<String>,
}

/// Reads `sender.properties`.
pub(crate) fn load(path: &Path) -> Result<Loaded<SenderConfig>> {
    let shown = path.display().to_string();
    let bytes = read_at_most(path, CONFIG_TEXT_BYTES_MAX)
        .with_context(|| format!("reading the configuration {shown}"))?;
    SenderConfig::load(&shown, &bytes).map_err(anyhow::Error::from)
}

/// Finds out where the source is and what it is.
pub(crate) fn survey(config: &SenderConfig) -> Result<SourceFacts> {
    let iotdb = config.iotdb_conf_dir.as_deref().map(read_iotdb_conf).transpose()?;
    let location = config.source_location(iotdb.as_ref())?;
    let data_dirs: Vec<_> = location.data_dirs.dirs().cloned().collect();
    for dir in &data_dirs {
        if let Err(problem) = Catalog::check_data_dir(dir) {
            bail!("{problem}");
        }
    }
    let node = system_properties(location.dn_system_dir.as_deref())?;
    let config_node = system_properties(location.confignode_system_dir.as_deref())?;
    let precision = match (config.timestamp_precision, config_node.timestamp_precision) {
        (Some(said), Some(found)) if said != found => bail!(
            "sender_timestamp_precision={said}, but the ConfigNode's system.properties says \
             {found}: the source is never read with another unit than its own"
        ),
        (Some(precision), _) | (None, Some(precision)) => precision,
        (None, None) => bail!(
            "the unit of the source's time stamps is not known: it stands only in the \
             system.properties of a ConfigNode; name that directory in \
             sender_confignode_system_dir, or set sender_timestamp_precision to ms, us or ns \
             (IoTDB's default is ms)"
        ),
    };
    let replicas =
        Replicas::new(config.replica_policy.clone(), location.dn_consensus_dir.as_deref());
    let notices = replicas.check().map_err(anyhow::Error::msg)?;
    let version = config.iotdb_version.clone().or(node.iotdb_version).or(config_node.iotdb_version);
    Ok(SourceFacts {
        data_dirs,
        precision,
        dialect: version.as_ref().map(|version| version.dialect()),
        iotdb_version: version.map(|version| version.as_str().to_owned()),
        cluster_id: node.cluster_id.or(config_node.cluster_id),
        data_node_id: node.data_node_id,
        dn_system_dir: location.dn_system_dir,
        replicas,
        drop_policy: match config.drop_policy {
            tidegate_config::DropPolicy::Keep => DropPolicy::Keep,
            tidegate_config::DropPolicy::Delete => DropPolicy::Delete,
        },
        notices: notices.into_iter().collect(),
    })
}

/// How files that wait are kept.
pub(crate) fn pin_config(config: &SenderConfig) -> PinConfig {
    PinConfig {
        mode: config.pin_mode,
        dirs: config.pin_dirs(),
        files_max: config.pin_files_max,
        bytes_max: config.pin_bytes_max,
        floor_percent: config.pin_floor_percent,
    }
}

/// Where points become files, within which bounds.
pub(crate) fn excerpts(config: &SenderConfig) -> io::Result<Excerpts> {
    Excerpts::open(&config.excerpt_dir(), config.excerpt_bytes_max, config.pin_floor_percent)
}

/// What decides the order in which things leave, in every pipe.
pub(crate) fn source_config(config: &SenderConfig, facts: &SourceFacts) -> SourceConfig {
    SourceConfig {
        read_rule: match facts.dialect {
            Some(Dialect::V1_2) => ReadRule::ByVersion,
            _ => ReadRule::UnsequenceFirst,
        },
        drop_policy: facts.drop_policy,
        sources_go_within: Duration::from_millis(config.compaction_end_ms),
        ..SourceConfig::default()
    }
}

fn read_iotdb_conf(dir: &Path) -> Result<IotdbConf> {
    let mut texts = Vec::new();
    for name in IOTDB_CONF_FILES {
        match read_at_most(&dir.join(name), CONFIG_TEXT_BYTES_MAX) {
            Ok(bytes) => texts.push((name, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error).context("reading sender_iotdb_conf_dir"),
        }
    }
    let texts: Vec<(&str, &[u8])> =
        texts.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    Ok(IotdbConf::read(dir, &texts)?)
}

/// What a node's own properties say; nothing is known where there is no such file.
///
/// A ConfigNode of 2.0 names its file `confignode-system.properties`.
fn system_properties(dir: Option<&Path>) -> Result<SystemProperties> {
    let Some(dir) = dir else { return Ok(SystemProperties::default()) };
    for name in ["confignode-system.properties", "system.properties"] {
        let path = dir.join(name);
        match read_at_most(&path, CONFIG_TEXT_BYTES_MAX) {
            Ok(bytes) => return Ok(SystemProperties::parse(&path.display().to_string(), &bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error).context("reading the source's system.properties"),
        }
    }
    Ok(SystemProperties::default())
}
