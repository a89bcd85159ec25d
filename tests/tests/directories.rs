//! Granted directories: what tasks can do in them, and that nothing leads out of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;
use wasmpool::{DirRights, ErrorKind, FailureKind, Module};
use wasmpool_tests::watchdog::SetWhenDropped;
use wasmpool_tests::{
    Fixture, builder, failure, processes, tasks, tasks_in, text_in, ways_to_keep_instances,
};

wasmpool::test_support!();

/// What lies outside and must never be seen.
const CANARY: &str = "canary";

/// A directory to grant, with a secret beside it, and a pool that is granted it as `/rw` and, for reading, as `/ro`.
struct Ground {
    fixture: Fixture,
    holder: TempDir,
}

impl Ground {
    fn new(change: impl Fn(wasmpool::Builder) -> wasmpool::Builder) -> Self {
        let holder = tempfile::tempdir().expect("a directory");
        let granted = holder.path().join("granted");
        fs::create_dir_all(granted.join("inner")).expect("a directory");
        fs::create_dir(holder.path().join("outside")).expect("a directory");
        fs::write(holder.path().join("outside/text"), CANARY).expect("written");
        fs::write(granted.join("text"), "some words inside").expect("written");
        fs::write(granted.join("inner/text"), "further inside").expect("written");
        let builder = change(builder(2)).dir(&granted, "/rw", DirRights::ReadWrite);
        let fixture = tasks_in(builder.dir(&granted, "/ro", DirRights::ReadOnly));
        Self { fixture, holder }
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.holder.path().join("granted").join(path)
    }

    fn read(&self, path: &str) -> Result<String, String> {
        call(&self.fixture.module, "read_file", path)
    }

    /// A task of two texts that returns nothing.
    fn act(&self, task: &str, first: &str, second: &str) -> Result<(), String> {
        let task = self.fixture.module.task::<(&str, &str), ()>(task).expect("a task");
        task.apply((first, second)).map_err(|error| error.to_string())
    }

    fn check_outside(&self) {
        let outside = self.holder.path().join("outside");
        assert_eq!(fs::read_dir(&outside).expect("listed").count(), 1);
        assert_eq!(fs::read_to_string(outside.join("text")).expect("read"), CANARY);
        assert_eq!(fs::read_dir(self.holder.path()).expect("listed").count(), 2);
    }
}

fn call(module: &Module, task: &str, path: &str) -> Result<String, String> {
    module.task::<&str, String>(task).expect("a task").apply(path).map_err(|error| error.to_string())
}

fn check_refused<R: std::fmt::Debug>(done: Result<R, String>, reason: &str) {
    let refusal = done.expect_err(reason);
    assert!(refusal.contains(reason), "{reason} is missing: {refusal}");
}

#[test]
fn tasks_read_write_and_list_what_they_are_granted() {
    for (way, change) in ways_to_keep_instances() {
        let ground = Ground::new(change);
        let module = &ground.fixture.module;
        assert_eq!(ground.read("/ro/text").as_deref(), Ok("some words inside"), "{way}");
        assert_eq!(ground.read("/rw/inner/../text").as_deref(), Ok("some words inside"), "{way}");
        let words = module.task::<&str, u64>("words_in").expect("a task");
        let paths = ["/ro/text", "/rw/inner/text"];
        assert_eq!(words.map(paths.repeat(20)).expect("words"), [3, 2].repeat(20), "{way}");
        ground.act("write_file", "/rw/made", "one\n").expect(way);
        ground.act("append_to_file", "/rw/made", "two\n").expect(way);
        assert_eq!(ground.read("/ro/made").as_deref(), Ok("one\ntwo\n"), "{way}");
        module.task::<&str, ()>("make_dirs").expect("a task").apply("/rw/a/b").expect(way);
        ground.act("rename", "/rw/made", "/rw/a/b/moved").expect(way);
        ground.act("hard_link", "/rw/a/b/moved", "/rw/linked").expect(way);
        ground.act("soft_link", "a/b/moved", "/rw/link").expect(way);
        assert_eq!(call(module, "read_link", "/ro/link").as_deref(), Ok("a/b/moved"), "{way}");
        assert_eq!(ground.read("/ro/link").as_deref(), Ok("one\ntwo\n"), "{way}");
        let list = module.task::<&str, Vec<String>>("list_dir").expect("a task");
        assert_eq!(list.apply("/ro").expect(way), ["a", "inner", "link", "linked", "text"], "{way}");
        module.task::<&str, ()>("remove").expect("a task").apply("/rw/a").expect(way);
        assert!(!ground.inside("a").exists(), "{way}");
        for change in ["write", "append", "truncate", "times"] {
            ground.act("change_file", "/rw/text", change).expect(change);
        }
        ground.check_outside();
    }
}

#[test]
fn a_large_file_and_a_large_directory_come_through_whole() {
    let ground = Ground::new(|builder| builder);
    let text: String = (0..300_000).map(|number| format!("{number}\n")).collect();
    ground.act("write_file", "/rw/large", &text).expect("written");
    assert_eq!(fs::read_to_string(ground.inside("large")).expect("read"), text);
    assert_eq!(ground.read("/ro/large"), Ok(text));
    for number in 0..3_000 {
        fs::write(ground.inside(&format!("inner/file-{number:04}")), "").expect("written");
    }
    let list = ground.fixture.module.task::<&str, Vec<String>>("list_dir").expect("a task");
    let names = list.apply("/ro/inner").expect("names");
    assert_eq!((names.len(), names[2_999].as_str(), names[3_000].as_str()), (3_001, "file-2999", "text"));
}

#[test]
fn no_path_and_no_link_leads_out() {
    let ground = Ground::new(|builder| builder);
    let outside = ground.holder.path().join("outside/text");
    let outside = outside.to_str().expect("UTF-8");
    symlink("../outside/text", ground.inside("relative")).expect("a link");
    symlink(outside, ground.inside("absolute")).expect("a link");
    symlink("../outside", ground.inside("directory")).expect("a link");
    symlink("/proc/self/fd", ground.inside("magic")).expect("a link");
    let out =
        ["relative", "absolute", "directory/text", "magic/0", "../outside/text", "inner/../../outside/text"];
    for path in out {
        let path = format!("/rw/{path}");
        check_refused(ground.read(&path), "Operation not permitted");
        check_refused(ground.act("write_file", &path, "changed"), "Operation not permitted");
        check_refused(ground.act("change_file", &path, "times"), "Operation not permitted");
    }
    for path in ["/etc/passwd", "/proc/self/fd/0", outside, "", "text", "/"] {
        assert!(ground.read(path).is_err(), "{path}");
    }
    for path in ["/rw/directory/new", "/rw/../outside/new", "/rw/inner/../../outside/new"] {
        for task in ["rename", "hard_link"] {
            check_refused(ground.act(task, "/rw/text", path), "Operation not permitted");
        }
        check_refused(ground.act("soft_link", "text", path), "Operation not permitted");
        check_refused(ground.act("write_file", path, ""), "Operation not permitted");
    }
    for task in ["rename", "hard_link"] {
        for path in ["/rw/directory/text", "/rw/../outside/text"] {
            check_refused(ground.act(task, path, "/rw/stolen"), "Operation not permitted");
        }
    }
    check_refused(ground.act("soft_link", outside, "/rw/made"), "Operation not permitted");
    ground.act("soft_link", "../outside/text", "/rw/made").expect("a link is only a text");
    check_refused(ground.read("/rw/made"), "Operation not permitted");
    let remove = ground.fixture.module.task::<&str, ()>("remove").expect("a task");
    remove.apply("/rw/directory").expect("the link itself");
    assert!(ground.inside("directory").symlink_metadata().is_err());
    ground.check_outside();
}

#[test]
fn where_reading_is_granted_nothing_changes() {
    let ground = Ground::new(|builder| builder);
    let before = fs::metadata(ground.inside("text")).expect("there").modified().expect("a time");
    for way in ["write", "append", "truncate", "times"] {
        check_refused(ground.act("change_file", "/ro/text", way), "Read-only file system");
    }
    check_refused(ground.act("change_file", "/ro/new", "create"), "Read-only file system");
    check_refused(ground.act("write_file", "/ro/text", "changed"), "Read-only file system");
    for task in ["rename", "hard_link"] {
        for (from, to) in [("/ro/text", "/ro/new"), ("/ro/text", "/rw/new"), ("/rw/text", "/ro/new")] {
            check_refused(ground.act(task, from, to), "Read-only file system");
        }
    }
    check_refused(ground.act("soft_link", "text", "/ro/new"), "Read-only file system");
    for (task, path) in [("remove", "/ro/text"), ("remove", "/ro/inner"), ("make_dirs", "/ro/new")] {
        let task = ground.fixture.module.task::<&str, ()>(task).expect("a task");
        check_refused(task.apply(path).map_err(|error| error.to_string()), "Read-only file system");
    }
    assert_eq!(fs::metadata(ground.inside("text")).expect("there").modified().expect("a time"), before);
    assert_eq!(fs::read_to_string(ground.inside("text")).expect("read"), "some words inside");
    assert_eq!(fs::read_dir(ground.inside("")).expect("listed").count(), 2);
}

#[test]
fn without_a_grant_there_are_no_files_and_the_module_loads() {
    let fixture = tasks(1);
    for path in ["/etc/passwd", "text", ".", "/"] {
        assert!(call(&fixture.module, "read_file", path).is_err(), "{path}");
        let list = fixture.module.task::<&str, Vec<String>>("list_dir").expect("a task");
        assert_eq!(failure(list.apply(path)).kind(), FailureKind::Failed, "{path}");
    }
}

#[test]
fn a_directory_is_granted_to_one_module_and_no_other() {
    let fixture = tasks(1);
    let holder = tempfile::tempdir().expect("a directory");
    fs::write(holder.path().join("text"), "granted").expect("written");
    let grant = || fixture.module.clone().grant_dir(holder.path(), "/in", DirRights::ReadOnly);
    let granted = grant().expect("granted");
    assert_eq!(call(&granted, "read_file", "/in/text").as_deref(), Ok("granted"));
    assert!(call(&fixture.module, "read_file", "/in/text").is_err());
    assert_eq!(call(&grant().expect("again"), "read_file", "/in/text").as_deref(), Ok("granted"));
    let task = fixture.module.task::<&str, String>("read_file").expect("a task");
    let task = task.grant_dir(holder.path(), "/elsewhere", DirRights::ReadOnly).expect("granted");
    assert_eq!(task.map(["/elsewhere/text"]).expect("read"), ["granted"]);
    let twice = granted.grant_dir("/", "in/", DirRights::ReadOnly).expect_err("a contradiction");
    assert_eq!(twice.kind(), ErrorKind::Setting);
    assert!(
        twice.to_string().contains("two directories are granted under the guest's path `in/`"),
        "{twice}"
    );
    let missing = fixture.module.clone().grant_dir("/missing", "/in", DirRights::ReadOnly);
    assert!(
        missing.expect_err("missing").to_string().contains("`/missing` cannot be granted: it does not exist")
    );
}

#[test]
fn a_pool_refuses_directories_that_it_cannot_grant() {
    let refused = |host: &Path, guest: &str| {
        let pool = builder(1).dir(host, guest, DirRights::ReadOnly).build();
        pool.map(|_| ()).expect_err("refused")
    };
    for (host, guest, reason) in [
        ("/missing", "/in", "`/missing` cannot be granted: it does not exist; make it first"),
        ("/etc/passwd", "/in", "`/etc/passwd` cannot be granted: it is no directory"),
        ("/", "a/../b", "with `..` in it"),
    ] {
        let error = refused(Path::new(host), guest);
        assert_eq!(error.kind(), ErrorKind::Setting);
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn what_takes_the_place_of_a_granted_directory_is_not_granted() {
    let ground = Ground::new(|builder| builder);
    let (granted, outside) = (ground.inside(""), ground.holder.path().join("outside"));
    let granted = granted.to_str().expect("UTF-8").trim_end_matches('/');
    fs::rename(granted, ground.holder.path().join("moved")).expect("moved");
    symlink(outside, granted).expect("a link");
    assert_eq!(ground.read("/rw/text").as_deref(), Ok("some words inside"));
}

/// Somebody exchanges a directory for a link to the outside, over and over, while calls read a file below it.
#[test]
fn no_race_leads_out() {
    let ground = Ground::new(|builder| builder);
    let (path, outside) = (ground.inside("inner"), ground.holder.path().join("outside"));
    let (aside, link) = (ground.inside("aside"), ground.inside("link"));
    let reads = ground.fixture.module.task::<(&str, u32), Vec<String>>("reads_again").expect("a task");
    let over = AtomicBool::new(false);
    let texts = std::thread::scope(|scope| {
        scope.spawn(|| {
            symlink(&outside, &link).expect("a link");
            while !over.load(Ordering::Relaxed) {
                for (from, to) in [(&path, &aside), (&link, &path), (&path, &link), (&aside, &path)] {
                    fs::rename(from, to).expect("renamed");
                }
            }
        });
        let _over = SetWhenDropped(&over);
        let calls = ["/rw/inner/text", "/ro/inner/text"].map(|path| (path, 3_000)).repeat(4);
        reads.starmap(calls).expect("texts")
    });
    let texts: BTreeSet<String> = texts.into_iter().flatten().collect();
    assert!(texts.iter().eq(["further inside"]), "{texts:?}");
}

#[test]
fn a_guest_that_opens_without_end_is_told_so_and_its_worker_lives() {
    let ground = Ground::new(|builder| builder.workers(1));
    let pids = ground.fixture.pool.worker_pids();
    let leaves_open =
        ground.fixture.module.task::<(&str, u32), (u32, String)>("leaves_open").expect("a task");
    let (opened, reason) = leaves_open.apply(("/ro/text", 5_000)).expect("told");
    assert!(reason.contains("No file descriptors available") || reason.contains("Too many"), "{reason}");
    assert!((900..1_000).contains(&opened), "{opened}");
    // They are the instance's, which stays.
    assert!(ground.read("/ro/text").is_err());
    assert_eq!(ground.fixture.pool.worker_pids(), pids);
    let fresh = Ground::new(|builder| builder.workers(1).fresh(true));
    let leaves_open = fresh.fixture.module.task::<(&str, u32), (u32, String)>("leaves_open").expect("a task");
    for _ in 0..3 {
        assert!(leaves_open.apply(("/ro/text", 5_000)).expect("told").0 > 900);
    }
    assert!(fresh.read("/ro/text").is_ok());
    assert!(leaves_open.starmap([("/ro/text", 600); 5]).expect("told").iter().all(|told| told.0 == 600));
}

#[test]
fn fifos_and_devices_are_refused_at_once() {
    let ground = Ground::new(|builder| builder.dir("/dev", "/dev", DirRights::ReadWrite));
    let fifo = ground.inside("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO");
    check_refused(ground.read("/rw/fifo"), "Not supported");
    check_refused(ground.read("/dev/zero"), "Not supported");
    assert!(ground.act("write_file", "/rw/fifo", "x").is_err());
    assert!(ground.act("write_file", "/dev/null", "x").is_err());
}

#[test]
fn what_a_failed_call_wrote_is_there_and_the_call_is_not_repeated() {
    let ground = Ground::new(|builder| builder);
    let panics = ground.fixture.module.task::<&str, ()>("writes_and_panics").expect("a task");
    assert_eq!(failure(panics.apply("/rw/log")).kind(), FailureKind::Panicked);
    assert_eq!(fs::read_to_string(ground.inside("log")).expect("read"), "x");
}

#[test]
fn a_call_that_writes_for_ever_is_stopped_by_its_limit() {
    let ground = Ground::new(|builder| builder.timeout(Duration::from_millis(200)));
    let writes = ground.fixture.module.task::<&str, ()>("writes_for_ever").expect("a task");
    assert_eq!(failure(writes.apply("/rw/log")).kind(), FailureKind::TimedOut);
    assert!(ground.inside("log").metadata().expect("there").len() > 0);
    assert_eq!(ground.read("/ro/text").as_deref(), Ok("some words inside"));
}

/// Makes the directory `made` in the first that is granted, then turns for ever.
const MAKER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_create_directory" (func $make (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "made")
  (func (export "make") (param i32) (result i32)
    (if (call $make (i32.const 3) (i32.const 0) (i32.const 4)) (then (return (i32.const -1))))
    (loop $again (br $again))
    unreachable))"#;

/// A module that prints nothing has no effects that could be seen but for directories: whether a lost call of it is
/// run again by itself depends on them.
#[test]
fn a_lost_call_that_may_have_written_is_not_run_again_by_itself() {
    let holder = tempfile::tempdir().expect("a directory");
    let fixture = text_in(builder(1).dir(holder.path(), "/rw", DirRights::ReadWrite), "maker", MAKER);
    let make = fixture.module.task::<i32, i32>("make").expect("a task");
    let lost = std::thread::scope(|scope| {
        let call = scope.spawn(|| make.map([0]));
        while !holder.path().join("made").exists() {
            std::thread::yield_now();
        }
        processes::kill(&processes::workers(&fixture.pool));
        call.join().expect("no panic")
    });
    assert!(matches!(failure(lost).kind(), FailureKind::WorkerLost(_)));
}
