//! Files of which only points leave: their tablets, one request after the other, or a file of them.

use std::time::Duration;

use tidegate_link::sending::Delivery;
use tidegate_link::sending::DeliveryPart;
use tidegate_model::Dialect;
use tidegate_model::Verdict;
use tidegate_source::Departed;
use tidegate_source::Form;
use tidegate_source::ModsSeen;
use tidegate_source::UnreadPoints;

use crate::edge::Edge;
use crate::lane_slot::Load;
use crate::lane_slot::PointsWait;
use crate::lane_slot::Waiting;
use crate::line::Outgoing;
use crate::reader::Part;
use crate::reader::ReadRequest;

/// Pages may have to be read through for long before one has a wanted point.
const TABLET_READ_TIME_MAX: Duration = Duration::from_secs(600);

impl Edge {
    /// Points of a file must leave: as a file, if tablets could be hidden by what left before.
    pub(crate) fn choose_form(&mut self, at: usize, token: u64) {
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        let Some(cargo) = &mut slot.cargo else { return };
        let Load::File(file) = &cargo.load else { return };
        let wants_excerpt = pipe.source.has_sent_files(file.identity);
        cargo.departed.may_be_hidden = wants_excerpt;
        // A reader that is gone is noticed by the supervisor.
        let _ = slot.reader.send(ReadRequest::Points { token, wants_excerpt });
    }

    /// A file is open whose tablets leave: their delivery begins, once the connection is there.
    ///
    /// To find the first one may take longer than a connection is kept idle.
    pub(crate) fn begin_tablets(
        &mut self,
        at: usize,
        dialect: Dialect,
        mods_seen: Option<ModsSeen>,
        not_excerpt: Option<String>,
    ) {
        let state = &mut self.state;
        let Some(slot) = state.lanes.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        let Some(cargo) = &mut slot.cargo else { return };
        let departed = &mut cargo.departed;
        departed.form = Form::Tablets;
        departed.mods = mods_seen;
        // What they delete is in no tablet.
        departed.mods_carried = true;
        slot.points_wait = Some(PointsWait { dialect, delivery: None });
        if let Some(reason) = not_excerpt {
            let name = pipe.definition.name.to_string();
            let text = format!(
                "pipe {name}: points leave as tablets, which the far side may hide behind a file that \
                 left before, since they cannot be a file: {reason}"
            );
            self.warn(&format!("{name} no excerpt"), &text);
        }
    }

    /// A file with the points of another is there: its delivery begins, once the connection is.
    pub(crate) fn begin_excerpt(
        &mut self,
        at: usize,
        dialect: Dialect,
        length_bytes: u64,
        departed: Departed,
    ) {
        let Some(slot) = self.slot(at) else { return };
        let Some(cargo) = &mut slot.cargo else { return };
        let Load::File(file) = &cargo.load else { return };
        // What the mods delete is not in it.
        cargo.departed = Departed { form: Form::Excerpt, mods_carried: true, ..departed };
        let region = &file.place.region;
        let delivery = Delivery {
            token: cargo.token.as_u64(),
            mods: None,
            database: region.is_table_model().then(|| region.database.to_string()),
            ts_file: DeliveryPart { name: cargo.name.clone(), length_bytes },
        };
        slot.points_wait = Some(PointsWait { dialect, delivery: Some(delivery) });
    }

    /// The connection is there for which points wait.
    pub(crate) fn begin_waiting_points(&mut self, at: usize) {
        let now = self.now();
        let Some(slot) = self.slot(at) else { return };
        let Some(PointsWait { dialect, delivery }) = slot.points_wait.take() else { return };
        let Some(cargo) = &slot.cargo else { return };
        let token = cargo.token.as_u64();
        if slot.lane.agreed().map(|(_, agreed)| agreed) != Some(dialect) {
            let message = "the peer has agreed on another dialect meanwhile".to_owned();
            return self.settle(at, token, Verdict::Unknown, message);
        }
        match delivery {
            Some(delivery) => slot.lane.begin(now, delivery),
            None => slot.lane.begin_requests(now, token),
        }
    }

    /// Sends the next tablet, or waits for it.
    pub(crate) fn send_tablet(&mut self, at: usize) {
        let now = self.now();
        let Some(wrap) = self.wrap(at) else { return };
        let Some(slot) = self.slot(at) else { return };
        let Some(piece) = slot.pieces.pop_front() else {
            slot.waiting = Waiting::Tablet;
            slot.lane.handle_held_up(now + TABLET_READ_TIME_MAX);
            return;
        };
        let Part::Tablet { is_last, has_unknown_types } = piece.part else {
            unreachable!("of a file that leaves as tablets no pieces are read");
        };
        if let Some(cargo) = &mut slot.cargo {
            cargo.departed.has_unknown_types |= has_unknown_types;
        }
        match Outgoing::of_payload(&piece.bytes, wrap) {
            Ok(outgoing) => {
                let n_bytes = u32::try_from(piece.bytes.len()).unwrap_or(u32::MAX);
                slot.lane.handle_supplied(now, n_bytes, is_last);
                self.launch(at, outgoing, now);
            }
            Err(error) => {
                slot.give_back(piece.bytes);
                self.give_up_frame(at, "a tablet", error);
            }
        }
    }

    /// Points of the item could not be read: a gap, once the others have left.
    pub(crate) fn note_unread(&mut self, at: usize, unread: Vec<UnreadPoints>) {
        let state = &mut self.state;
        let Some(slot) = state.lanes.get(at).and_then(Option::as_ref) else { return };
        let Some(pipe) = state.pipes.get_mut(&slot.pipe) else { return };
        let Some(cargo) = &slot.cargo else { return };
        pipe.source.handle_unread(cargo.token, unread);
    }

    /// A damaged file leaves as if it was sound.
    pub(crate) fn note_mended(&mut self, at: usize, trouble: &str) {
        let state = &self.state;
        let Some(slot) = state.lanes.get(at).and_then(Option::as_ref) else { return };
        let Some(pipe) = state.pipes.get(&slot.pipe) else { return };
        let name = &pipe.definition.name;
        let text = format!("pipe {name}: {trouble}; its points were found by a walk over its data");
        self.warn(&text, &text);
    }

    /// Nothing of the item is to leave: it is done as if it had.
    pub(crate) fn end_unwanted(
        &mut self,
        at: usize,
        mods_seen: Option<ModsSeen>,
        has_unknown_types: bool,
    ) {
        let Some(cargo) = self.slot(at).and_then(|slot| slot.cargo.as_mut()) else { return };
        cargo.departed.form = Form::Nothing;
        cargo.departed.mods = mods_seen;
        // There is nothing that they could delete.
        cargo.departed.mods_carried = true;
        cargo.departed.has_unknown_types = has_unknown_types;
        cargo.departed.may_be_hidden = false;
        let token = cargo.token.as_u64();
        self.settle(at, token, Verdict::Accepted, "nothing of it is wanted".to_owned());
    }
}
