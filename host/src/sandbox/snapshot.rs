//! Snapshots: an instance that its initializer has run in, written into a new module that others start from.
//!
//! ```text
//!  supervisor             compiler process                   worker of its own
//!  ──────────             ────────────────                   ─────────────────
//!  module's bytes ──────► instrument: export all memories
//!                         and changeable globals; compile
//!  seals the code ─────────────────────────────────────────► runs start, `_initialize`, initializer;
//!  makes a region ─────────────────────────────────────────► `copy`: memories and globals into the region
//!  module's bytes,
//!  the region     ──────► `warm`: instrument again, read
//!                         the region, rewrite; compile
//!  seals the code ─────────────────────────────────────────► all other workers
//! ```
//!
//! The rewriting is Wizer's, as wasmtime keeps it. Its own way to run would compile and run in one process; here each
//! part stays where it is safe. **Hostile bytes are parsed and written in the compiler process alone**, within its
//! limits of memory and time, and thrown away with it. **Guest code runs in a worker alone**, which has the rights of any
//! worker of the module (less shared objects) and the limits of any call; it has no compiler, so what it runs has to be
//! instrumented before. **The supervisor reads none of it**: it passes descriptors on, and takes machine code, as for any
//! module. A worker that lies about its instance makes another module than it should: its own, which runs in workers
//! that are just as confined.
//!
//! Two things bound what comes back: the region has room for what an instance may have and no more, and a module that
//! would be larger than modules may be is not compiled.
//!
//! # What a snapshot holds
//!
//! Memories and globals, as they were when the initializer had ended. The new module has neither a start function nor
//! `_initialize`, so neither they nor the initializer run again: what they drew from clocks and chance is the same in all
//! instances. A module whose instances can change anything else is refused when it is instrumented: instructions that
//! change tables or drop segments, changeable globals with references. What the host keeps for an instance cannot be
//! held, so an initializer must not leave files open ([`Tenant`](super::tenant)), nor open shared objects at all.
//!
//! # The region
//!
//! ```text
//! 0        u64 number of globals, u64 number of memories
//! 16       for each global:  u64 its index, u128 its bits
//!          for each memory:  u64 its length
//! 1 MiB    the memories, end to end; pages of zeros are left out, which reads the same
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::{Extern, Instance, Module, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use super::guest::Guest;
use crate::shm::region::Region;

/// What a global's and a memory's exports begin with in an instrumented module.
const GLOBAL: &str = "__wizer_global_";
const MEMORY: &str = "__wizer_memory_";

/// Room for everything but the memories.
const HEAD_BYTES: usize = 1 << 20;

/// Globals that have room there; what is left is more than memories need.
const GLOBALS_MAX: usize = 40_000;

/// Bytes of a global in the head.
const GLOBAL_BYTES: usize = 24;

/// Bytes that are looked at for whether they are zeros, and of which the system keeps a page or none.
const PAGE_BYTES: usize = 4096;

/// Bytes of a region that holds any instance with so much memory.
pub(crate) fn region_bytes(memory_bytes_max: u64) -> u64 {
    HEAD_BYTES as u64 + memory_bytes_max.next_multiple_of(PAGE_BYTES as u64)
}

/// Copies what an instance of an instrumented module consists of.
///
/// # Errors
///
/// When there is no room for it, in words.
pub(super) fn copy(
    store: &mut Store<Guest>,
    instance: &Instance,
    module: &Module,
    region: &Region,
) -> Result<(), String> {
    let (mut head, mut memories) = (Vec::new(), Vec::new());
    for export in module.exports() {
        let name = export.name();
        if let Some(index) = name.strip_prefix(GLOBAL).and_then(|index| index.parse::<u64>().ok()) {
            let global = instance.get_global(&mut *store, name).ok_or("a global is missing")?;
            head.extend_from_slice(&index.to_le_bytes());
            head.extend_from_slice(&bits(&global.get(&mut *store))?.to_le_bytes());
        } else if name.starts_with(MEMORY) {
            let memory = instance.get_export(&mut *store, name).and_then(Extern::into_memory);
            memories.push(memory.ok_or("a memory is missing")?);
        }
    }
    let globals = head.len() / GLOBAL_BYTES;
    if globals > GLOBALS_MAX {
        return Err(too_many_globals(globals));
    }
    head.splice(0..0, [globals as u64, memories.len() as u64].into_iter().flat_map(u64::to_le_bytes));
    let mut at = HEAD_BYTES;
    for memory in memories {
        let bytes = memory.data(&*store);
        head.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        if bytes.len() > region.len() - at {
            return Err("its memory is larger than it may be".to_owned());
        }
        for (page, start) in bytes.chunks(PAGE_BYTES).zip((at..).step_by(PAGE_BYTES)) {
            if page.iter().any(|byte| *byte != 0) {
                region.write(start, page);
            }
        }
        at += bytes.len();
    }
    region.write(0, &head);
    Ok(())
}

fn bits(value: &Val) -> Result<u128, String> {
    Ok(match value {
        Val::I32(value) => u128::from(value.cast_unsigned()),
        Val::I64(value) => u128::from(value.cast_unsigned()),
        Val::F32(bits) => u128::from(*bits),
        Val::F64(bits) => u128::from(*bits),
        Val::V128(value) => value.as_u128(),
        _ => return Err("a global holds a reference".to_owned()),
    })
}

/// The module with exports for everything that a snapshot holds.
///
/// # Errors
///
/// When instances of it can change what no snapshot can hold, in words.
pub(super) fn instrument(wasm: &[u8]) -> Result<Vec<u8>, String> {
    let (_, instrumented) = wizer().instrument(wasm).map_err(|error| one_line(&error))?;
    let exports = wasmparser::Parser::new(0).parse_all(&instrumented).find_map(|payload| match payload {
        Ok(wasmparser::Payload::ExportSection(exports)) => Some(exports),
        _ => None,
    });
    let exports = exports.into_iter().flatten().filter_map(Result::ok);
    let globals = exports.filter(|export| export.name.starts_with(GLOBAL)).count();
    if globals > GLOBALS_MAX { Err(too_many_globals(globals)) } else { Ok(instrumented) }
}

fn too_many_globals(globals: usize) -> String {
    format!("{globals} changeable globals, at most {GLOBALS_MAX} are held")
}

/// The module as the instance stood that a worker has copied.
///
/// # Errors
///
/// When that was no instance of it, or the module would have more than `bytes_max`.
pub(super) fn warm(wasm: &[u8], mut copied: Copied, bytes_max: u64) -> Result<Vec<u8>, String> {
    let wizer = wizer();
    let (context, _) = wizer.instrument(wasm).map_err(|error| one_line(&error))?;
    let warmed = at_once(wizer.snapshot(&context, &mut copied)).ok_or("the rewriting waits for something")?;
    let warmed = warmed.map_err(|error| one_line(&error))?;
    if let Some(missing) = copied.missing {
        return Err(format!("the copy of the instance lacks {missing}"));
    }
    let bytes = warmed.len();
    if bytes as u64 > bytes_max {
        return Err(format!("it would have {bytes} bytes, but may have {bytes_max}: raise max_module"));
    }
    Ok(warmed)
}

/// What comes of a future that waits for nothing: the copy is all here.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn wizer() -> Wizer {
    let mut wizer = Wizer::new();
    // Tasks keep their exports, and with them their numbers.
    wizer.keep_init_func(true);
    wizer
}

fn one_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    chain.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An instance as it was copied.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    globals: Globals,
    memories: Vec<Vec<u8>>,
    /// Something that was asked for and is not there.
    missing: Option<String>,
}

impl Copied {
    /// Takes a copy out of a region, which its worker may still be changing.
    ///
    /// # Errors
    ///
    /// When it does not hold one, in words.
    pub(crate) fn read(region: &File) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("the copy of the instance cannot be read: {error}");
        let length = region.metadata().map_err(unreadable)?.len();
        let mut head = vec![0; HEAD_BYTES];
        region.read_exact_at(&mut head, 0).map_err(unreadable)?;
        let (globals, lengths) = parse_head(&head).ok_or("the copy of the instance makes no sense")?;
        let mut memories = Vec::with_capacity(lengths.len());
        let mut at = HEAD_BYTES as u64;
        for bytes in lengths {
            if bytes > length.saturating_sub(at) {
                return Err("the copy of the instance has more memory than it has room for".to_owned());
            }
            let mut memory = vec![0; bytes as usize];
            region.read_exact_at(&mut memory, at).map_err(unreadable)?;
            memories.push(memory);
            at += bytes;
        }
        Ok(Self { globals, memories, missing: None })
    }

    fn miss(&mut self, name: &str) {
        self.missing.get_or_insert_with(|| name.to_owned());
    }
}

/// Indices and bits of globals.
type Globals = Vec<(u64, u128)>;

/// Globals and lengths of memories.
fn parse_head(head: &[u8]) -> Option<(Globals, Vec<u64>)> {
    let (words, _) = head.as_chunks::<8>();
    let word = |at: usize| words.get(at).map(|word| u64::from_le_bytes(*word));
    let globals = usize::try_from(word(0)?).ok().filter(|globals| *globals <= GLOBALS_MAX)?;
    let memories = usize::try_from(word(1)?).ok()?;
    let memories_at = 2 + globals * GLOBAL_BYTES / 8;
    if memories > words.len() - memories_at {
        return None;
    }
    let global = |number: usize| {
        let at = 2 + number * GLOBAL_BYTES / 8;
        Some((word(at)?, u128::from(word(at + 2)?) << 64 | u128::from(word(at + 1)?)))
    };
    let lengths = (memories_at..memories_at + memories).map(word);
    Some(((0..globals).map(global).collect::<Option<_>>()?, lengths.collect::<Option<_>>()?))
}

impl InstanceState for Copied {
    async fn global_get(&mut self, name: &str, kind: ValType) -> SnapshotVal {
        let index = name.strip_prefix(GLOBAL).and_then(|index| index.parse().ok());
        let global = self.globals.iter().find(|(copied, _)| Some(*copied) == index).map(|(_, bits)| *bits);
        if global.is_none() {
            self.miss(name);
        }
        let bits = global.unwrap_or(0);
        match kind {
            ValType::I32 => SnapshotVal::I32(bits as i32),
            ValType::I64 => SnapshotVal::I64(bits as i64),
            ValType::F32 => SnapshotVal::F32(bits as u32),
            ValType::F64 => SnapshotVal::F64(bits as u64),
            ValType::V128 | ValType::Ref(_) => SnapshotVal::V128(bits),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let number = name.strip_prefix(MEMORY).and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| self.memories.get(number)) {
            Some(memory) => contents(memory),
            None => {
                contents(&[]);
                self.miss(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::shm::region::Writer;

    fn wasm(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    /// A region with this head and 64 KiB of memory that begin with these bytes.
    fn region(head: &[u64], memory: &[u8]) -> File {
        let (region, file) = Region::create("test", region_bytes(65_536) as usize, Writer::Worker).unwrap();
        region.write_words(0, head);
        region.write(HEAD_BYTES, memory);
        File::from(file.as_fd().try_clone_to_owned().unwrap())
    }

    const COUNTER: &str = "(module (memory 1) (global $g (mut i64) (i64.const 1)) (start $s) (func $s)
        (func (export \"_initialize\")) (func (export \"get\") (result i64) global.get $g))";

    #[test]
    fn a_copy_becomes_the_module_that_starts_from_it() {
        let file = region(&[1, 1, 0, 77, 0, 65_536], b"warm");
        let warmed = warm(&wasm(COUNTER), Copied::read(&file).unwrap(), 1 << 20).unwrap();
        let outline = crate::sandbox::catalog::read(&warmed).unwrap();
        assert!(!outline.has_initialize);
        let engine = wasmtime::Engine::default();
        let module = Module::new(&engine, &warmed).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let get = instance.get_typed_func::<(), i64>(&mut store, "get").unwrap();
        assert_eq!(get.call(&mut store, ()).unwrap(), 77);
        assert!(warmed.windows(4).any(|bytes| bytes == b"warm"));
    }

    #[test]
    fn modules_that_change_more_than_memories_and_globals_are_refused() {
        let cases = [
            (
                "(module (table 1 funcref) (func (export \"f\") (table.set (i32.const 0) (ref.null func))))",
                "table.set",
            ),
            (
                "(module (table 1 funcref)
                    (func (export \"f\") (drop (table.grow (ref.null func) (i32.const 1)))))",
                "table.grow",
            ),
            ("(module (memory 1) (data \"x\") (func (export \"f\") (data.drop 0)))", "data.drop"),
            ("(module (global (mut funcref) (ref.null func)) (func (export \"f\")))", "reference type"),
            ("(module (func (export \"__wizer_\")))", "__wizer_"),
        ];
        for (text, reason) in cases {
            let refused = instrument(&wasm(text)).unwrap_err();
            assert!(refused.contains(reason) && !refused.contains('\n'), "{refused}");
        }
        assert!(instrument(&wasm(COUNTER)).is_ok());
        let many = format!(
            "(module {} (func (export \"f\")))",
            "(global (mut i32) (i32.const 0))".repeat(GLOBALS_MAX + 1)
        );
        assert!(instrument(&wasm(&many)).unwrap_err().contains("changeable globals"));
    }

    #[test]
    fn copies_that_are_none_are_refused() {
        let cases: [(&[u64], &str); 6] = [
            (&[u64::MAX, 1], "makes no sense"),
            (&[1, u64::MAX], "makes no sense"),
            (&[GLOBALS_MAX as u64 + 1, 0], "makes no sense"),
            (&[1, 1, 0, 77, 0, 65_537], "more memory than it has room for"),
            (&[1, 0, 0, 77, 0], "lacks __wizer_memory_0"),
            (&[1, 1, 1, 77, 0, 65_536], "lacks __wizer_global_0"),
        ];
        for (head, reason) in cases {
            let refused =
                Copied::read(&region(head, b"")).and_then(|copied| warm(&wasm(COUNTER), copied, 1 << 20));
            let refused = refused.unwrap_err();
            assert!(refused.contains(reason), "{head:?}: {refused}");
        }
        let empty = File::from(rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        assert!(Copied::read(&empty).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_module_larger_than_modules_may_be_is_not_made() {
        let file = region(&[1, 1, 0, 77, 0, 65_536], &[7; 5000]);
        let refused = warm(&wasm(COUNTER), Copied::read(&file).unwrap(), 5000).unwrap_err();
        assert!(refused.contains("but may have 5000: raise max_module"), "{refused}");
    }

    #[test]
    fn the_head_has_room_for_all_that_is_allowed() {
        const { assert!(16 + GLOBALS_MAX * GLOBAL_BYTES + 8 * 100 <= HEAD_BYTES) };
        assert_eq!(region_bytes(1), HEAD_BYTES as u64 + 4096);
    }
}
