//! What decodes encodes to the same bytes; what is compressed keeps to its cap.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_wire::Payload;
use tidegate_wire::PieceHead;
use tidegate_wire::Request;

const CAP: usize = 1 << 16;

fuzz_target!(|payload: &[u8]| {
    let head = PieceHead::decode(payload);
    let Ok(decoded) = Payload::decode(payload) else { return };
    let mut encoded = Vec::with_capacity(payload.len());
    decoded.encode(&mut encoded).unwrap();
    assert_eq!(encoded, payload);
    assert!(!decoded.request.summary().to_string().is_empty());
    match &decoded.request {
        Request::Compressed(compressed) => {
            if let Ok(inner) = compressed.decompress(CAP) {
                assert!(inner.len() <= CAP.max(compressed.data.len()));
                let _ = Payload::decode(&inner);
            }
        }
        Request::FilePiece(piece) => {
            let (head, used) = head.unwrap().unwrap();
            assert_eq!((head.file_name, head.offset), (piece.file_name, piece.offset));
            assert_eq!(&payload[used..], piece.data);
            assert!(head.fills(payload.len() as u32));
        }
        Request::Tablet(tablet) => {
            let _ = tablet.to_model();
        }
        _ => (),
    }
});
