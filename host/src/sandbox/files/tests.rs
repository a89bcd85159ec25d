//! Directories as a guest meets them, and ways out of them that must not be.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType as Kind, Timespec};
use tempfile::TempDir;

use super::*;

/// What lies outside and must never be read.
const CANARY: &[u8] = b"canary";

/// The first granted directory, for changes, and the second, for reading only; both are the same.
const WRITABLE: u32 = FIRST;
const READABLE: u32 = FIRST + 1;

/// A directory `granted`, with a secret and a directory of secrets beside it.
struct Ground {
    holder: TempDir,
    files: Files,
}

impl Ground {
    fn new() -> Self {
        let holder = tempfile::tempdir().unwrap();
        fs::write(holder.path().join("secret"), CANARY).unwrap();
        fs::create_dir(holder.path().join("outside")).unwrap();
        fs::write(holder.path().join("outside/text"), CANARY).unwrap();
        let granted = holder.path().join("granted");
        fs::create_dir_all(granted.join("inner")).unwrap();
        fs::write(granted.join("text"), "inside").unwrap();
        fs::write(granted.join("inner/text"), "further inside").unwrap();
        let directory = |path: &str, rights| Directory {
            descriptor: fs::File::open(&granted).unwrap().into(),
            path: path.to_owned(),
            rights,
        };
        let directories =
            vec![directory("/rw", DirRights::ReadWrite), directory("/ro", DirRights::ReadOnly)].into();
        Self { files: Files::new(&directories), holder }
    }

    fn inside(&self, path: &str) -> std::path::PathBuf {
        self.holder.path().join("granted").join(path)
    }

    fn read(&mut self, fd: u32, path: &str) -> Result<Vec<u8>, Errno> {
        let how = Opening { follow: true, read: true, ..Opening::default() };
        let file = self.files.open(fd, path.as_bytes(), how)?;
        let mut bytes = vec![0; 100];
        let length = self.files.read(file, At::Cursor, &mut bytes);
        self.files.close(file).unwrap();
        bytes.truncate(length?);
        Ok(bytes)
    }

    fn create(&mut self, path: &str) -> Result<u32, Errno> {
        let how = Opening { write: true, create: true, ..Opening::default() };
        self.files.open(WRITABLE, path.as_bytes(), how)
    }

    fn names(&mut self, fd: u32) -> Vec<String> {
        let mut names = Vec::new();
        let take = |entry: &[u8]| {
            names.push(String::from_utf8(entry[24..].to_vec()).unwrap());
            Ok::<_, Errno>(true)
        };
        self.files.list(fd, 0, 10_000, take).unwrap();
        names.sort();
        names
    }
}

/// Everything outside is as it was.
fn check_outside(holder: &Path) {
    let mut names: Vec<_> = fs::read_dir(holder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["granted", "outside", "secret"]);
    let outside: Vec<_> = fs::read_dir(holder.join("outside")).unwrap().collect();
    assert_eq!(outside.len(), 1);
    for secret in ["secret", "outside/text"] {
        assert_eq!(fs::read(holder.join(secret)).unwrap(), CANARY);
        assert_eq!(fs::metadata(holder.join(secret)).unwrap().nlink(), 1);
    }
}

/// Paths that lead out, each in a way of its own.
fn ways_out(ground: &Ground) -> Vec<String> {
    let outside = ground.holder.path().join("outside");
    symlink("../outside/text", ground.inside("relative")).unwrap();
    symlink(outside.join("text"), ground.inside("absolute")).unwrap();
    symlink("inner/../../outside/text", ground.inside("winding")).unwrap();
    symlink(&outside, ground.inside("directory")).unwrap();
    symlink("directory", ground.inside("chain")).unwrap();
    symlink("../made", ground.inside("dangling")).unwrap();
    symlink("/proc/self/root", ground.inside("magic")).unwrap();
    let absolute = outside.join("text");
    let paths = [
        "..",
        "../secret",
        "../outside/text",
        "inner/../../secret",
        "inner/../../granted/text",
        "./../secret",
        "/",
        "/proc/self/fd/0",
        "/etc/passwd",
        absolute.to_str().unwrap(),
        "relative",
        "absolute",
        "winding",
        "dangling",
        "directory/text",
        "directory/",
        "chain/text",
        "magic/etc/passwd",
        "inner/../directory/text",
    ];
    paths.map(str::to_owned).into()
}

#[test]
fn what_is_inside_is_there() {
    let mut ground = Ground::new();
    symlink("inner/text", ground.inside("link")).unwrap();
    symlink("../text", ground.inside("inner/up")).unwrap();
    for fd in [WRITABLE, READABLE] {
        for (path, text) in [
            ("text", "inside"),
            ("./text", "inside"),
            ("inner/../text", "inside"),
            ("inner//text", "further inside"),
            ("link", "further inside"),
            ("inner/up", "inside"),
        ] {
            assert_eq!(ground.read(fd, path).unwrap(), text.as_bytes(), "{path}");
        }
        assert_eq!(ground.names(fd), [".", "..", "inner", "link", "text"]);
        // Again: listing leaves nothing behind.
        assert_eq!(ground.names(fd), [".", "..", "inner", "link", "text"]);
    }
    assert_eq!(ground.read(WRITABLE, "missing"), Err(Errno::NoEntry));
    assert_eq!(ground.read(WRITABLE, ""), Err(Errno::NoEntry));
    assert_eq!(ground.read(WRITABLE, "text/"), Err(Errno::NotDirectory));
    assert_eq!(ground.read(WRITABLE, "te\0xt"), Err(Errno::Invalid));
}

#[test]
fn no_path_leads_out() {
    let mut ground = Ground::new();
    let times = times(1, 1, 5).unwrap();
    for path in ways_out(&ground) {
        let bytes = path.as_bytes();
        assert_eq!(ground.read(WRITABLE, &path), Err(Errno::NotPermitted), "{path}");
        let files = &mut ground.files;
        let write = Opening { follow: true, write: true, create: true, truncate: true, ..Opening::default() };
        assert!(files.open(WRITABLE, bytes, write).is_err(), "{path}");
        let list = Opening { follow: true, read: true, directory: true, ..Opening::default() };
        assert!(files.open(WRITABLE, bytes, list).is_err(), "{path}");
        assert_eq!(files.stat_at(WRITABLE, bytes, true), Err(Errno::NotPermitted), "{path}");
        assert_eq!(files.set_times_at(WRITABLE, bytes, true, &times), Err(Errno::NotPermitted), "{path}");
        // What follows no link at the end may work on the link itself, and on nothing outside.
        let _ = files.set_times_at(WRITABLE, bytes, false, &times);
        let below = [bytes, b"/new"].concat();
        assert!(files.create_directory(WRITABLE, &below).is_err(), "{path}");
        assert!(files.symlink(b"text", WRITABLE, &below).is_err(), "{path}");
        assert!(files.link(WRITABLE, b"text", WRITABLE, &below).is_err(), "{path}");
        assert!(files.rename(WRITABLE, b"text", WRITABLE, &below).is_err(), "{path}");
        assert!(files.rename(WRITABLE, &below, WRITABLE, b"stolen").is_err(), "{path}");
        assert!(files.link(WRITABLE, &below, WRITABLE, b"stolen").is_err(), "{path}");
        assert!(files.unlink(WRITABLE, &below).is_err(), "{path}");
        assert!(files.remove_directory(WRITABLE, bytes).is_err(), "{path}");
        assert!(files.remove_directory(WRITABLE, &below).is_err(), "{path}");
        assert!(files.read_link(WRITABLE, &below).is_err(), "{path}");
    }
    check_outside(ground.holder.path());
}

#[test]
fn links_are_moved_linked_and_removed_themselves() {
    let mut ground = Ground::new();
    ways_out(&ground);
    let files = &ground.files;
    assert_eq!(files.read_link(WRITABLE, b"relative").unwrap(), b"../outside/text");
    assert_eq!(files.read_link(WRITABLE, b"text"), Err(Errno::Invalid));
    assert_eq!(files.link(WRITABLE, b"absolute", WRITABLE, b"linked"), Ok(()));
    assert_eq!(files.rename(WRITABLE, b"directory", WRITABLE, b"inner/moved"), Ok(()));
    for path in [&b"directory/"[..], b"inner/moved/", b"chain/"] {
        assert!(files.rename(WRITABLE, path, WRITABLE, b"elsewhere").is_err());
        assert!(files.link(WRITABLE, path, WRITABLE, b"elsewhere").is_err());
        assert!(files.unlink(WRITABLE, path).is_err());
        assert!(files.remove_directory(WRITABLE, path).is_err());
    }
    assert_eq!(files.unlink(WRITABLE, b"inner/moved"), Ok(()));
    assert_eq!(ground.read(WRITABLE, "linked"), Err(Errno::NotPermitted));
    check_outside(ground.holder.path());
}

#[test]
fn links_that_a_guest_makes_do_not_lead_it_out_either() {
    let mut ground = Ground::new();
    let files = &ground.files;
    assert_eq!(files.symlink(b"/etc/passwd", WRITABLE, b"absolute"), Err(Errno::NotPermitted));
    assert_eq!(files.symlink(b"../secret", WRITABLE, b"made"), Ok(()));
    assert_eq!(files.symlink(b"..", WRITABLE, b"inner/up"), Ok(()));
    assert_eq!(files.rename(WRITABLE, b"inner/up", WRITABLE, b"up"), Ok(()));
    assert_eq!(ground.read(WRITABLE, "made"), Err(Errno::NotPermitted));
    assert_eq!(ground.read(WRITABLE, "up/secret"), Err(Errno::NotPermitted));
    check_outside(ground.holder.path());
}

#[test]
fn where_reading_is_granted_nothing_can_be_changed() {
    let mut ground = Ground::new();
    let before = fs::metadata(ground.inside("text")).unwrap();
    let times = times(1, 1, 5).unwrap();
    let open = |files: &mut Files, how| files.open(READABLE, b"text", how);
    let files = &mut ground.files;
    let reading = Opening { read: true, ..Opening::default() };
    for how in [
        Opening { write: true, ..reading },
        Opening { write: true, ..Opening::default() },
        Opening { create: true, ..reading },
        Opening { truncate: true, ..reading },
        Opening { write: true, append: true, ..Opening::default() },
    ] {
        assert_eq!(open(files, how), Err(Errno::ReadOnly), "{how:?}");
    }
    let file = open(files, Opening { append: true, ..reading }).unwrap();
    assert_eq!(files.write(file, At::Cursor, b"x"), Err(Errno::BadDescriptor));
    assert_eq!(files.write(file, At::Offset(0), b"x"), Err(Errno::BadDescriptor));
    assert_eq!(files.set_size(file, 0), Err(Errno::ReadOnly));
    assert_eq!(files.set_times(file, &times), Err(Errno::ReadOnly));
    assert_eq!(files.set_times(READABLE, &times), Err(Errno::ReadOnly));
    assert_eq!(files.set_times_at(READABLE, b"text", true, &times), Err(Errno::ReadOnly));
    assert_eq!(files.create_directory(READABLE, b"new"), Err(Errno::ReadOnly));
    assert_eq!(files.remove_directory(READABLE, b"inner"), Err(Errno::ReadOnly));
    assert_eq!(files.unlink(READABLE, b"text"), Err(Errno::ReadOnly));
    assert_eq!(files.symlink(b"text", READABLE, b"new"), Err(Errno::ReadOnly));
    for (old, new) in [(READABLE, READABLE), (READABLE, WRITABLE), (WRITABLE, READABLE)] {
        assert_eq!(files.rename(old, b"text", new, b"new"), Err(Errno::ReadOnly));
        assert_eq!(files.link(old, b"text", new, b"new"), Err(Errno::ReadOnly));
    }
    // What is opened through it has no more rights than it.
    let directory = Opening { read: true, directory: true, ..Opening::default() };
    let inner = files.open(READABLE, b"inner", directory).unwrap();
    assert_eq!(files.unlink(inner, b"text"), Err(Errno::ReadOnly));
    let writing = Opening { write: true, ..Opening::default() };
    assert_eq!(files.open(inner, b"text", writing), Err(Errno::ReadOnly));
    files.renumber(inner, WRITABLE).unwrap();
    assert_eq!(files.unlink(WRITABLE, b"text"), Err(Errno::ReadOnly));
    let after = fs::metadata(ground.inside("text")).unwrap();
    assert_eq!((before.mtime_nsec(), before.ctime_nsec()), (after.mtime_nsec(), after.ctime_nsec()));
    assert_eq!(fs::read(ground.inside("text")).unwrap(), b"inside");
}

#[test]
fn where_writing_is_granted_everything_can_be_done() {
    let mut ground = Ground::new();
    let file = ground.create("new").unwrap();
    let files = &mut ground.files;
    assert_eq!(files.write(file, At::Cursor, b"hello"), Ok(5));
    assert_eq!(files.write(file, At::Offset(1), b"u"), Ok(1));
    assert_eq!(files.seek(file, SeekFrom::Current(0)), Ok(5));
    assert_eq!(files.read(file, At::Cursor, &mut [0]), Err(Errno::BadDescriptor));
    assert_eq!(files.set_size(file, 4), Ok(()));
    assert_eq!(files.set_append(file, true), Ok(()));
    assert!(files.status(file).unwrap().append && files.status(file).unwrap().write);
    assert_eq!(files.write(file, At::Cursor, b"!"), Ok(1));
    assert_eq!((files.sync(file, true), files.sync(file, false)), (Ok(()), Ok(())));
    let set = times(7_000_000_009, 8, 5).unwrap();
    assert_eq!(set.last_access, Timespec { tv_sec: 7, tv_nsec: 9 });
    assert_eq!(files.set_times(file, &set), Ok(()));
    assert_eq!(files.close(file), Ok(()));
    assert_eq!(files.close(file), Err(Errno::BadDescriptor));
    assert_eq!(files.set_times_at(WRITABLE, b"inner/text", true, &set), Ok(()));
    assert_eq!(files.stat_at(WRITABLE, b"new", true).unwrap()[48..56], 8u64.to_le_bytes());
    assert_eq!(files.create_directory(WRITABLE, b"made/"), Ok(()));
    assert_eq!(files.create_directory(WRITABLE, b"made"), Err(Errno::Exists));
    assert_eq!(files.rename(WRITABLE, b"new", WRITABLE, b"made/moved"), Ok(()));
    assert_eq!(files.link(WRITABLE, b"made/moved", WRITABLE, b"linked"), Ok(()));
    assert_eq!(files.remove_directory(WRITABLE, b"made"), Err(Errno::NotEmpty));
    assert_eq!(files.unlink(WRITABLE, b"made"), Err(Errno::IsDirectory));
    assert_eq!(files.unlink(WRITABLE, b"made/moved"), Ok(()));
    assert_eq!(files.remove_directory(WRITABLE, b"made/"), Ok(()));
    assert_eq!(ground.read(WRITABLE, "linked").unwrap(), b"hull!");
    assert_eq!(ground.create("linked").map(|fd| fd >= FIRST), Ok(true));
    for nameless in ["inner/..", "inner/.", ".", "..", "/", "//"] {
        let made = ground.files.create_directory(WRITABLE, nameless.as_bytes());
        assert!(matches!(made, Err(Errno::Invalid | Errno::NotPermitted)), "{nameless}: {made:?}");
    }
}

#[test]
fn between_two_directories_things_move_where_both_may_be_written_to() {
    let mut ground = Ground::new();
    let other = tempfile::tempdir().unwrap();
    let directory = |path: &Path, rights| Directory {
        descriptor: fs::File::open(path).unwrap().into(),
        path: "/".to_owned(),
        rights,
    };
    let both = [DirRights::ReadWrite, DirRights::ReadOnly].map(|rights| {
        Files::new(
            &vec![directory(&ground.inside(""), DirRights::ReadWrite), directory(other.path(), rights)]
                .into(),
        )
    });
    let [writable, readable] = both;
    assert_eq!(readable.rename(3, b"text", 4, b"text"), Err(Errno::ReadOnly));
    assert_eq!(readable.link(3, b"text", 4, b"text"), Err(Errno::ReadOnly));
    assert_eq!(writable.link(3, b"text", 4, b"linked"), Ok(()));
    assert_eq!(writable.rename(3, b"inner", 4, b"moved"), Ok(()));
    assert_eq!(writable.rename(4, b"../granted/text", 3, b"stolen"), Err(Errno::NotPermitted));
    ground.files = writable;
    assert_eq!(ground.read(4, "moved/text").unwrap(), b"further inside");
    assert_eq!(ground.read(4, "moved/../linked").unwrap(), b"inside");
}

#[test]
fn descriptors_are_the_lowest_free_numbers_and_end_at_the_limit() {
    let mut ground = Ground::new();
    let reading = Opening { read: true, ..Opening::default() };
    let files = &mut ground.files;
    // The real limit would leave too few for tests that run beside this one.
    files.open_max = 50;
    let open = |files: &mut Files| files.open(WRITABLE, b"text", reading);
    assert_eq!((open(files), open(files)), (Ok(5), Ok(6)));
    assert_eq!(files.close(5), Ok(()));
    assert_eq!(open(files), Ok(5));
    assert_eq!(files.renumber(6, 5), Ok(()));
    assert_eq!(files.renumber(6, 5), Err(Errno::BadDescriptor));
    assert_eq!(files.renumber(5, 7), Err(Errno::BadDescriptor));
    assert_eq!(files.renumber(5, 1), Err(Errno::BadDescriptor));
    assert_eq!(open(files), Ok(6));
    let mut count = 4;
    let refusal = loop {
        match open(files) {
            Ok(_) => count += 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Errno::TooManyFiles);
    assert_eq!(count, 50);
    assert_eq!(files.close(40), Ok(()));
    assert_eq!(open(files), Ok(40));
    for bad in [0, 1, 2, 2_000, u32::MAX] {
        assert_eq!(files.close(bad), Err(Errno::BadDescriptor));
        assert_eq!(files.status(bad), Err(Errno::BadDescriptor));
    }
}

#[test]
fn an_instance_without_grants_has_no_files() {
    let mut files = Files::new(&Arc::default());
    let reading = Opening { read: true, ..Opening::default() };
    for fd in 0..5 {
        assert_eq!(files.granted_path(fd), Err(Errno::BadDescriptor));
        assert_eq!(files.open(fd, b"text", reading), Err(Errno::BadDescriptor));
        assert_eq!(files.create_directory(fd, b"new"), Err(Errno::BadDescriptor));
        assert_eq!(files.list(fd, 0, 100, |_| Ok::<_, Errno>(true)), Err(Errno::BadDescriptor));
    }
}

#[test]
fn granted_directories_are_found_by_their_paths() {
    let mut ground = Ground::new();
    let files = &mut ground.files;
    assert_eq!((files.granted_path(WRITABLE), files.granted_path(READABLE)), (Ok("/rw"), Ok("/ro")));
    let directory = Opening { read: true, directory: true, ..Opening::default() };
    let inner = files.open(WRITABLE, b"inner", directory).unwrap();
    assert_eq!(files.granted_path(inner), Err(Errno::BadDescriptor));
    assert_eq!(files.read(inner, At::Cursor, &mut [0]), Err(Errno::IsDirectory));
    assert_eq!(files.status(inner).unwrap().file_type, stat::DIRECTORY);
    assert_eq!(files.open(WRITABLE, b"text", directory), Err(Errno::NotDirectory));
    assert_eq!(files.close(WRITABLE), Ok(()));
    assert_eq!(files.granted_path(WRITABLE), Err(Errno::BadDescriptor));
}

#[test]
fn what_is_neither_file_nor_directory_is_not_opened_and_not_waited_for() {
    let mut ground = Ground::new();
    let fifo = ground.inside("fifo");
    rustix::fs::mknodat(CWD, &fifo, Kind::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(ground.inside("socket")).unwrap();
    assert_eq!(ground.read(WRITABLE, "fifo"), Err(Errno::NotSupported));
    assert!(ground.create("fifo").is_err());
    assert!(ground.read(WRITABLE, "socket").is_err());
    assert_eq!(ground.files.stat_at(WRITABLE, b"socket", true).unwrap()[16], 6);
    let devices = Directory {
        descriptor: fs::File::open("/dev").unwrap().into(),
        path: "/dev".to_owned(),
        rights: DirRights::ReadWrite,
    };
    ground.files = Files::new(&vec![devices].into());
    assert_eq!(ground.read(WRITABLE, "null"), Err(Errno::NotSupported));
    assert_eq!(ground.read(WRITABLE, "fd/0"), Err(Errno::NotPermitted));
}

#[test]
fn the_links_of_proc_lead_nowhere() {
    let mut ground = Ground::new();
    let processes = Directory {
        descriptor: fs::File::open("/proc/self").unwrap().into(),
        path: "/proc".to_owned(),
        rights: DirRights::ReadWrite,
    };
    ground.files = Files::new(&vec![processes].into());
    for path in ["root/etc/passwd", "cwd/Cargo.toml", "exe", "fd/0"] {
        assert!(ground.read(WRITABLE, path).is_err(), "{path}");
    }
}

#[test]
fn entries_are_listed_in_pieces_of_any_size() {
    let mut ground = Ground::new();
    for number in 0..500 {
        fs::write(ground.inside(&format!("file-{number}")), "").unwrap();
    }
    let whole = ground.names(WRITABLE);
    assert_eq!(whole.len(), 504);
    for at_a_time in [1, 7, 200] {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let (from, mut taken) = (cookie, 0);
            let take = |entry: &[u8]| {
                cookie = u64::from_le_bytes(*entry.first_chunk().unwrap());
                names.push(String::from_utf8(entry[24..].to_vec()).unwrap());
                taken += 1;
                Ok::<_, Errno>(taken < at_a_time)
            };
            ground.files.list(WRITABLE, from, 4_096, take).unwrap();
            if taken == 0 {
                break;
            }
        }
        names.sort();
        assert_eq!(names, whole, "{at_a_time} at a time");
    }
}

/// Ends a thread that goes on until this is set, also when the test that has it fails.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody exchanges a directory for a link to the outside, over and over, while a guest opens a file below it.
#[test]
fn no_race_leads_out() {
    const OPENINGS: usize = 20_000;
    let mut ground = Ground::new();
    let (path, outside) = (ground.inside("inner"), ground.holder.path().join("outside"));
    let (aside, link) = (ground.inside("aside"), ground.inside("link"));
    let over = AtomicBool::new(false);
    let (inside, refused) = std::thread::scope(|scope| {
        scope.spawn(|| {
            symlink(&outside, &link).unwrap();
            while !over.load(Ordering::Relaxed) {
                fs::rename(&path, &aside).unwrap();
                fs::rename(&link, &path).unwrap();
                fs::rename(&path, &link).unwrap();
                fs::rename(&aside, &path).unwrap();
            }
        });
        let _over = SetWhenDropped(&over);
        let (mut inside, mut refused) = (0, 0);
        for _ in 0..OPENINGS {
            match ground.read(WRITABLE, "inner/text") {
                Ok(bytes) => {
                    assert_eq!(bytes, b"further inside");
                    inside += 1;
                }
                Err(Errno::NotPermitted) => refused += 1,
                Err(error) => assert_eq!(error, Errno::NoEntry),
            }
            // By way of `..` through what is being exchanged, and by its bare name.
            if let Ok(bytes) = ground.read(WRITABLE, "inner/../text") {
                assert_eq!(bytes, b"inside");
            }
            let _ = ground.files.link(WRITABLE, b"text", WRITABLE, b"inner/new");
        }
        (inside, refused)
    });
    // Both were met, or the race was none.
    assert!(inside > 0 && refused > 0, "{inside} inside, {refused} refused");
    check_outside(ground.holder.path());
}
