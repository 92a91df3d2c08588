//! Components with a mistake in them.

/// A component cut at so many places, one of them right at its beginning.
pub fn cuts(component: &[u8], count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| component[..component.len() * i / count].to_vec()).collect()
}

/// A component with one to three bits flipped, so many times; the same ones each time.
pub fn flips(component: &[u8], count: u64) -> Vec<Vec<u8>> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    (0..count)
        .map(|i| {
            let mut bytes = component.to_vec();
            for _ in 0..=i % 3 {
                let bit = next() as usize % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            bytes
        })
        .collect()
}
