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
//! | view to watch | the array's, read-only | the same; those who may only read have no other |
//! | view for writing | the array's | |
//! | around a view, up to the window's ends | private zeros, read-only | |
//!
//! A large view begins where in its window the array's huge pages fit.
//!
//! A view shows whole pages (4 KiB), so that elements next to those that were asked for are visible. That gives
//! nothing away: who may map some elements of an array may map all of them.
//!
//! Host functions ask [`Views::is_protected`] before they write, because a fault of theirs would not be a trap.
//! wasmtime's own functions for bulk memory do not ask: a guest that fills or copies over a view for reading ends its
//! worker, and with it its call.
//!
//! # Views of those who may only read
//!
//! A grant for reading gives no power over writers: neither could such a worker set the mark that keeps them away (a
//! lease), nor is anyone to set it for the worker. If the supervisor did, for as long as the worker lives, nobody could
//! write to an array that somebody may read; if it did at the worker's request, a hostile reader would stop all writers
//! for as long as its call may run. So such a grant gives views to *watch*: of atomic loads, each of a whole element,
//! whoever stores meanwhile. They need no lease, because nothing that the reader's compiler may assume depends on one.
//! A view for plain reading does, and is refused. Who needs it is granted the array for writing.
//!
//! That the pages cannot be written to does not depend on this file: the worker's own mapping comes from a descriptor
//! that is open for reading, and no right can be added to what was mapped by it.
//!
//! # What a call leaves behind
//!
//! At a call's end its views go, and so does the sense of their addresses, whatever the guest has kept of them. In the
//! next call, one of these may be where another view is. [`Leftover`] says whether the guest can know better than to use
//! it; if not, its instance has no next call.
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
use crate::shm::huge_pages::{HUGE_PAGE_BYTES, displacement};
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
    mode: ViewMode,
    /// None of a view to watch.
    lease: Option<Lease>,
}

/// What a call has not unmapped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leftover {
    /// Nothing.
    Nothing,
    /// Views for atomic operations only. A guest that keeps count of its calls can keep from using them.
    Atomics,
    /// Among others, views for plain loads and stores. Nothing keeps a guest from using what it has of them.
    Slices,
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
    let place = match take_place(caller, memory, &wanted) {
        Ok(place) => place,
        Err(trouble) => {
            wanted.unlease(lease);
            return Err(trouble);
        }
    };
    let views = &mut caller.data_mut().shared.views;
    let address = place.pages + wanted.skipped as u64;
    views.open.push(View { address, window: place.window, object, mode: wanted.mode, lease });
    if let Err(error) = views.show(&place, &wanted) {
        views.unmap(&belongings, address);
        return Err(no_view(format!("cannot be mapped here: the system refused ({error})")));
    }
    Ok(address)
}

/// Where in the guest's memory a view goes.
struct Place {
    /// Where its window begins.
    window: u64,
    /// Where its pages begin: behind that as far as huge pages need it.
    pages: u64,
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

/// Takes room for a view, with some to spare where its pages may be huge.
fn take_place(caller: &mut Caller<'_, Guest>, memory: Memory, wanted: &Wanted<'_>) -> Result<Place, Trouble> {
    let bytes = wanted.pages.len() as u64;
    if wanted.pages.len() >= HUGE_PAGE_BYTES
        && let Ok(window) = take_window(caller, memory, bytes + HUGE_PAGE_BYTES as u64)
    {
        let address = memory.data_ptr(&*caller).addr() + window as usize;
        return Ok(Place { window, pages: window + displacement(address, wanted.pages.start) as u64 });
    }
    let window = take_window(caller, memory, bytes)?;
    Ok(Place { window, pages: window })
}

/// Takes room of `bytes`, growing the memory where no former view left enough.
fn take_window(caller: &mut Caller<'_, Guest>, memory: Memory, bytes: u64) -> Result<u64, Trouble> {
    match caller.data_mut().shared.views.windows.take(bytes) {
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
    match caller.data_mut().shared.views.windows.take(bytes) {
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

fn is_for_writing(mode: ViewMode) -> bool {
    matches!(mode, ViewMode::Shared | ViewMode::Exclusive)
}

fn no_view(words: impl Into<std::borrow::Cow<'static, str>>) -> Trouble {
    Trouble::words(Refusal::NoView, words)
}

impl<'a> Wanted<'a> {
    fn check(belonging: &'a Belonging, mode: i32, (start, end): (i64, i64)) -> Result<Self, Trouble> {
        let Object::Cells(cells) = &belonging.object else { return Err(Refusal::WrongKind.into()) };
        let mode = ViewMode::from_code(mode)
            .ok_or_else(|| Trouble::invalid("cannot be mapped in this mode: there are 0 to 3"))?;
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
            match mode {
                ViewMode::Shared | ViewMode::Exclusive => return Err(Refusal::ReadOnly.into()),
                ViewMode::ReadOnly => {
                    return Err(no_view(
                        "cannot be mapped for plain reading: that keeps writers away, which a grant for reading does \
                         not allow; map it for atomic loads, read its elements, or grant it for writing",
                    ));
                }
                ViewMode::Watched => {}
            }
        }
        let size = cells.element().bytes();
        let first = cells.elements_at() + from as usize * size;
        let last = cells.elements_at() + to as usize * size;
        let pages = first / PAGE_BYTES * PAGE_BYTES..last.next_multiple_of(PAGE_BYTES);
        Ok(Self { belonging, cells, mode, elements: from..to, skipped: first - pages.start, pages })
    }

    /// Takes the lease that the view needs.
    fn lease(&self) -> Result<Option<Lease>, Trouble> {
        let elements = self.elements.clone();
        let lease = match self.mode {
            ViewMode::Watched => self.cells.check_readable(elements).map(|()| None),
            mode => self.cells.lease(self.belonging.party, mode, elements).map(Some),
        };
        let about = || About::Elements(self.elements.start as i64, self.elements.end as i64);
        lease.map_err(|refusal| Trouble::new(refusal, about()))
    }

    fn unlease(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            self.cells.unlease(self.belonging.party, lease);
        }
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

    /// Takes all views away, as a call's end demands, and says what there was. Their windows stay, for the next call's.
    pub(super) fn unmap_all(&mut self, belongings: &Belongings) -> Leftover {
        let mut leftover = Leftover::Nothing;
        while let Some(view) = self.open.pop() {
            leftover = leftover.max(match view.mode {
                ViewMode::Shared | ViewMode::Watched => Leftover::Atomics,
                ViewMode::ReadOnly | ViewMode::Exclusive => Leftover::Slices,
            });
            self.hide(belongings, view);
        }
        leftover
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
        if let (Object::Cells(cells), Some(lease)) = (&belonging.object, view.lease) {
            cells.unlease(belonging.party, lease);
        }
    }

    /// Maps an array's pages over a window that was taken for them.
    fn show(&mut self, place: &Place, wanted: &Wanted<'_>) -> std::io::Result<()> {
        let bytes = wanted.pages.len();
        let from = wanted.region().at(wanted.pages.start, bytes).as_ptr();
        let to = self.at(place.pages);
        // SAFETY: an old size of zero asks for a second mapping of the same shared pages and leaves the first alone.
        // `from` is a page's start and `bytes` whole pages of the region, as `at` has checked. The target lies in a
        // window: whole pages of this instance's linear memory which were made for views, which the guest's own
        // memory does not extend to, and into which no Rust reference points, because host functions copy by
        // addresses. It stays inside: the window was taken for this many bytes, and for a huge page more where the view
        // may begin behind the window's start.
        unsafe { rustix::mm::mremap_fixed(from.cast(), 0, bytes, MremapFlags::MAYMOVE, to) }?;
        let is_read_only = !is_for_writing(wanted.mode);
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
        if !is_read_only {
            let first = place.pages - place.window;
            self.windows.open(place.window, &(first..first + bytes as u64));
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
