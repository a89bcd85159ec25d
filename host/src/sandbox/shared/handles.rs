//! Handles: the small numbers by which a call names the objects that it has opened.
//!
//! ```text
//! bits  0..10   place in the table
//! bits 10..31   which call of this instance, counted around
//! ```
//!
//! A handle that was kept beyond its call thus names nothing, instead of what another call has opened in its place.
//! Reaching an object by its handle is an index and a comparison, because counters are on the path of every call.

/// Objects that any call can have open at a time.
const HANDLES_MAX: usize = 1024;

const PLACE_BITS: u32 = HANDLES_MAX.ilog2();
const PLACE: u32 = (1 << PLACE_BITS) - 1;
/// Handles are never negative: negative answers are refusals.
const CALL: u32 = i32::MAX as u32 >> PLACE_BITS;

const _: () = assert!(HANDLES_MAX == 1 << PLACE_BITS);

/// What a call has opened.
#[derive(Debug)]
pub(super) struct Handles {
    /// Objects that a call may have open at a time.
    most: usize,
    call: u32,
    /// Numbers of the objects, by place; nothing where a handle was closed.
    open: Vec<Option<u32>>,
    /// Numbers of all objects that the call has opened, closed ones included: it may still hold something of them.
    touched: Vec<u32>,
}

impl Handles {
    /// None yet, and never more than `most` at a time, nor than there are numbers for.
    pub(super) fn new(most: u32) -> Self {
        Self { most: (most as usize).min(HANDLES_MAX), call: 0, open: Vec::new(), touched: Vec::new() }
    }

    /// Objects that a call may have open at a time.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A handle for an object; nothing when there are too many.
    pub(super) fn open(&mut self, object: usize) -> Option<i32> {
        let place = match self.open.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.open.len() < self.most => {
                self.open.push(None);
                self.open.len() - 1
            }
            None => return None,
        };
        self.open[place] = Some(object as u32);
        if !self.has_touched(object) {
            self.touched.push(object as u32);
        }
        Some((self.call << PLACE_BITS | place as u32) as i32)
    }

    /// Whether the call has opened this object before.
    pub(super) fn has_touched(&self, object: usize) -> bool {
        self.touched.contains(&(object as u32))
    }

    /// Whether the call has opened any object, closed again or not.
    pub(super) fn any(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The object of a handle.
    pub(super) fn object(&self, handle: i32) -> Option<usize> {
        let handle = handle as u32;
        if handle >> PLACE_BITS != self.call {
            return None;
        }
        self.open.get((handle & PLACE) as usize)?.map(|object| object as usize)
    }

    /// Forgets a handle; says whether there was one.
    pub(super) fn close(&mut self, handle: i32) -> bool {
        if self.object(handle).is_none() {
            return false;
        }
        self.open[(handle as u32 & PLACE) as usize] = None;
        true
    }

    /// Forgets all handles, as a call's end demands, and tells which objects the call had opened.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = usize> {
        if !self.touched.is_empty() {
            self.call = (self.call + 1) & CALL;
            self.open.clear();
        }
        self.touched.drain(..).map(|object| object as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_its_object_until_it_is_closed() {
        let mut handles = Handles::new(1024);
        let (first, second) = (handles.open(7).unwrap(), handles.open(8).unwrap());
        assert_eq!((handles.object(first), handles.object(second)), (Some(7), Some(8)));
        assert!(handles.close(first));
        assert!(!handles.close(first));
        assert_eq!((handles.object(first), handles.object(second)), (None, Some(8)));
        assert_eq!(handles.open(9), Some(first));
        assert_eq!(handles.clear().collect::<Vec<_>>(), [7, 8, 9]);
    }

    #[test]
    fn a_handle_of_a_former_call_names_nothing() {
        let mut handles = Handles::new(1024);
        for _ in 0..3 {
            let handle = handles.open(7).unwrap();
            assert_eq!(handles.clear().collect::<Vec<_>>(), [7]);
            assert_eq!(handles.object(handle), None);
            let next = handles.open(8).unwrap();
            assert!(next >= 0 && next != handle);
            assert_eq!((handles.object(handle), handles.object(next)), (None, Some(8)));
            assert_eq!(handles.clear().collect::<Vec<_>>(), [8]);
        }
    }

    #[test]
    fn only_so_many_are_open_at_a_time() {
        for (asked_for, most) in [(1024, HANDLES_MAX), (u32::MAX, HANDLES_MAX), (600, 600)] {
            let mut handles = Handles::new(asked_for);
            let all: Vec<i32> = (0..most).map(|_| handles.open(0).unwrap()).collect();
            assert_eq!(handles.open(0), None);
            handles.close(all[500]);
            assert_eq!(handles.open(1), Some(all[500]));
            assert_eq!(handles.clear().collect::<Vec<_>>(), [0, 1]);
        }
        assert_eq!(Handles::new(0).open(0), None);
    }

    #[test]
    fn numbers_that_are_no_handles_name_nothing() {
        let mut handles = Handles::new(1024);
        handles.open(0).unwrap();
        for number in [1, -1, i32::MIN, i32::MAX, 1 << PLACE_BITS] {
            assert_eq!(handles.object(number), None);
        }
    }
}
