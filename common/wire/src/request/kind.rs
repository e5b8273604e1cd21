//! The types of pipe requests, by their numbers on the wire.

use core::fmt;

macro_rules! request_types {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal;)*) => {
        /// The type of a pipe request.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum RequestType {
            $($(#[$doc])* $variant,)*
        }

        impl RequestType {
            /// Every known type, by code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The type of a code.
            pub fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The code on the wire.
            pub fn code(self) -> i16 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// IoTDB's name for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

request_types! {
    /// Handshake of a ConfigNode, with a precision only.
    HandshakeConfigNodeV1 = 0, "HANDSHAKE_CONFIGNODE_V1";
    /// Handshake of a DataNode, with a precision only.
    HandshakeDataNodeV1 = 1, "HANDSHAKE_DATANODE_V1";
    /// Rows or a tablet as a plan node.
    TransferTabletInsertNode = 2, "TRANSFER_TABLET_INSERT_NODE";
    /// A raw tablet.
    TransferTabletRaw = 3, "TRANSFER_TABLET_RAW";
    /// A piece of a TsFile that comes alone.
    TransferTsFilePiece = 4, "TRANSFER_TS_FILE_PIECE";
    /// The end of a TsFile that comes alone.
    TransferTsFileSeal = 5, "TRANSFER_TS_FILE_SEAL";
    /// Several inserts at once.
    TransferTabletBatch = 6, "TRANSFER_TABLET_BATCH";
    /// Rows or a tablet as an entry of the write-ahead log.
    TransferTabletBinary = 7, "TRANSFER_TABLET_BINARY";
    /// A piece of a TsFile or of its mods file.
    TransferTsFilePieceWithMod = 8, "TRANSFER_TS_FILE_PIECE_WITH_MOD";
    /// The end of a TsFile, with its mods file or with its database.
    TransferTsFileSealWithMod = 9, "TRANSFER_TS_FILE_SEAL_WITH_MOD";
    /// Type 2 with a database.
    TransferTabletInsertNodeV2 = 10, "TRANSFER_TABLET_INSERT_NODE_V2";
    /// Type 3 with a database.
    TransferTabletRawV2 = 11, "TRANSFER_TABLET_RAW_V2";
    /// Type 7 with a database.
    TransferTabletBinaryV2 = 12, "TRANSFER_TABLET_BINARY_V2";
    /// Type 6 with databases.
    TransferTabletBatchV2 = 13, "TRANSFER_TABLET_BATCH_V2";
    /// Handshake of a ConfigNode, with named parameters.
    HandshakeConfigNodeV2 = 50, "HANDSHAKE_CONFIGNODE_V2";
    /// Handshake of a DataNode, with named parameters.
    HandshakeDataNodeV2 = 51, "HANDSHAKE_DATANODE_V2";
    /// A schema or delete plan.
    TransferPlanNode = 100, "TRANSFER_PLAN_NODE";
    /// A piece of a schema region's snapshot.
    TransferSchemaSnapshotPiece = 101, "TRANSFER_SCHEMA_SNAPSHOT_PIECE";
    /// The end of a schema region's snapshot.
    TransferSchemaSnapshotSeal = 102, "TRANSFER_SCHEMA_SNAPSHOT_SEAL";
    /// A plan of a ConfigNode.
    TransferConfigPlan = 200, "TRANSFER_CONFIG_PLAN";
    /// A piece of a config region's snapshot.
    TransferConfigSnapshotPiece = 201, "TRANSFER_CONFIG_SNAPSHOT_PIECE";
    /// The end of a config region's snapshot.
    TransferConfigSnapshotSeal = 202, "TRANSFER_CONFIG_SNAPSHOT_SEAL";
    /// Another request, compressed.
    TransferCompressed = 300, "TRANSFER_COMPRESSED";
    /// A part of another request.
    TransferSlice = 400, "TRANSFER_SLICE";
}

impl fmt::Display for RequestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.as_str(), self.code())
    }
}
