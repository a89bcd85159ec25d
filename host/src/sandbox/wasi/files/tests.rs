//! Files through a real guest's calls: layouts, and pointers that lead nowhere.

use std::fs;

use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;

use super::super::paths::PATH_BYTES_MAX;
use super::super::tests::{Caller, MEMORY_BYTES, fd_subscription};
use super::*;
use crate::channel::control::DirRights;
use crate::sandbox::files::Directory;

const SUCCESS: i32 = Errno::Success as i32;
const FAULT: i32 = Errno::Fault as i32;
const BADF: i32 = Errno::BadDescriptor as i32;

/// Where paths, buffers and results lie in the guest's memory.
const PATH: u64 = 1_000;
const BUFFER: u64 = 2_000;
const RESULT: u64 = 500;

/// A guest that is granted a directory with a file `text` as descriptor 3.
fn guest() -> (Caller, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("text"), "0123456789").unwrap();
    let descriptor = fs::File::open(directory.path()).unwrap().into();
    let granted = Directory { descriptor, path: "/data".to_owned(), rights: DirRights::ReadWrite };
    let mut caller = Caller::new();
    caller.store.data_mut().files = Files::new(&vec![granted].into());
    (caller, directory)
}

/// Opens a file; gives the error code and the descriptor.
fn open(caller: &mut Caller, path: &str, create: u64, rights: u64) -> (i32, u64) {
    caller.put(PATH as u32, path.as_bytes());
    let length = path.len() as u64;
    let code = caller.call("path_open", &[3, 1, PATH, length, create, rights, 0, 0, RESULT]);
    (code, u64::from(caller.u32(RESULT as u32)))
}

#[test]
fn a_granted_directory_says_its_path() {
    let (mut caller, _directory) = guest();
    assert_eq!(caller.call("fd_prestat_get", &[3, RESULT]), SUCCESS);
    assert_eq!((caller.u32(RESULT as u32), caller.u32(RESULT as u32 + 4)), (0, 5));
    assert_eq!(caller.call("fd_prestat_dir_name", &[3, BUFFER, 5]), SUCCESS);
    assert_eq!(caller.bytes(BUFFER as u32, 6), b"/data\0");
    assert_eq!(caller.call("fd_prestat_dir_name", &[3, BUFFER, 4]), Errno::NameTooLong as i32);
    assert_eq!(caller.call("fd_prestat_get", &[4, RESULT]), BADF);
    assert_eq!(caller.call("fd_fdstat_get", &[3, BUFFER]), SUCCESS);
    assert_eq!(caller.bytes(BUFFER as u32, 1), [3]);
    assert_eq!(caller.call("fd_filestat_get", &[3, BUFFER]), SUCCESS);
    assert_eq!(caller.bytes(BUFFER as u32 + 16, 1), [3]);
}

#[test]
fn buffers_are_filled_and_written_in_their_order() {
    let (mut caller, directory) = guest();
    let (code, file) = open(&mut caller, "text", 0, RIGHT_FD_READ | RIGHT_FD_WRITE);
    assert_eq!((code, file), (SUCCESS, 4));
    caller.put_u32s(100, &[2_000, 3, 0, 0, 2_010, 4]);
    assert_eq!(caller.call("fd_read", &[file, 100, 3, RESULT]), SUCCESS);
    assert_eq!(caller.u32(RESULT as u32), 7);
    assert_eq!(caller.bytes(2_000, 14), b"012\0\0\0\0\0\0\x003456");
    assert_eq!(caller.call("fd_read", &[file, 100, 3, RESULT]), SUCCESS);
    assert_eq!((caller.u32(RESULT as u32), caller.bytes(2_000, 3)), (3, b"789".to_vec()));
    assert_eq!(caller.call("fd_read", &[file, 100, 3, RESULT]), SUCCESS);
    assert_eq!(caller.u32(RESULT as u32), 0);
    assert_eq!(caller.call("fd_pread", &[file, 100, 1, 8, RESULT]), SUCCESS);
    assert_eq!((caller.u32(RESULT as u32), caller.bytes(2_000, 2)), (2, b"89".to_vec()));
    assert_eq!(caller.call("fd_write", &[file, 100, 3, RESULT]), SUCCESS);
    assert_eq!(caller.call("fd_tell", &[file, RESULT]), SUCCESS);
    assert_eq!(caller.u64(RESULT as u32), 17);
    assert_eq!(caller.call("fd_pwrite", &[file, 100, 1, 1, RESULT]), SUCCESS);
    assert_eq!(caller.call("fd_seek", &[file, 0xffff_ffff_ffff_fffe, 2, RESULT]), SUCCESS);
    assert_eq!(caller.u64(RESULT as u32), 15);
    assert_eq!(caller.call("fd_seek", &[file, 0, 3, RESULT]), Errno::Invalid as i32);
    assert_eq!(fs::read(directory.path().join("text")).unwrap(), b"08994567898993456");
}

#[test]
fn more_than_a_block_goes_both_ways() {
    let (mut caller, directory) = guest();
    let text: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(directory.path().join("long"), &text).unwrap();
    let (_, file) = open(&mut caller, "long", 0, RIGHT_FD_READ | RIGHT_FD_WRITE);
    caller.put_u32s(100, &[2_000, 70_000, 72_000, 30_000]);
    assert_eq!(caller.call("fd_read", &[file, 100, 2, RESULT]), SUCCESS);
    assert_eq!((caller.u32(RESULT as u32), caller.bytes(2_000, 100_000)), (100_000, text.clone()));
    assert_eq!(caller.call("fd_write", &[file, 100, 2, RESULT]), SUCCESS);
    assert_eq!(caller.u32(RESULT as u32), 100_000);
    assert_eq!(fs::read(directory.path().join("long")).unwrap(), text.repeat(2));
}

#[test]
fn a_listing_that_does_not_fit_is_cut_off_and_goes_on_at_a_cookie() {
    let (mut caller, directory) = guest();
    for number in 0..9 {
        fs::write(directory.path().join(format!("{number:010}")), "").unwrap();
    }
    let (mut names, mut cookie) = (0, 0);
    loop {
        assert_eq!(caller.call("fd_readdir", &[3, BUFFER, 100, cookie, RESULT]), SUCCESS);
        let used = caller.u32(RESULT as u32);
        assert!(used <= 100);
        let mut at = 0;
        while at + 24 <= used {
            let length = caller.u32(BUFFER as u32 + at + 16);
            if at + 24 + length > used {
                break;
            }
            cookie = caller.u64(BUFFER as u32 + at);
            at += 24 + length;
            names += 1;
        }
        if used < 100 {
            break;
        }
    }
    // Nine files, `text`, and the two that every directory has.
    assert_eq!(names, 12);
}

#[test]
fn bad_pointers_are_faults_and_open_nothing() {
    let (mut caller, directory) = guest();
    let (_, file) = open(&mut caller, "text", 0, RIGHT_FD_READ);
    let end = MEMORY_BYTES;
    caller.put_u32s(100, &[end as u32 - 1, 2]);
    let faults: [(&str, &[u64]); 18] = [
        ("path_open", &[3, 0, end - 3, 4, 0, 2, 0, 0, RESULT]),
        ("path_open", &[3, 0, PATH, 4, 1, 64, 0, 0, end - 3]),
        ("path_open", &[3, 0, 0xffff_fff0, 32, 0, 2, 0, 0, RESULT]),
        ("path_create_directory", &[3, end, 1]),
        ("path_unlink_file", &[3, end - 3, 4]),
        ("path_remove_directory", &[3, end - 3, 4]),
        ("path_rename", &[3, PATH, 4, 3, end, 4]),
        ("path_link", &[3, 0, PATH, 4, 3, end, 4]),
        ("path_symlink", &[end, 4, 3, PATH, 4]),
        ("path_filestat_get", &[3, 0, PATH, 4, end - 63]),
        ("fd_read", &[file, 100, 1, RESULT]),
        ("fd_read", &[file, end - 7, 1, RESULT]),
        ("fd_pread", &[file, 100, 1, 0, RESULT]),
        ("fd_write", &[file, 100, 1, RESULT]),
        ("fd_seek", &[file, 5, 0, end - 7]),
        ("fd_readdir", &[3, end - 9, 10, 0, RESULT]),
        ("fd_fdstat_get", &[file, end - 23]),
        ("fd_prestat_get", &[3, end - 7]),
    ];
    caller.put(PATH as u32, b"text");
    for (name, arguments) in faults {
        assert_eq!(caller.call(name, arguments), FAULT, "{name} {arguments:?}");
    }
    assert_eq!(caller.call("fd_tell", &[file, RESULT]), SUCCESS);
    assert_eq!(caller.u64(RESULT as u32), 0);
    assert_eq!(open(&mut caller, "text", 0, RIGHT_FD_READ), (SUCCESS, file + 1));
    assert_eq!(fs::read(directory.path().join("text")).unwrap(), b"0123456789");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn paths_and_lists_have_limits() {
    let (mut caller, _directory) = guest();
    let (_, file) = open(&mut caller, "text", 0, RIGHT_FD_READ);
    let long = u64::from(PATH_BYTES_MAX) + 1;
    assert_eq!(caller.call("path_create_directory", &[3, PATH, long]), Errno::NameTooLong as i32);
    assert_eq!(caller.call("path_symlink", &[PATH, 0xffff_ffff, 3, PATH, 4]), Errno::NameTooLong as i32);
    assert_eq!(caller.call("fd_read", &[file, 0, 1_025, RESULT]), Errno::Invalid as i32);
    assert_eq!(caller.call("path_link", &[3, 1, PATH, 4, 3, PATH, 4]), Errno::Invalid as i32);
    assert_eq!(caller.call("path_filestat_set_times", &[3, 0, PATH, 4, 0, 0, 3]), Errno::Invalid as i32);
}

#[test]
fn a_descriptor_says_what_it_was_opened_for() {
    let (mut caller, _directory) = guest();
    // As Go asks for reading: with the right to cut the file off.
    const CUT_OFF: u64 = 1 << 22;
    for (asked, can_read, can_write) in [
        (RIGHT_FD_READ | CUT_OFF, true, false),
        (RIGHT_FD_WRITE, false, true),
        (RIGHT_FD_READ | RIGHT_FD_WRITE, true, true),
        (0, true, false),
    ] {
        let (_, file) = open(&mut caller, "text", 0, asked);
        assert_eq!(caller.call("fd_fdstat_get", &[file, BUFFER]), SUCCESS);
        let rights = caller.u64(BUFFER as u32 + 8);
        assert_eq!((rights & RIGHT_FD_READ != 0, rights & RIGHT_FD_WRITE != 0), (can_read, can_write));
        assert_eq!(rights & CUT_OFF != 0, can_write);
        caller.put_u32s(100, &[2_000, 1]);
        let read = caller.call("fd_read", &[file, 100, 1, RESULT]);
        let written = caller.call("fd_write", &[file, 100, 1, RESULT]);
        let expected = |can| if can { SUCCESS } else { BADF };
        assert_eq!((read, written), (expected(can_read), expected(can_write)));
    }
}

#[test]
fn standard_streams_are_no_files() {
    let (mut caller, _directory) = guest();
    for fd in 0..3 {
        assert_eq!(caller.call("fd_tell", &[fd, RESULT]), Errno::NoSeek as i32);
        assert_eq!(caller.call("fd_pread", &[fd, 100, 0, 0, RESULT]), Errno::NoSeek as i32);
        assert_eq!(caller.call("fd_pwrite", &[fd, 100, 0, 0, RESULT]), Errno::NoSeek as i32);
        assert_eq!(caller.call("fd_filestat_set_size", &[fd, 0]), BADF);
        assert_eq!(caller.call("fd_readdir", &[fd, BUFFER, 100, 0, RESULT]), BADF);
        assert_eq!(caller.call("fd_renumber", &[3, fd]), BADF);
        assert_eq!(caller.call("path_create_directory", &[fd, PATH, 4]), BADF);
    }
    assert_eq!(caller.call("fd_read", &[3, 100, 0, RESULT]), Errno::IsDirectory as i32);
}

#[test]
fn files_are_always_ready() {
    let (mut caller, _directory) = guest();
    let (_, file) = open(&mut caller, "text", 0, RIGHT_FD_READ);
    let subscriptions = [fd_subscription(1, 1, file as u32), fd_subscription(2, 2, 99)].concat();
    caller.put(10_000, &subscriptions);
    assert_eq!(caller.call("poll_oneoff", &[10_000, 20_000, 2, RESULT]), SUCCESS);
    assert_eq!(caller.u32(RESULT as u32), 2);
    assert_eq!(caller.bytes(20_008, 2), [SUCCESS as u8, 0]);
    assert_eq!(caller.bytes(20_024, 1), [0]);
    assert_eq!(caller.bytes(20_040, 2), [BADF as u8, 0]);
}

/// All functions that take descriptors or paths.
const FUNCTIONS: [&str; 30] = [
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
];

/// Numbers that mean something somewhere, more often than any others.
fn argument() -> impl Strategy<Value = u64> {
    let edges = [u64::MAX, 1 << 31, 1 << 63, (1 << 32) - 1, MEMORY_BYTES - 1, MEMORY_BYTES, MEMORY_BYTES - 8];
    prop_oneof![4 => 0..8u64, 3 => Just(PATH), 1 => 0..MEMORY_BYTES, 1 => select(edges.to_vec()), 1 => any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_arguments_break_the_host_or_leave_the_directory(
        calls in prop::collection::vec((select(&FUNCTIONS[..]), prop::collection::vec(argument(), 9)), 1..12),
    ) {
        let holder = tempfile::tempdir().unwrap();
        fs::create_dir(holder.path().join("granted")).unwrap();
        fs::write(holder.path().join("secret"), "canary").unwrap();
        let descriptor = fs::File::open(holder.path().join("granted")).unwrap().into();
        let granted = Directory { descriptor, path: "/data".to_owned(), rights: DirRights::ReadWrite };
        let mut caller = Caller::new();
        caller.store.data_mut().files = Files::new(&vec![granted].into());
        caller.put(PATH as u32, b"../secr\0a");
        for (name, arguments) in calls {
            let taken = super::super::signature(name).unwrap().parameters.len();
            caller.call(name, &arguments[..taken]);
        }
        prop_assert_eq!(fs::read(holder.path().join("secret")).unwrap(), b"canary");
        prop_assert_eq!(fs::read_dir(holder.path()).unwrap().count(), 2);
    }
}
