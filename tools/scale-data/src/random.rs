//! Random numbers that are the same for the same seed, on every machine.

/// Mixes a number so that every bit depends on every other; no two numbers give the same (SplitMix64's finaliser).
pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A stream of random numbers (SplitMix64): fast and even, of no use for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream that belongs to a seed and a subject: streams of other subjects are unrelated.
    pub(crate) fn new(seed: u64, subject: &[&str]) -> Self {
        let mut state = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
        for part in subject {
            // The length keeps "a", "bc" and "ab", "c" apart.
            state = mix(state ^ part.len() as u64);
            for &byte in part.as_bytes() {
                state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self { state: mix(state) }
    }

    /// The stream of one of many numbered things.
    pub(crate) fn nth(&self, n: u64) -> Self {
        Self { state: mix(self.state ^ mix(n.wrapping_add(0x632b_e59b_d9b4_e019))) }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from half to one and a half of `mean`, even about it.
    pub(crate) fn about(&mut self, mean: u64) -> u64 {
        mean - mean / 2 + self.below(mean / 2 * 2 + 1)
    }

    /// 32 lower-case hexadecimal digits.
    pub(crate) fn uuid(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// Random bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_apart() {
        let uuid = |seed, subject: &[&str]| Random::new(seed, subject).uuid();
        assert_eq!(uuid(1, &["a", "b"]), uuid(1, &["a", "b"]));
        assert_ne!(uuid(1, &["a", "b"]), uuid(2, &["a", "b"]));
        assert_ne!(uuid(1, &["a", "b"]), uuid(1, &["ab", ""]));
        let stream = Random::new(1, &[]);
        assert_ne!(stream.nth(0).next(), stream.nth(1).next());
    }

    #[test]
    fn numbers_about_a_mean() {
        let mut random = Random::new(3, &[]);
        let numbers: Vec<u64> = (0..10_000).map(|_| random.about(101)).collect();
        assert_eq!((numbers.iter().min(), numbers.iter().max()), (Some(&51), Some(&151)));
        let mean = numbers.iter().sum::<u64>() / 10_000;
        assert!((99..=103).contains(&mean), "{mean}");
        assert_eq!((random.about(0), random.about(1)), (0, 1));
    }
}
