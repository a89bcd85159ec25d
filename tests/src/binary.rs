//! Modules in binary form, put together by hand: nothing else lets one write what is not allowed.

/// A module that grows by sections.
pub struct Binary(Vec<u8>);

impl Default for Binary {
    fn default() -> Self {
        Self(b"\0asm\x01\0\0\0".to_vec())
    }
}

impl Binary {
    /// A module whose task `attack` returns zero, begun by the sections for that: types, functions, exports.
    /// [`Binary::bodies`] must follow.
    #[must_use]
    pub fn harmless() -> Self {
        const ATTACK: &[u8] = b"\x06attack\0\0";
        Self::default()
            .section(1, &[&[1, 0x60, 0, 1, 0x7e]])
            .section(3, &[&[1, 0]])
            .section(7, &[&[1], ATTACK])
    }

    /// The code of [`Binary::harmless`].
    #[must_use]
    pub fn bodies(self) -> Self {
        self.section(10, &[&[1, 4, 0, 0x42, 0, 0x0b]])
    }

    /// Adds a section.
    #[must_use]
    pub fn section(mut self, id: u8, parts: &[&[u8]]) -> Self {
        self.0.push(id);
        self.0.extend(number(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
        self
    }

    /// Adds a custom section.
    #[must_use]
    pub fn custom(self, name: &str, contents: &[u8]) -> Self {
        self.section(0, &[&number(name.len()), name.as_bytes(), contents])
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The module.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// An unsigned number in as few bytes as it takes (LEB128).
#[must_use]
pub fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A vector: how many items, and all of them the same.
#[must_use]
pub fn many(count: usize, item: &[u8]) -> Vec<u8> {
    [number(count), item.repeat(count)].concat()
}
