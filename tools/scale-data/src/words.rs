//! Text of random words, which compresses about as well as what people store.

use crate::random::Random;

/// Number of words, a power of two.
const WORDS: u64 = 4096;

/// Invented words of 2 to 10 letters. Some are common and most are rare, as in a real language.
#[derive(Debug)]
pub(crate) struct Words {
    /// The words, one after another, each followed by a space.
    letters: Vec<u8>,
    /// Where each word begins, and where the last one ends.
    starts: Vec<u32>,
}

impl Words {
    /// The vocabulary of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, &["words"]);
        let (mut letters, mut starts) = (Vec::new(), vec![0]);
        for _ in 0..WORDS {
            for _ in 0..2 + random.below(9) {
                letters.push(b'a' + random.below(26) as u8);
            }
            letters.push(b' ');
            starts.push(letters.len() as u32);
        }
        Self { letters, starts }
    }

    /// A word with the space after it. The product of two even numbers favours the small ones.
    fn spaced(&self, bits: u64) -> &[u8] {
        let i = (((bits % WORDS) * (bits / WORDS % WORDS)) / WORDS) as usize;
        &self.letters[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    /// A word.
    pub(crate) fn word(&self, random: &mut Random) -> &[u8] {
        let spaced = self.spaced(random.next());
        &spaced[..spaced.len() - 1]
    }

    /// Text of exactly `len` bytes.
    pub(crate) fn text(&self, random: &mut Random, len: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(len + 24);
        while text.len() < len {
            let bits = random.next();
            text.extend_from_slice(self.spaced(bits));
            text.extend_from_slice(self.spaced(bits >> 24));
        }
        text.truncate(len);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn text_of_the_wanted_length_and_density() {
        let words = Words::new(1);
        let mut random = Random::new(1, &["test"]);
        assert!(words.text(&mut random, 0).is_empty());
        let text = words.text(&mut random, 1 << 20);
        assert_eq!(text.len(), 1 << 20);
        assert!(text.iter().all(|b| matches!(b, b' ' | b'a'..=b'z')));

        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        let share = gzip.finish().unwrap().len() as f64 / text.len() as f64;
        assert!((0.25..0.5).contains(&share), "{share}");
    }
}
