//! The first bytes of a connection, in pieces; the first byte says whether there is a secret.
#![no_main]

use iris::mesh::Secret;
use iris::mesh::secure::{Opening, Role};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let secret = (how & 1 != 0).then(|| Secret::new(b"swordfish").expect("not empty"));
    let role = if how & 2 != 0 { Role::Initiator } else { Role::Responder };
    let (mut out, mut read) = (Vec::new(), Vec::new());
    let mut opening = Opening::new(role, secret, &mut out);
    for piece in rest.chunks(1 + usize::from(how >> 2)) {
        read.extend_from_slice(piece);
        match opening.advance(&mut read, &mut out) {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return,
        }
    }
});
