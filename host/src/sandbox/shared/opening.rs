//! Opening and closing: handles, views, and the text of a refusal.

use std::sync::Arc;

use wasmpool_abi::shared::{Element, Kind, OBJECT_NAME_BYTES_MAX, Refusal};
use wasmtime::Caller;

use super::belongings::Belonging;
use super::trouble::Trouble;
use super::{Stopped, check_room, deliver, fetch, finish, finish_with, views};
use crate::sandbox::guest::Guest;
use crate::shm::object::Object;
use crate::shm::object::spec::Spec;
use crate::shm::object::text::About;

/// What a guest passes for "whatever it is".
const ANY: i32 = -1;

/// `shared_open`
pub(super) fn open(
    mut caller: Caller<'_, Guest>,
    name: u32,
    name_bytes: u32,
    kind: i32,
    element: i32,
) -> wasmtime::Result<i64> {
    let found = read_name(&caller, name, name_bytes).and_then(|name| find(&caller, name));
    let (object, opened) = match found {
        Ok(object) => (Some(object), take(&mut caller, object, kind, element)),
        Err(stopped) => (None, Err(stopped)),
    };
    finish(&mut caller, object, opened.map(i64::from))
}

fn read_name(caller: &Caller<'_, Guest>, name: u32, name_bytes: u32) -> Result<String, Stopped> {
    let mut bytes = vec![0; (name_bytes as usize).min(OBJECT_NAME_BYTES_MAX + 1)];
    fetch(caller, name, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find(caller: &Caller<'_, Guest>, name: String) -> Result<usize, Stopped> {
    if caller.data().is_model {
        // Which objects, and whose handles, would differ from instance to instance.
        let words = format!(
            "`{name}` cannot be opened by an initializer that runs once for a snapshot: open shared objects in calls, \
             or leave the snapshot away"
        );
        return Err(Trouble::words(Refusal::NotGranted, words).into());
    }
    let found = caller.data().shared.belongings.number(&name);
    found.ok_or_else(|| Trouble::new(Refusal::NotGranted, About::Name(name)).into())
}

/// Opens an object for the running call, after making sure that it is what the guest expects.
fn take(caller: &mut Caller<'_, Guest>, object: usize, kind: i32, element: i32) -> Result<i32, Stopped> {
    let shared = &mut caller.data_mut().shared;
    let belonging = shared.belongings.get(object);
    check_kind(belonging, kind)?;
    check_element(belonging, element)?;
    if !shared.handles.has_touched(object) {
        match &belonging.object {
            Object::Barrier(barrier) => barrier.join(belonging.party)?,
            Object::Pipe(end) => end.join(belonging.party)?,
            _ => {}
        }
    }
    let most = shared.handles.most();
    shared.handles.open(object).ok_or_else(|| {
        let words = format!(
            "cannot be opened: the call has {most} shared objects open, which is the most; close some, or raise \
             max_objects"
        );
        Trouble::words(Refusal::TooManyOpen, words).into()
    })
}

fn check_kind(belonging: &Belonging, kind: i32) -> Result<(), Trouble> {
    if kind == ANY {
        return Ok(());
    }
    let expected = Kind::from_code(kind).ok_or_else(|| Trouble::invalid("is of another kind than any"))?;
    if expected == belonging.spec.kind() {
        return Ok(());
    }
    Err(Trouble::new(Refusal::WrongKind, About::Kind(expected)))
}

fn check_element(belonging: &Belonging, element: i32) -> Result<(), Trouble> {
    if element == ANY {
        return Ok(());
    }
    let expected =
        Element::from_code(element).ok_or_else(|| Trouble::invalid("holds no such elements as any"))?;
    match &belonging.spec {
        Spec::Value { element } | Spec::Array { element, .. } if *element == expected => Ok(()),
        _ => Err(Trouble::new(Refusal::WrongElement, About::Element(expected))),
    }
}

/// `shared_close`
pub(super) fn close(mut caller: Caller<'_, Guest>, handle: i32) -> wasmtime::Result<i32> {
    let closed = caller.data_mut().shared.handles.close(handle);
    let answer = if closed { Ok(()) } else { Err(super::no_handle(handle).into()) };
    finish_with(&mut caller, handle, answer)
}

/// `shared_refusal`
pub(super) fn refusal(mut caller: Caller<'_, Guest>, buffer: u32, capacity: u32) -> wasmtime::Result<i32> {
    let shared = &caller.data().shared;
    let text = shared.trouble.as_ref().map(|(trouble, object)| trouble.text(&shared.belongings, *object));
    let text = text.unwrap_or_default();
    let bytes = text.floor_char_boundary(capacity as usize);
    let delivered = check_room(&caller, buffer, capacity as usize)
        .and_then(|()| deliver(&mut caller, buffer, &text.as_bytes()[..bytes]));
    finish(&mut caller, None, delivered.map(|()| bytes as i64)).map(|answer| answer as i32)
}

/// `shared_map`
pub(super) fn map(
    mut caller: Caller<'_, Guest>,
    handle: i32,
    mode: i32,
    start: i64,
    end: i64,
) -> wasmtime::Result<i64> {
    let object = caller.data().shared.handles.object(handle);
    let mapped = match object {
        Some(object) => views::map(&mut caller, object, mode, (start, end)),
        None => Err(super::no_handle(handle)),
    };
    finish(&mut caller, object, mapped.map(|address| address as i64).map_err(Stopped::from))
}

/// `shared_unmap`
pub(super) fn unmap(mut caller: Caller<'_, Guest>, address: i32) -> wasmtime::Result<i32> {
    let shared = &mut caller.data_mut().shared;
    let belongings = Arc::clone(&shared.belongings);
    let address = u64::from(address as u32);
    let unmapped = shared.views.unmap(&belongings, address).then_some(0).ok_or_else(|| {
        let words =
            format!("no view begins at {address:#x}: views last until they are unmapped or their call ends");
        Trouble::words(Refusal::Invalid, words).into()
    });
    finish(&mut caller, None, unmapped).map(|status| status as i32)
}
