//! Windows: ranges of a guest's memory through which views are seen, used again and again.
//!
//! Linear memory only grows. A view that went away leaves its range behind, and the next view takes it, or an
//! instance that maps one view per call would come to the end of its 4 GiB. Ranges are whole pages of linear memory;
//! neighbours that are free become one.
//!
//! A range in which no view lies is read-only zeros, and does not count as memory of the guest: it cannot be used as
//! such. This file decides about numbers; [`super::views`] maps.

use std::ops::Range;

use crate::sandbox::engine::WASM_PAGE_BYTES;

/// Most bytes of an instance's windows together. What is left of the 4 GiB is for the guest's own memory.
pub(super) const WINDOW_BYTES_MAX: u64 = 3 << 30;

/// The ranges of one instance, by address.
#[derive(Debug, Default)]
pub(super) struct Windows {
    windows: Vec<Window>,
}

/// A range of whole pages.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    /// Bytes of linear memory.
    bytes: Range<u64>,
    holds: Holds,
}

/// What a range holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Zeros, to be read only.
    Nothing,
    /// A view. These bytes from the range's start on may be written to, all others may not.
    View { writable: (u64, u64) },
}

/// Where the room for a view is to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It begins at this address, and is taken.
    Taken(u64),
    /// The memory has to grow by so many pages first.
    Grow(u64),
    /// There would be more than [`WINDOW_BYTES_MAX`].
    TooMuch,
}

impl Windows {
    /// Whether there has never been one.
    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Finds room of `bytes` for a view.
    ///
    /// The smallest free range that is large enough, so that large ones stay for large views. Nothing in it may be
    /// written to before [`open`](Self::open) says so.
    pub(super) fn take(&mut self, bytes: u64) -> Room {
        let pages = bytes.div_ceil(WASM_PAGE_BYTES).max(1);
        let wanted = pages * WASM_PAGE_BYTES;
        let fitting = |window: &&(usize, u64)| window.1 >= wanted;
        let free = self.windows.iter().enumerate().filter(|(_, window)| window.holds == Holds::Nothing);
        let sizes: Vec<_> =
            free.map(|(index, window)| (index, window.bytes.end - window.bytes.start)).collect();
        let Some(&(index, _)) = sizes.iter().filter(fitting).min_by_key(|(_, size)| *size) else {
            let total: u64 = self.windows.iter().map(|window| window.bytes.end - window.bytes.start).sum();
            return if total + wanted > WINDOW_BYTES_MAX { Room::TooMuch } else { Room::Grow(pages) };
        };
        let Window { bytes, .. } = &mut self.windows[index];
        let (start, rest) = (bytes.start, bytes.start + wanted..bytes.end);
        bytes.end = rest.start;
        self.windows[index].holds = Holds::View { writable: (0, 0) };
        if !rest.is_empty() {
            self.windows.insert(index + 1, Window { bytes: rest, holds: Holds::Nothing });
        }
        Room::Taken(start)
    }

    /// Adds a range by which the memory has grown just now; it is free.
    pub(super) fn add(&mut self, bytes: Range<u64>) {
        self.windows.push(Window { bytes, holds: Holds::Nothing });
        // Whoever grows memory gets the highest address yet.
        self.join_free();
    }

    /// Lets bytes of the room that begins at `start` be written to, counted from there.
    pub(super) fn open(&mut self, start: u64, bytes: &Range<u64>) {
        if let Ok(index) = self.windows.binary_search_by_key(&start, |window| window.bytes.start) {
            self.windows[index].holds = Holds::View { writable: (bytes.start, bytes.end) };
        }
    }

    /// Gives back the room that begins at `start`, and says which bytes it was.
    pub(super) fn free(&mut self, start: u64) -> Option<Range<u64>> {
        let index = self.windows.binary_search_by_key(&start, |window| window.bytes.start).ok()?;
        let window = &mut self.windows[index];
        if window.holds == Holds::Nothing {
            return None;
        }
        window.holds = Holds::Nothing;
        let bytes = window.bytes.clone();
        self.join_free();
        Some(bytes)
    }

    /// Whether any of these bytes lies in a window and may not be written to.
    pub(super) fn protect(&self, start: u64, length: u64) -> bool {
        if length == 0 {
            return false;
        }
        let end = start + length;
        let first = self.windows.partition_point(|window| window.bytes.end <= start);
        self.windows[first..].iter().take_while(|window| window.bytes.start < end).any(|window| {
            let (from, to) = match window.holds {
                Holds::Nothing => (0, 0),
                Holds::View { writable } => writable,
            };
            let base = window.bytes.start;
            let (touched_from, touched_to) = (start.max(base), end.min(window.bytes.end));
            touched_from < base + from || touched_to > base + to
        })
    }

    /// Takes all ranges out, neighbours as one.
    pub(super) fn clear(&mut self) -> Vec<Range<u64>> {
        for window in &mut self.windows {
            window.holds = Holds::Nothing;
        }
        self.join_free();
        self.windows.drain(..).map(|window| window.bytes).collect()
    }

    fn join_free(&mut self) {
        self.windows.dedup_by(|next, window| {
            let joins = next.holds == Holds::Nothing
                && window.holds == Holds::Nothing
                && window.bytes.end == next.bytes.start;
            if joins {
                window.bytes.end = next.bytes.end;
            }
            joins
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = WASM_PAGE_BYTES;

    /// Windows over pages 10 to 20.
    fn ten_pages() -> Windows {
        let mut windows = Windows::default();
        windows.add(10 * PAGE..20 * PAGE);
        windows
    }

    #[test]
    fn room_is_used_again() {
        let mut windows = ten_pages();
        for _ in 0..1000 {
            assert_eq!(windows.take(4 * PAGE), Room::Taken(10 * PAGE));
            assert_eq!(windows.take(PAGE + 1), Room::Taken(14 * PAGE));
            assert_eq!(windows.take(5 * PAGE), Room::Grow(5));
            assert_eq!(windows.free(10 * PAGE), Some(10 * PAGE..14 * PAGE));
            assert_eq!(windows.free(14 * PAGE), Some(14 * PAGE..16 * PAGE));
        }
        let all = 10 * PAGE..20 * PAGE;
        assert_eq!(windows.clear(), vec![all]);
        assert!(windows.is_empty());
    }

    #[test]
    fn the_smallest_room_that_fits_is_taken() {
        let mut windows = ten_pages();
        assert_eq!(windows.take(6 * PAGE), Room::Taken(10 * PAGE));
        assert_eq!(windows.take(1), Room::Taken(16 * PAGE));
        windows.free(10 * PAGE);
        assert_eq!(windows.take(2 * PAGE), Room::Taken(17 * PAGE));
        assert_eq!(windows.take(6 * PAGE), Room::Taken(10 * PAGE));
    }

    #[test]
    fn room_is_bounded() {
        let mut windows = ten_pages();
        assert_eq!(windows.take(WINDOW_BYTES_MAX - 10 * PAGE), Room::Grow(WINDOW_BYTES_MAX / PAGE - 10));
        assert_eq!(windows.take(WINDOW_BYTES_MAX - 10 * PAGE + 1), Room::TooMuch);
    }

    #[test]
    fn only_a_view_for_writing_may_be_written_to_and_only_where_it_lies() {
        let mut windows = ten_pages();
        let Room::Taken(start) = windows.take(PAGE) else { panic!("there is room") };
        assert!(windows.protect(start, 1), "nothing may be written before the view is there");
        windows.open(start, &(0..4096));
        let cases = [
            (start - 8, 8, false),
            (start, 4096, false),
            (start, 4097, true),
            (start - 1, 2, false),
            (start + 4096, 1, true),
            (start + PAGE, 1, true),
            (20 * PAGE - 1, 1, true),
            (20 * PAGE, 100, false),
            (20 * PAGE - 1, 100, true),
            (start + 5000, 0, false),
        ];
        for (address, length, expected) in cases {
            assert_eq!(windows.protect(address, length), expected, "{address} + {length}");
        }
        windows.open(start, &(4096..8192));
        let cases = [(start + 4096, 4096, false), (start + 4095, 2, true), (start + 8191, 2, true)];
        for (address, length, expected) in cases {
            assert_eq!(windows.protect(address, length), expected, "{address} + {length}");
        }
    }

    #[test]
    fn room_that_is_free_or_unknown_is_not_freed() {
        let mut windows = ten_pages();
        assert_eq!(windows.free(10 * PAGE), None);
        assert_eq!(windows.free(11 * PAGE), None);
    }
}
