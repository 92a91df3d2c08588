use super::*;

#[test]
fn reads_every_tag() {
    let cases: &[(&[u8], Token<'_>)] = &[
        (&[97, 200], Token::Int(200)),
        (&[98, 0xff, 0xff, 0xff, 0xfe], Token::Int(-2)),
        (&[110, 5, 0, 0, 0, 0, 0, 1], Token::Int(1 << 32)),
        (&[110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0x80], Token::Int(i64::MIN)),
        (&[111, 0, 0, 0, 1, 0, 7], Token::Int(7)),
        (&[70, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], Token::Float(1.5)),
        (&[100, 0, 3, b'n', b'i', b'l'], Token::Atom(b"nil")),
        (&[115, 3, b'n', b'i', b'l'], Token::Atom(b"nil")),
        (&[118, 0, 3, b'n', b'i', b'l'], Token::Atom(b"nil")),
        (&[119, 3, b'n', b'i', b'l'], Token::Atom(b"nil")),
        (&[106], Token::Nil),
        (&[107, 0, 2, 1, 2], Token::ByteList(&[1, 2])),
        (&[109, 0, 0, 0, 1, 9], Token::Binary(&[9])),
    ];
    for (bytes, expected) in cases {
        let mut decoder = Decoder::new(bytes);
        assert_eq!(decoder.token().unwrap(), *expected, "{bytes:?}");
        decoder.end().unwrap();
    }
    let mut text = vec![99];
    text.extend_from_slice(b"1.50000000000000000000e+00\0\0\0\0\0");
    assert_eq!(Decoder::new(&text).token().unwrap(), Token::Float(1.5));
}

#[test]
fn refuses_floats_that_erlang_does_not_have() {
    for bits in [0x7ff8_0000_0000_0000u64, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000] {
        let mut bytes = vec![70];
        bytes.extend_from_slice(&bits.to_be_bytes());
        assert!(Decoder::new(&bytes).token().is_err(), "{bits:x}");
    }
    let mut text = b"\x63inf".to_vec();
    text.resize(32, 0);
    assert!(Decoder::new(&text).token().is_err());
}

#[test]
fn big_integers_keep_sign_and_magnitude() {
    let bytes = [110, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let token = Decoder::new(&bytes).token().unwrap();
    assert_eq!(token, Token::Big { negative: true, magnitude: &[0, 0, 0, 0, 0, 0, 0, 0, 1] });
}

#[test]
fn skips_nesting_of_any_depth_without_recursion() {
    let mut bytes = Vec::new();
    for _ in 0..1_000_000 {
        bytes.extend_from_slice(&[104, 1]);
    }
    bytes.push(106);
    let mut decoder = Decoder::new(&bytes);
    decoder.skip().unwrap();
    decoder.end().unwrap();
}

#[test]
fn refuses_counts_beyond_the_bytes() {
    for bytes in [
        &[105u8, 0xff, 0xff, 0xff, 0xff][..],
        &[108, 0xff, 0xff, 0xff, 0xff, 97, 1],
        &[116, 0xff, 0xff, 0xff, 0xff],
        &[109, 0, 0, 0, 2, 1],
        &[104, 2, 97, 1],
        &[],
    ] {
        assert!(Decoder::new(bytes).skip().is_err(), "{bytes:?}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut decoder = Decoder::new(&bytes);
        while decoder.token().is_ok() {}
        let _ = Decoder::new(&bytes).skip();
    }
}
