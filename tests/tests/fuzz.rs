//! A short run of every fuzz target: its corpus, and then mutations of it.
//!
//! `WASMPOOL_FUZZ_SECONDS` makes it longer, `WASMPOOL_TEST_SEED` repeats it. `WASMPOOL_FUZZ_SEEDS=write` writes what
//! honest encoders write today into the corpus, for encoders that have changed. A fuzzer that is guided by coverage,
//! for longer hunts, stands in `tests/fuzz`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmpool::fuzzing::{TARGETS, Target, target};
use wasmpool_tests::random::Random;

/// How long mutations go on, unless said otherwise.
const FUZZ_TIME: Duration = Duration::from_secs(1);

/// Longest time of one input on a busy machine; they take microseconds.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest input.
const INPUT_BYTES_MAX: usize = 4096;

macro_rules! fuzz {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            fuzz(target(stringify!($name)));
        })+

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),+];
            assert!(TARGETS.iter().all(|target| run.contains(&target.name)), "{run:?}");
        }
    };
}

fuzz! {
    task_section module codes frames chunk results shared_objects command_line inputs records printed
}

fn fuzz(target: Target) {
    let corpus = corpus(target);
    for entry in &corpus {
        run(target, entry, "an entry of the corpus");
    }
    let mut random = Random::from_environment();
    let repeat = random.how_to_repeat();
    let began = Instant::now();
    while began.elapsed() < fuzz_time() {
        for _ in 0..100 {
            let input = mutated(&corpus, &mut random);
            run(target, &input, &repeat);
        }
    }
}

fn fuzz_time() -> Duration {
    let asked = std::env::var("WASMPOOL_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    asked.map_or(FUZZ_TIME, Duration::from_secs)
}

/// The entries of a target's corpus, in the order of their names.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    if std::env::var("WASMPOOL_FUZZ_SEEDS").is_ok_and(|wanted| wanted == "write") {
        write_seeds(target, &directory);
    }
    let entries = fs::read_dir(&directory).expect("a corpus");
    let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("an entry")).collect();
    for seed in (target.seeds)() {
        let advice = "write it with WASMPOOL_FUZZ_SEEDS=write";
        assert!(corpus.contains(&seed), "the corpus of {} lacks a seed: {advice}", target.name);
    }
    corpus
}

fn write_seeds(target: Target, directory: &Path) {
    fs::create_dir_all(directory).expect("a directory");
    for (number, seed) in (target.seeds)().into_iter().enumerate() {
        fs::write(directory.join(format!("seed-{number:02}")), seed).expect("a seed");
    }
}

/// Keeps and shows the input of a target that panics.
struct Shown<'a> {
    target: Target,
    input: &'a [u8],
    from: &'a str,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{}", self.target.name));
            let kept = fs::write(&path, self.input);
            let text = format!(
                "{} failed at {}, {:?}",
                self.target.name,
                self.from,
                self.input.escape_ascii().to_string()
            );
            // The test's output is captured; who sees a failure sees it.
            panic_note(&format!("{text}; kept as {} ({kept:?})", path.display()));
        }
    }
}

#[allow(clippy::print_stderr, reason = "tests' output is captured and shown when they fail")]
fn panic_note(text: &str) {
    eprintln!("{text}");
}

fn run(target: Target, input: &[u8], from: &str) {
    let _shown = Shown { target, input, from };
    let began = Instant::now();
    (target.run)(input);
    assert!(began.elapsed() < INPUT_TIME_MAX, "an input took {:?}", began.elapsed());
}

/// An entry with a few changes, or two of them grown together.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = pick(corpus, random).clone();
    if random.below(4) == 0 {
        let other = pick(corpus, random);
        input.truncate(random.below(input.len() as u64 + 1) as usize);
        input.extend(&other[random.below(other.len() as u64 + 1) as usize..]);
    }
    for _ in 0..=random.below(6) {
        change(&mut input, random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn pick<'a>(corpus: &'a [Vec<u8>], random: &mut Random) -> &'a Vec<u8> {
    &corpus[random.below(corpus.len() as u64) as usize]
}

fn change(input: &mut Vec<u8>, random: &mut Random) {
    const TELLING: [u64; 12] =
        [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];
    let length = input.len() as u64;
    let at = random.below(length + 1) as usize;
    let end = at + random.below((length - at as u64).min(16) + 1) as usize;
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.below(256) as u8,
        2 => {
            let number = TELLING[random.below(TELLING.len() as u64) as usize];
            let number = number.wrapping_add(random.below(3)).wrapping_sub(1).to_le_bytes();
            let width = 1 << random.below(4);
            for (place, byte) in input.iter_mut().skip(at).zip(&number[..width]) {
                *place = *byte;
            }
        }
        3 => drop(input.drain(at..end)),
        4 => {
            let copy = input[at..end].to_vec();
            let to = random.below(length + 1) as usize;
            input.splice(to..to, copy);
        }
        5 => input.truncate(at),
        _ => {
            let bytes: Vec<u8> = (0..=random.below(8)).map(|_| random.below(256) as u8).collect();
            input.splice(at..at, bytes);
        }
    }
}
