//! The first words on a connection: version 1 with a precision, version 2 with named parameters.

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;
use tidegate_model::Precision;

use super::Pair;
use super::RequestType;
use super::Seq;
use super::TEXT_BYTES_MAX;

/// Which kind of node of the sending cluster speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums)] // IoTDB's handshakes know these two
pub enum Node {
    /// Sends configuration plans.
    ConfigNode,
    /// Sends data and schema.
    DataNode,
}

/// Types 0 and 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct HandshakeV1<'a> {
    /// Who speaks.
    pub node: Node,
    /// `ms`, `us` or `ns`, as sent.
    pub precision: &'a str,
}

impl<'a> HandshakeV1<'a> {
    /// What a DataNode of this precision sends.
    pub fn new(precision: Precision) -> Self {
        Self { node: Node::DataNode, precision: precision.as_str() }
    }

    /// The precision, if it is one.
    pub fn precision(&self) -> Option<Precision> {
        Precision::parse(self.precision)
    }

    /// The type on the wire.
    pub fn request_type(&self) -> RequestType {
        match self.node {
            Node::ConfigNode => RequestType::HandshakeConfigNodeV1,
            Node::DataNode => RequestType::HandshakeDataNodeV1,
        }
    }

    pub(super) fn decode(node: Node, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { node, precision: reader.str("time stamp precision", TEXT_BYTES_MAX)? })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(self.precision);
    }
}

/// Types 50 and 51.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)] // the wire has these fields
pub struct HandshakeV2<'a> {
    /// Who speaks.
    pub node: Node,
    /// The parameters in the order sent. Unknown ones are to be ignored.
    pub parameters: Seq<'a, Pair<'a>>,
}

impl<'a> HandshakeV2<'a> {
    /// What a DataNode with these parameters sends.
    pub fn new(parameters: &[(&'a str, &'a str)]) -> Self {
        let pair = |&(key, value)| Pair { key, value: Some(value) };
        let parameters: Vec<Pair<'a>> = parameters.iter().map(pair).collect();
        Self { node: Node::DataNode, parameters: parameters.into() }
    }

    /// The value of a key of [`keys`] or of our own; a null value counts as absent.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.parameters.value(key).flatten()
    }

    /// The precision, if it is there and is one.
    pub fn precision(&self) -> Option<Precision> {
        Precision::parse(self.value(keys::TIMESTAMP_PRECISION)?)
    }

    /// The type on the wire.
    pub fn request_type(&self) -> RequestType {
        match self.node {
            Node::ConfigNode => RequestType::HandshakeConfigNodeV2,
            Node::DataNode => RequestType::HandshakeDataNodeV2,
        }
    }

    pub(super) fn decode(node: Node, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { node, parameters: Seq::decode(reader, "number of parameters", ())? })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        self.parameters.encode(writer);
    }
}

/// Names of IoTDB's handshake parameters.
pub mod keys {
    /// Identity of the sending cluster; must differ from the receiver's.
    pub const CLUSTER_ID: &str = "clusterID";
    /// `true` or `false`.
    pub const CONVERT_ON_TYPE_MISMATCH: &str = "convertOnTypeMismatch";
    /// `sync` or `async`.
    pub const LOAD_TS_FILE_STRATEGY: &str = "loadTsFileStrategy";
    /// `true` or `false`: whether the receiver's own pipes may forward what arrives.
    pub const MARK_AS_PIPE_REQUEST: &str = "markAsPipeRequest";
    /// In clear; 1.3.4 and later ask for it.
    pub const PASSWORD: &str = "password";
    /// `ms`, `us` or `ns`.
    pub const TIMESTAMP_PRECISION: &str = "timestampPrecision";
    /// Ours: the generation of requests that follow, such as `1.3`.
    pub const TIDEGATE_DIALECT: &str = "tidegate.dialect";
    /// Ours: which run of the sender it is, a number that only grows. Stock receivers ignore it.
    pub const TIDEGATE_EPOCH: &str = "tidegate.epoch";
    /// Ours: which sender it is.
    pub const TIDEGATE_SENDER: &str = "tidegate.sender";
    /// Ours: which of the sender's streams the connection carries.
    pub const TIDEGATE_STREAM: &str = "tidegate.stream";
    /// 1.3.4 and later ask for it.
    pub const USERNAME: &str = "username";
    /// `true` or `false`.
    pub const VALIDATE_TS_FILE: &str = "validateTsFile";
}
