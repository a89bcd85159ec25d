//! Views: elements of arrays that appear in a guest's own memory.
//!
//! A view lies in a [window](super::windows): the array's pages are mapped over a range by which the guest's memory
//! was grown. From then on loads and stores of the guest reach what all processes share, without a copy.
//!
//! # What must never happen
//!
//! The memory belongs to wasmtime's pool of instances, which clears a memory when its instance goes: some of it by
//! writing zeros, the rest by asking the kernel, which does neither clear nor unmap shared pages. A view that is
//! still there then would lose everybody's data in the first part, and be shown to the next tenant in the second.
//! So every window is plain memory again before the instance goes. Whoever takes an instance down calls
//! [`Views::leave`] while the instance is still there; and where nobody did, this value's drop does, which comes
//! first, too: `wasmtime::Store` drops its data before its instances. (`Store::into_data` is the exception: it lets
//! go of the instances first. It must not be called with a view or a window left.)
//!
//! If the kernel refuses to take a view away, the worker ends: nothing may go on with the pages in place.
//!
//! # What a window holds
//!
//! | state | pages | why |
//! |---|---|---|
//! | no view | private zeros, read-only | it is not counted as the guest's memory, so it must not serve as such |
//! | view for reading | the array's, read-only | a store is a wasm trap, like any store out of bounds |
//! | view for writing | the array's | |
//! | behind a view, up to the window's end | private zeros, read-only | |
//!
//! A view shows whole pages (4 KiB), so that elements next to those that were asked for are visible. That gives
//! nothing away: who may map some elements of an array may map all of them.
//!
//! Host functions ask [`Views::is_protected`] before they write, because a fault of theirs would not be a trap.
//! wasmtime's own functions for bulk memory do not ask: a guest that fills or copies over a view for reading ends its
//! worker, and with it its call.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;

use rustix::mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};
use wasmpool_abi::shared::{Refusal, ViewMode};
use wasmtime::{Caller, Memory};

use super::belongings::{Belonging, Belongings};
use super::trouble::Trouble;
use super::windows::{Room, WINDOW_BYTES_MAX, Windows};
use crate::sandbox::engine::WASM_PAGE_BYTES;
use crate::sandbox::guest::Guest;
use crate::shm::object::Object;
use crate::shm::object::cells::{Cells, Lease};
use crate::shm::object::ground::PAGE_BYTES;
use crate::shm::object::text::About;
use crate::shm::region::Region;

/// Largest view whose pages are entered into the page table at once. One by one they cost ten times as much, and more
/// than to sum what is on them; of a larger view, it is less likely that all are wanted.
const POPULATED_BYTES_MAX: usize = 256 << 20;

/// Views that a call can have at a time.
const VIEWS_MAX: usize = 256;

/// The views of one instance, and the windows that former ones left behind.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// Address at which the guest's memory begins; it never moves. 0 before the first view. Nobody but the kernel
    /// is told addresses made from it, so it is a number.
    base: usize,
    windows: Windows,
    open: Vec<View>,
}

#[derive(Debug)]
struct View {
    /// Where the guest finds the first element.
    address: u64,
    /// Where its window begins.
    window: u64,
    /// Number of the array.
    object: usize,
    lease: Lease,
}

/// What a view is to show.
struct Wanted<'a> {
    belonging: &'a Belonging,
    cells: &'a Cells,
    mode: ViewMode,
    elements: Range<u64>,
    /// Whole pages of the array's region that hold the elements.
    pages: Range<usize>,
    /// Bytes of the first page before the first element.
    skipped: usize,
}

/// Makes elements of an array appear in the guest's memory, and answers the address of the first.
pub(super) fn map(
    caller: &mut Caller<'_, Guest>,
    object: usize,
    mode: i32,
    elements: (i64, i64),
) -> Result<u64, Trouble> {
    let belongings = Arc::clone(&caller.data().shared.belongings);
    let wanted = Wanted::check(belongings.get(object), mode, elements)?;
    if caller.data().shared.views.open.len() >= VIEWS_MAX {
        let words = format!("cannot be mapped: the call has {VIEWS_MAX} views, which is the most; drop some");
        return Err(Trouble::words(Refusal::TooManyOpen, words));
    }
    let memory = memory(caller)?;
    let lease = wanted.lease()?;
    let window = match take_window(caller, memory, &wanted) {
        Ok(window) => window,
        Err(trouble) => {
            wanted.cells.unlease(wanted.belonging.party, lease);
            return Err(trouble);
        }
    };
    let views = &mut caller.data_mut().shared.views;
    let address = window + wanted.skipped as u64;
    views.open.push(View { address, window, object, lease });
    if let Err(error) = views.show(window, &wanted) {
        views.unmap(&belongings, address);
        return Err(no_view(format!("cannot be mapped here: the system refused ({error})")));
    }
    Ok(address)
}

/// The memory in which views can appear.
fn memory(caller: &mut Caller<'_, Guest>) -> Result<Memory, Trouble> {
    let Some(memory) = caller.data().memory else {
        return Err(no_view("cannot be mapped here: the module exports no memory named `memory`"));
    };
    let kind = memory.ty(&*caller);
    if kind.is_64() || kind.page_size() != WASM_PAGE_BYTES {
        return Err(no_view(
            "cannot be mapped here: the module's memory is not of the 32-bit kind with 64 KiB pages",
        ));
    }
    Ok(memory)
}

/// Takes room for a view, growing the memory where no former view left enough.
fn take_window(caller: &mut Caller<'_, Guest>, memory: Memory, wanted: &Wanted<'_>) -> Result<u64, Trouble> {
    let bytes = wanted.pages.len() as u64;
    let writable = if wanted.mode == ViewMode::ReadOnly { 0 } else { bytes };
    match caller.data_mut().shared.views.windows.take(bytes, writable) {
        Room::Taken(start) => return Ok(start),
        Room::Grow(pages) => grow(caller, memory, pages)?,
        Room::TooMuch => {
            let text = format!(
                "cannot be mapped here: views of one instance have {WINDOW_BYTES_MAX} bytes of room together; map \
                 fewer elements at a time"
            );
            return Err(no_view(text));
        }
    }
    match caller.data_mut().shared.views.windows.take(bytes, writable) {
        Room::Taken(start) => Ok(start),
        Room::Grow(_) | Room::TooMuch => unreachable!("the memory was grown by just this room"),
    }
}

/// Grows the memory by a window.
fn grow(caller: &mut Caller<'_, Guest>, memory: Memory, pages: u64) -> Result<(), Trouble> {
    caller.data_mut().looks_away = true;
    let grown = memory.grow(&mut *caller, pages);
    caller.data_mut().looks_away = false;
    let Ok(before) = grown else {
        let text = match memory.ty(&*caller).maximum() {
            Some(maximum) => format!(
                "cannot be mapped here: the module's memory may have no more than {maximum} pages, and {pages} more \
                 are needed; build it without a maximum"
            ),
            None => {
                format!("cannot be mapped here: the memory cannot grow by {pages} pages; map fewer elements")
            }
        };
        return Err(no_view(text));
    };
    let base = memory.data_ptr(&*caller).addr();
    let views = &mut caller.data_mut().shared.views;
    let start = before * WASM_PAGE_BYTES;
    views.base = base;
    views.windows.add(start..start + pages * WASM_PAGE_BYTES);
    views.cover(&(start..start + pages * WASM_PAGE_BYTES), ProtFlags::READ);
    Ok(())
}

fn no_view(words: impl Into<std::borrow::Cow<'static, str>>) -> Trouble {
    Trouble::words(Refusal::NoView, words)
}

impl<'a> Wanted<'a> {
    fn check(belonging: &'a Belonging, mode: i32, (start, end): (i64, i64)) -> Result<Self, Trouble> {
        let Object::Cells(cells) = &belonging.object else { return Err(Refusal::WrongKind.into()) };
        let mode = ViewMode::from_code(mode)
            .ok_or_else(|| Trouble::invalid("cannot be mapped in this mode: there are 0, 1 and 2"))?;
        let (Ok(from), Ok(to)) = (u64::try_from(start), u64::try_from(end)) else {
            return Err(Trouble::new(Refusal::OutOfRange, About::Elements(start, end)));
        };
        if to > cells.length() {
            return Err(Trouble::new(Refusal::OutOfRange, About::Elements(start, end)));
        }
        if from >= to {
            return Err(Trouble::invalid(
                "cannot be mapped without any elements: the end comes after the start",
            ));
        }
        if !cells.ground().is_writable() {
            return Err(match mode {
                ViewMode::Shared | ViewMode::Exclusive => Refusal::ReadOnly.into(),
                ViewMode::ReadOnly => no_view(
                    "cannot be mapped: a view keeps writers away by a mark, which a grant for reading cannot set; \
                     grant it for writing, or read its elements",
                ),
            });
        }
        let size = cells.element().bytes();
        let first = cells.elements_at() + from as usize * size;
        let last = cells.elements_at() + to as usize * size;
        let pages = first / PAGE_BYTES * PAGE_BYTES..last.next_multiple_of(PAGE_BYTES);
        Ok(Self { belonging, cells, mode, elements: from..to, skipped: first - pages.start, pages })
    }

    fn lease(&self) -> Result<Lease, Trouble> {
        let lease = self.cells.lease(self.belonging.party, self.mode, self.elements.clone());
        let about = || About::Elements(self.elements.start as i64, self.elements.end as i64);
        lease.map_err(|refusal| Trouble::new(refusal, about()))
    }

    fn region(&self) -> &Region {
        self.cells.ground().region()
    }
}

impl Views {
    /// Whether some of these bytes of guest memory may not be written to.
    pub(crate) fn is_protected(&self, address: u32, length: usize) -> bool {
        !self.windows.is_empty() && self.windows.protect(u64::from(address), length as u64)
    }

    /// Whether there is or was a view: pages of the guest's memory may be shared.
    pub(crate) fn have_been(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Takes the view away whose first element is at `address`; says whether there was one.
    pub(super) fn unmap(&mut self, belongings: &Belongings, address: u64) -> bool {
        let Some(index) = self.open.iter().position(|view| view.address == address) else { return false };
        let view = self.open.swap_remove(index);
        self.hide(belongings, view);
        true
    }

    /// Takes all views away, as a call's end demands. Their windows stay, for the next call's.
    pub(super) fn unmap_all(&mut self, belongings: &Belongings) {
        while let Some(view) = self.open.pop() {
            self.hide(belongings, view);
        }
    }

    /// Turns all windows into plain memory, so that the instance may go.
    ///
    /// The leases of views that are still there are not given back here: that is the call's end, which was before.
    pub(super) fn leave(&mut self) {
        self.open.clear();
        for window in self.windows.clear() {
            self.cover(&window, ProtFlags::READ | ProtFlags::WRITE);
        }
    }

    fn hide(&mut self, belongings: &Belongings, view: View) {
        if let Some(window) = self.windows.free(view.window) {
            self.cover(&window, ProtFlags::READ);
        }
        // Only now, when the guest can no longer touch them, may others have the elements.
        let belonging = belongings.get(view.object);
        if let Object::Cells(cells) = &belonging.object {
            cells.unlease(belonging.party, view.lease);
        }
    }

    /// Maps an array's pages over a window that was taken for them.
    fn show(&self, window: u64, wanted: &Wanted<'_>) -> std::io::Result<()> {
        let bytes = wanted.pages.len();
        let from = wanted.region().at(wanted.pages.start, bytes).as_ptr();
        let to = self.at(window);
        // SAFETY: an old size of zero asks for a second mapping of the same shared pages and leaves the first alone.
        // `from` is a page's start and `bytes` whole pages of the region, as `at` has checked. The target lies in a
        // window: whole pages of this instance's linear memory which were made for views, which the guest's own
        // memory does not extend to, and into which no Rust reference points, because host functions copy by
        // addresses. It stays inside, for the window was taken for this many bytes.
        unsafe { rustix::mm::mremap_fixed(from.cast(), 0, bytes, MremapFlags::MAYMOVE, to) }?;
        let is_read_only = wanted.mode == ViewMode::ReadOnly;
        if is_read_only {
            // SAFETY: just these pages were mapped just now, and the guest does not run meanwhile.
            unsafe { rustix::mm::mprotect(to, bytes, MprotectFlags::READ) }?;
        }
        if bytes <= POPULATED_BYTES_MAX {
            let populate = if is_read_only { Advice::LinuxPopulateRead } else { Advice::LinuxPopulateWrite };
            // SAFETY: the same pages. They are there already; only the page table learns of them. A kernel that does
            // not know how lets them fault one by one.
            let _ = unsafe { rustix::mm::madvise(to, bytes, populate) };
        }
        Ok(())
    }

    /// Maps private zeros over bytes of windows, whatever is there.
    ///
    /// # Panics
    ///
    /// When the kernel refuses. It ends the worker, as it must: the pages that should be gone are still there.
    fn cover(&self, bytes: &Range<u64>, rights: ProtFlags) {
        let length = (bytes.end - bytes.start) as usize;
        // Not reserved: most of a window is never touched.
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: the range lies in windows, as for `show`; nothing but views and zeros is ever there.
        let covered = unsafe { rustix::mm::mmap_anonymous(self.at(bytes.start), length, rights, flags) };
        if let Err(error) = covered {
            panic!("the views at {bytes:?} of a guest's memory cannot be taken away: {error}");
        }
    }

    /// The host's address of a window's byte.
    fn at(&self, address: u64) -> *mut c_void {
        assert!(self.base != 0, "there is no window before the memory is known");
        std::ptr::without_provenance_mut(self.base + address as usize)
    }
}

impl Drop for Views {
    fn drop(&mut self) {
        self.leave();
    }
}
