//! Checks a handshake as far as one connection can: keys, precision, user, own cluster id.
//!
//! What needs memory (an origin's fixed precision, the youngest epoch of a stream) is left to the
//! edge, which gets the [`Hello`].

use tidegate_model::Dialect;
use tidegate_model::Precision;
use tidegate_wire::request::HandshakeV1;
use tidegate_wire::request::HandshakeV2;
use tidegate_wire::request::keys;

use super::ReceivingConfig;
use super::action::HandshakeForm;
use super::action::Hello;
use super::origin::Origin;
use super::refusal::HandshakeFault;

/// Longest name of a stream.
const STREAM_BYTES_MAX: usize = 255;

/// What user and password are for senders that do not name them, as at IoTDB.
const DEFAULT_CREDENTIAL: &str = "root";

/// A V1 handshake: nothing but a precision.
pub(super) fn check_v1(
    config: &ReceivingConfig,
    hello: &HandshakeV1<'_>,
) -> Result<Hello, HandshakeFault> {
    if !config.accept_v1 {
        return Err(HandshakeFault::V1NotAccepted);
    }
    Ok(Hello {
        origin: Origin::escape(&config.listener_name),
        stream: None,
        epoch: None,
        dialect: None,
        precision: parse_precision(hello.precision)?,
        form: HandshakeForm::V1,
    })
}

/// A V2 handshake: a map of which unknown keys are ignored.
pub(super) fn check_v2(
    config: &ReceivingConfig,
    hello: &HandshakeV2<'_>,
) -> Result<Hello, HandshakeFault> {
    let value = |key: &str| hello.value(key);
    let cluster_id = value(keys::CLUSTER_ID).ok_or(HandshakeFault::ClusterIdMissing)?;
    if cluster_id == config.own_cluster_id {
        return Err(HandshakeFault::OwnClusterId);
    }
    let precision = value(keys::TIMESTAMP_PRECISION).ok_or(HandshakeFault::PrecisionMissing)?;
    let precision = parse_precision(precision)?;
    let user = value(keys::USERNAME).unwrap_or(DEFAULT_CREDENTIAL);
    let password = value(keys::PASSWORD).unwrap_or(DEFAULT_CREDENTIAL);
    let known = same(user, &config.user) & same(password, &config.password);
    if !known {
        return Err(HandshakeFault::Credentials { user: user.to_owned() });
    }
    let epoch = value(keys::TIDEGATE_EPOCH)
        .map(|text| text.parse().map_err(|_| HandshakeFault::EpochMalformed(text.to_owned())))
        .transpose()?;
    let name = match (value(keys::TIDEGATE_SENDER), cluster_id) {
        (Some(sender), _) if !sender.is_empty() => sender,
        (_, "") => config.listener_name.as_str(),
        (_, cluster_id) => cluster_id,
    };
    Ok(Hello {
        origin: Origin::escape(name),
        stream: value(keys::TIDEGATE_STREAM).map(check_stream).transpose()?,
        epoch,
        dialect: value(keys::TIDEGATE_DIALECT).and_then(Dialect::parse),
        precision,
        form: HandshakeForm::V2,
    })
}

/// A stream's name goes into logs and status as it is.
fn check_stream(text: &str) -> Result<String, HandshakeFault> {
    let is_plain = (1..=STREAM_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    match is_plain {
        true => Ok(text.to_owned()),
        false => Err(HandshakeFault::StreamMalformed(text.to_owned())),
    }
}

fn parse_precision(text: &str) -> Result<Precision, HandshakeFault> {
    Precision::parse(text).ok_or_else(|| HandshakeFault::PrecisionUnknown(text.to_owned()))
}

/// Compares without stopping at the first difference, so that timing tells nothing about a password.
fn same(one: &str, other: &str) -> bool {
    let difference =
        one.bytes().zip(other.bytes()).fold(0_u8, |seen, (left, right)| seen | (left ^ right));
    one.len() == other.len() && difference == 0
}
