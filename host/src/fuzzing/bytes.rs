//! Decisions out of bytes: what a fuzzer changes, a target reads as numbers.

/// Bytes that are used up from the front; zeros follow them.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.u64_of(1) as u8
    }

    pub(crate) fn u16(&mut self) -> u16 {
        self.u64_of(2) as u16
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.u64_of(4) as u32
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.u64_of(8)
    }

    /// Up to 255 bytes, as many as the next byte says.
    pub(crate) fn short(&mut self) -> &'a [u8] {
        let count = self.u8().into();
        self.take(count)
    }

    fn u64_of(&mut self, count: usize) -> u64 {
        let mut number = [0; 8];
        let taken = self.take(count);
        number[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(number)
    }
}
