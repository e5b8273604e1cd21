//! Checks a handshake as far as one connection can: keys, precision, user, own cluster id.
//!
//! What needs memory (an origin's fixed precision, the youngest epoch of a stream) is left to the
//! edge, which gets the [`Hello`].

use tidegate_model::Precision;

use super::ReceivingConfig;
use super::action::HandshakeForm;
use super::action::Hello;
use super::origin::Origin;
use super::refusal::HandshakeFault;

/// A V1 handshake: nothing but a precision.
pub(super) fn check_v1(config: &ReceivingConfig, precision: &str) -> Result<Hello, HandshakeFault> {
    if !config.accept_v1 {
        return Err(HandshakeFault::V1NotAccepted);
    }
    Ok(Hello {
        origin: Origin::escape(&config.listener_name),
        stream: None,
        epoch: None,
        precision: parse_precision(precision)?,
        form: HandshakeForm::V1,
    })
}

/// A V2 handshake: a map of which unknown keys are ignored.
pub(super) fn check_v2(
    config: &ReceivingConfig,
    map: &[(String, Option<String>)],
) -> Result<Hello, HandshakeFault> {
    let value = |wanted: &str| {
        map.iter().find(|(key, _)| key == wanted).and_then(|(_, value)| value.as_deref())
    };
    let cluster_id = value("clusterID").ok_or(HandshakeFault::ClusterIdMissing)?;
    if cluster_id == config.own_cluster_id {
        return Err(HandshakeFault::OwnClusterId);
    }
    let precision =
        parse_precision(value("timestampPrecision").ok_or(HandshakeFault::PrecisionMissing)?)?;
    let user = value("username").unwrap_or("root");
    let password = value("password").unwrap_or("root");
    let known = same(user, &config.user) & same(password, &config.password);
    if !known {
        return Err(HandshakeFault::Credentials { user: user.to_owned() });
    }
    let epoch = value("tidegate.epoch")
        .map(|text| text.parse().map_err(|_| HandshakeFault::EpochMalformed(text.to_owned())))
        .transpose()?;
    let name = match (value("tidegate.sender"), cluster_id) {
        (Some(sender), _) if !sender.is_empty() => sender,
        (_, "") => config.listener_name.as_str(),
        (_, cluster_id) => cluster_id,
    };
    Ok(Hello {
        origin: Origin::escape(name),
        stream: value("tidegate.stream").map(str::to_owned),
        epoch,
        precision,
        form: HandshakeForm::V2,
    })
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
