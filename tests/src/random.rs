//! Numbers that look random and are the same in every run.

/// Distance between two states of [`SplitMix`].
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of even numbers without visible order (SplitMix64). The field is the seed.
#[derive(Debug, Clone)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// Returns the next number of the stream.
    #[expect(clippy::should_implement_trait, reason = "the stream has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        finish(self.0)
    }

    /// Returns the next number of the stream, reduced to less than `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Returns the number at this position, counted from 1, of the stream that begins with `SplitMix(0)`.
pub fn nth(position: u64) -> u64 {
    finish(position.wrapping_mul(GAMMA))
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Numbers of a linear congruential generator. Their upper bits look random, and compress badly.
pub fn congruential(seed: u64) -> impl Iterator<Item = u64> {
    let next = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(Some(seed), next).skip(1)
}

/// Bytes that no compression makes fewer of.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    congruential(seed).take(length).map(|n| (n >> 56) as u8).collect()
}

/// Text that is hard to compress: one of 64 ASCII characters at every place.
pub fn text(seed: u64, length: usize) -> String {
    congruential(seed).take(length).map(|n| char::from(b'0' + ((n >> 58) as u8))).collect()
}
