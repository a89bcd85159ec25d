//! Files, in the directories that a task is granted; without any, every one of these fails.

use std::collections::BTreeSet;
use std::ffi::{CString, c_char, c_int};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use wasmpool_guest::task;

/// The text in a file.
#[task]
pub fn read_file(path: &str) -> Result<String, io::Error> {
    fs::read_to_string(path)
}

/// How many words there are in a file.
#[task]
pub fn words_in(path: &str) -> Result<usize, io::Error> {
    Ok(fs::read_to_string(path)?.split_whitespace().count())
}

/// Makes a file with this text in it, in place of the one that may be there.
#[task]
pub fn write_file(path: &str, text: &str) -> Result<(), io::Error> {
    fs::write(path, text)
}

/// Adds text to the end of a file, at once.
#[task]
pub fn append_to_file(path: &str, text: &str) -> Result<(), io::Error> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

/// Changes a file in one of the ways that there are: `write`, `append`, `create`, `truncate`, `times`.
#[task]
pub fn change_file(path: &str, way: &str) -> Result<(), String> {
    let mut options = OpenOptions::new();
    let opened = match way {
        "write" => options.write(true).open(path),
        "append" => options.append(true).open(path),
        "create" => options.write(true).create_new(true).open(path),
        "truncate" => options.write(true).truncate(true).open(path),
        "times" => options.read(true).open(path),
        _ => return Err(format!("there is no way `{way}`")),
    };
    let file = opened.map_err(|error| error.to_string())?;
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    file.set_times(times).map_err(|error| error.to_string())
}

/// Names of what is in a directory, sorted.
#[task]
pub fn list_dir(path: &str) -> Result<Vec<String>, io::Error> {
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    Ok(entries.collect::<Result<BTreeSet<String>, io::Error>>()?.into_iter().collect())
}

/// Makes a directory, and those above it that are missing.
#[task]
pub fn make_dirs(path: &str) -> Result<(), io::Error> {
    fs::create_dir_all(path)
}

/// Removes a file, or a directory with everything in it.
#[task]
pub fn remove(path: &str) -> Result<(), io::Error> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Gives a file or directory another name.
#[task]
pub fn rename(from: &str, to: &str) -> Result<(), io::Error> {
    fs::rename(from, to)
}

/// Gives a file one more name.
#[task]
pub fn hard_link(from: &str, to: &str) -> Result<(), io::Error> {
    fs::hard_link(from, to)
}

/// Makes a symbolic link.
#[task]
pub fn soft_link(target: &str, path: &str) -> Result<(), io::Error> {
    #[allow(unsafe_code, reason = "the standard library has it for wasm only unstably")]
    unsafe extern "C" {
        fn symlink(target: *const c_char, path: *const c_char) -> c_int;
    }
    let (target, path) = (CString::new(target)?, CString::new(path)?);
    // SAFETY: both are texts that end in a zero byte and live longer than the call.
    #[allow(unsafe_code, reason = "as above")]
    let made = unsafe { symlink(target.as_ptr(), path.as_ptr()) };
    if made == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where a symbolic link leads.
#[task]
pub fn read_link(path: &str) -> Result<String, io::Error> {
    Ok(fs::read_link(path)?.to_string_lossy().into_owned())
}

/// Opens a file so often and closes it never; how often it could, and why not more often.
#[task]
pub fn leaves_open(path: &str, times: u32) -> (u32, String) {
    for opened in 0..times {
        match File::open(path) {
            Ok(file) => std::mem::forget(file),
            Err(error) => return (opened, error.to_string()),
        }
    }
    (times, String::new())
}

/// Reads a file so often, and returns the different texts that it found.
#[task]
pub fn reads_again(path: &str, times: u32) -> BTreeSet<String> {
    (0..times).filter_map(|_| fs::read_to_string(path).ok()).collect()
}

/// Writes a file and then panics.
#[task]
pub fn writes_and_panics(path: &str) {
    append_to_file(path, "x").expect("written");
    panic!("after it wrote");
}

/// Writes a line to a file over and over, and returns never.
#[task]
pub fn writes_for_ever(path: &str) {
    loop {
        append_to_file(path, "x").expect("written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_can_be_read() {
        let directory = std::env::temp_dir().join(format!("wasm-tasks-{}", std::process::id()));
        let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
        make_dirs(&path("")).unwrap();
        write_file(&path("text"), "one two").unwrap();
        append_to_file(&path("text"), " three").unwrap();
        assert_eq!(words_in(&path("text")).unwrap(), 3);
        hard_link(&path("text"), &path("linked")).unwrap();
        rename(&path("linked"), &path("moved")).unwrap();
        soft_link("moved", &path("link")).unwrap();
        assert_eq!(read_link(&path("link")).unwrap(), "moved");
        assert_eq!(read_file(&path("link")).unwrap(), "one two three");
        assert_eq!(list_dir(&path("")).unwrap(), ["link", "moved", "text"]);
        assert!(change_file(&path("text"), "create").is_err());
        change_file(&path("text"), "times").unwrap();
        assert_eq!(reads_again(&path("text"), 2).len(), 1);
        assert_eq!(leaves_open(&path("text"), 2).0, 2);
        remove(&path("")).unwrap();
        assert!(read_file(&path("text")).is_err());
    }
}
