//! Frames that cannot be made: what follows for their item. Another try would come to the same.

use tidegate_model::Verdict;
use tidegate_source::Stall;
use tidegate_wire::frame::PayloadTooLarge;

use crate::edge::Edge;
use crate::lane_slot::Load;

impl Edge {
    /// A frame of the lane's item cannot be made: a file holds its region up, and `status` says why; a
    /// deletion counts as refused.
    pub(crate) fn give_up_frame(&mut self, at: usize, what: &str, error: PayloadTooLarge) {
        let now = self.now();
        let Some(slot) = self.slot(at) else { return };
        let Some(cargo) = &slot.cargo else {
            // A handshake: the call is given up in time, and made again.
            return self.warn(what, &format!("{what} cannot be sent: {error}"));
        };
        let token = cargo.token.as_u64();
        let reason = reason(&cargo.name, what, error);
        let is_file = matches!(cargo.load, Load::File(_));
        slot.lane.withdraw(now, token);
        match is_file {
            true => self.set_aside(at, Stall::Blocked(reason)),
            false => self.settle(at, token, Verdict::Refused, reason),
        }
    }
}

fn reason(name: &str, what: &str, error: PayloadTooLarge) -> String {
    format!(
        "{name}: {what} of it cannot be sent: {error}; a smaller connector.tidegate.piece-size-bytes \
         makes smaller ones"
    )
}

#[cfg(test)]
mod tests {
    use tidegate_wire::Wrap;
    use tidegate_wire::frame::PAYLOAD_BYTES_MAX;

    use super::*;
    use crate::line::Outgoing;

    #[test]
    fn a_request_that_no_frame_can_hold_is_refused_with_what_to_do() {
        for wrap in [Wrap::None, Wrap::ELanguage] {
            let payload = vec![7; PAYLOAD_BYTES_MAX as usize];
            let whole = Outgoing::of_payload(&payload, wrap).expect("it fits");
            assert_eq!(whole.data.len() as u64, payload.len() as u64 + wrap.overhead_bytes());
        }
        let payload = vec![7; PAYLOAD_BYTES_MAX as usize + 1];
        let error = Outgoing::of_payload(&payload, Wrap::None).expect_err("it does not fit");
        let reason = reason("7-1-0-0.tsfile", "a tablet", error);
        for part in ["7-1-0-0.tsfile: a tablet", "67174401", "piece-size-bytes"] {
            assert!(reason.contains(part), "{reason}");
        }
    }
}
