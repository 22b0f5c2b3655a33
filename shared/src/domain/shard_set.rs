//! The members of one shard, as 65,536 bits.

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

use super::{Block, Shard};

const WORDS: usize = 1024;
const WORDS_PER_BLOCK: usize = 4;

/// A set of places within one shard. 8 KB, whatever it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct ShardSet(Box<[u64; WORDS]>);

impl ShardSet {
    /// The places below `count`, which may be the whole shard (65,536) or more.
    pub fn below(count: u32) -> Self {
        let mut set = Self::default();
        let count = count.min(Shard::SIZE) as usize;
        set.0[..count / 64].fill(u64::MAX);
        if !count.is_multiple_of(64) {
            set.0[count / 64] = (1 << (count % 64)) - 1;
        }
        set
    }

    /// Adds a place.
    pub fn insert(&mut self, low: u16) {
        self.0[usize::from(low) / 64] |= 1 << (low % 64);
    }

    /// Adds the members of one block: 32 bytes, the lowest place in the lowest bit of the first.
    pub fn insert_block(&mut self, block: Block, bitmap: &[u8; 32]) {
        let first = usize::from(block.0) * WORDS_PER_BLOCK;
        let (words, _) = bitmap.as_chunks::<8>();
        for (word, bytes) in self.0[first..first + WORDS_PER_BLOCK].iter_mut().zip(words) {
            *word |= u64::from_le_bytes(*bytes);
        }
    }

    /// Whether a place is in the set.
    pub fn contains(&self, low: u16) -> bool {
        self.0[usize::from(low) / 64] & 1 << (low % 64) != 0
    }

    /// How many places are in the set.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether no place is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many places of one block are in the set.
    pub fn len_of(&self, block: Block) -> u32 {
        let first = usize::from(block.0) * WORDS_PER_BLOCK;
        self.0[first..first + WORDS_PER_BLOCK].iter().map(|word| word.count_ones()).sum()
    }

    /// The places, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                rest &= rest.checked_sub(1)?;
                Some((index * 64) as u16 + bit as u16)
            })
        })
    }
}

impl Default for ShardSet {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl FromIterator<u16> for ShardSet {
    fn from_iter<I: IntoIterator<Item = u16>>(lows: I) -> Self {
        let mut set = Self::default();
        lows.into_iter().for_each(|low| set.insert(low));
        set
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl BitAnd<&ShardSet> for ShardSet {
    type Output = Self;

    fn bitand(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
        self
    }
}

impl BitOr<&ShardSet> for ShardSet {
    type Output = Self;

    fn bitor(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word |= other);
        self
    }
}

impl Sub<&ShardSet> for ShardSet {
    type Output = Self;

    fn sub(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= !other);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn below_counts_from_the_first_place() {
        for count in [0, 1, 63, 64, 65, 65_535, 65_536] {
            let set = ShardSet::below(count);
            assert_eq!(set.len(), count);
            assert_eq!(set.iter().map(u32::from).max(), count.checked_sub(1));
        }
        assert_eq!(ShardSet::below(u32::MAX).len(), Shard::SIZE);
    }

    #[test]
    fn a_blocks_bitmap_lands_in_its_block() {
        let mut bitmap = [0_u8; 32];
        bitmap[0] = 0b0000_0001;
        bitmap[31] = 0b1000_0000;
        let mut set = ShardSet::default();
        set.insert_block(Block(2), &bitmap);
        assert_eq!(set.iter().collect::<Vec<_>>(), [512, 767]);
        assert_eq!((set.len_of(Block(2)), set.len_of(Block(1))), (2, 0));
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in(lows in prop::collection::btree_set(any::<u16>(), 0..200)) {
            let set: ShardSet = lows.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), lows.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len() as usize, lows.len());
            prop_assert!(lows.iter().all(|low| set.contains(*low)));
        }
    }
}
