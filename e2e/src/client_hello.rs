//! The first message of TLS, as far as a proxy that passes TLS through reads it: the server's name.

/// The first byte of a TLS connection.
pub const HANDSHAKE: u8 = 22;
/// TLS 1.2, as the record and the message write it.
const VERSION: [u8; 2] = [3, 3];

/// A ClientHello of TLS 1.2 for a server of this name.
#[must_use]
pub fn client_hello(server: &str) -> Vec<u8> {
    let name = [&[0][..], &sized(server.as_bytes())].concat(); // 0: a host name
    let server_name = [&[0, 0][..], &sized(&sized(&name))].concat(); // extension 0
    let groups = [&[0, 10][..], &sized(&sized(&[0, 29]))].concat(); // x25519
    let signatures = [&[0, 13][..], &sized(&sized(&[4, 3]))].concat(); // ecdsa_secp256r1_sha256
    let extensions = [server_name, groups, signatures].concat();
    let hello = [
        &VERSION[..],
        &[7; 32],              // random
        &[0],                  // no session
        &sized(&[0xc0, 0x2b]), // ECDHE-ECDSA-AES128-GCM-SHA256
        &[1, 0],               // no compression
        &sized(&extensions),
    ]
    .concat();
    let message = [&[1, 0][..], &sized(&hello)].concat(); // a length of three bytes
    [&[HANDSHAKE][..], &VERSION, &sized(&message)].concat()
}

/// Bytes after their length, in two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_counts_what_follows_it() {
        let hello = client_hello("shop.example.com");
        let length = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!(hello[0], HANDSHAKE);
        assert_eq!(length(3), hello.len() - 5);
        assert_eq!(length(7), hello.len() - 9);
        let text = String::from_utf8_lossy(&hello);
        assert!(text.contains("shop.example.com"), "{text:?}");
    }
}
