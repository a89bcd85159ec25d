//! Which lie a worker tells, and when: a file beside the executable, because a worker inherits nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

macro_rules! lies {
    ($($(#[$doc:meta])* $lie:ident,)+) => {
        /// Something that no honest process says or does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Lie {
            $($(#[$doc])* $lie,)+
        }

        impl Lie {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$lie,)+];

            fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($lie) => Some(Self::$lie),)+
                    _ => None,
                }
            }
        }
    };
}

lies! {
    // Before the module.
    /// Answers the first frame as a process of another version.
    WrongVersion,
    /// Never answers the first frame.
    NeverGreets,
    /// Answers the first frame long after it came, and is honest from then on.
    GreetsLate,
    /// Answers with bytes that are no frame.
    GreetsInGarbage,
    /// Answers with a frame longer than frames can be.
    GreetsAtLength,
    /// Answers with a frame of no bytes.
    GreetsWithNothing,
    /// Answers with descriptors that nobody asked for.
    GreetsWithDescriptors,
    /// Closes the socket and lives on.
    ClosesAtOnce,
    /// Ends at once, as if all were well.
    EndsAtOnce,
    /// Says that it is ready before it hears for what, and then once more.
    ReadyTooEarly,
    /// Says that it is ready and has loaded nothing.
    ReadyForNothing,
    /// Refuses the module in a long text full of control characters.
    RefusesLoudly,
    /// Says something for which there is no word.
    SaysSomethingElse,
    /// Says over and over that it is ready, as often as fits the socket.
    FloodsTheSocket,
    /// Brings descriptors with its answer to the module.
    ReadyWithDescriptors,

    // The range word.
    /// Puts another order's generation into the range word.
    RangeOfAnotherOrder,
    /// Puts the next call behind the last into the range word.
    RangePastItsEnd,
    /// Puts an end far behind the chunk's last call into the range word, and counts that many.
    RangeBeyondTheChunk,
    /// Changes the range word for ever.
    RangeFlips,
    /// Finishes calls that were taken away from it.
    KeepsWhatWasCut,

    // The progress word.
    /// Names a call behind the chunk's last, and stalls.
    NamesCallsBeyond,
    /// Names a call of another order, and stalls.
    NamesAnotherOrder,
    /// Names one call after the other at random, for ever, and stalls.
    NamesCallsAtRandom,
    /// Names no call, and stalls.
    NamesNothing,
    /// Stalls in a call that it names.
    Stalls,
    /// Stalls, and has another process name other calls while it is stopped for a look.
    EvadesTheStop,

    // Counts and results.
    /// Counts more calls than there are, with no results.
    CountsTooMany,
    /// Counts down again, to none.
    CountsBackwards,
    /// Counts the calls of another order.
    CountsForAnotherOrder,
    /// Ends the chunk before any of its calls.
    EndsTooEarly,
    /// Ends the next order, which it was not given.
    EndsWhatItWasNotGiven,
    /// Never ends a chunk all of whose calls are finished.
    NeverEnds,
    /// Says that it was busy for ages.
    WasBusyForAges,
    /// Says that its results are full, over and over.
    IsFullForEver,
    /// Gives a result a length beyond its slot.
    LengthBeyondTheSlot,
    /// Gives results lengths that are beyond the slot together.
    LengthsBeyondTheSlot,
    /// Gives results lengths that reach into the next one's bytes.
    LengthsOverlap,
    /// Gives bytes that are no value as results.
    ResultsOfGarbage,
    /// Gives results of another type.
    ResultsOfAnotherType,
    /// Gives results nested a hundred thousand deep.
    ResultsTooDeep,
    /// Gives results that begin as four billion elements.
    ResultsTooLong,
    /// Changes results for ever after they were counted.
    ResultsChange,

    // Failures.
    /// Ends calls in a way that there is not.
    EndsInNoKnownWay,
    /// Fails with a message whose length is beyond its bytes.
    MessageBeyondItsBytes,
    /// Fails with a message that is no text and would take over a terminal.
    MessageForATerminal,
    /// Fails with a message of as many bytes as a result may have.
    MessageTooLong,
    /// Counts more bytes of failure records than there is room for.
    RecordsBeyondTheSlot,
    /// Cuts a failure record off in its header.
    RecordCutOff,
    /// Writes a failure record that is longer than the records.
    RecordTooLong,
    /// Writes a failure record of a call that cannot be.
    RecordOfNoCall,
    /// Writes failure records in falling order.
    RecordsOutOfOrder,

    // Printed lines.
    /// Says that more lies in the ring than fits.
    RingBeyondItsEnd,
    /// Takes lines back.
    RingBackwards,
    /// Writes a line longer than the ring.
    LineBeyondTheRing,
    /// Writes half of a line's head.
    LineCutOff,
    /// Prints lines for ever.
    PrintsForEver,
    /// Prints empty lines for ever.
    PrintsNothingForEver,

    // Sleep.
    /// Says that it sleeps on an object that it was not granted, while it computes.
    SleepsOnNothing,
    /// Says that it sleeps on the object with the largest number.
    SleepsFarBeyond,
    /// Rings the feeder's bell for ever.
    RingsForEver,

    // The process.
    /// Writes random bytes everywhere it can, for ever.
    ScribblesForEver,
    /// The same, by another process that outlives the worker.
    ScribblesAfterDeath,
    /// Closes the socket in mid-chunk and is honest otherwise.
    ClosesInMidChunk,
    /// Stops itself.
    StopsItself,
    /// Exits with the script's number.
    Exits,
    /// Sends itself the signal of the script's number.
    DiesBySignal,
    /// Says that it panicked, and lives on.
    PanicsAndLives,

    // The compiler process.
    /// Compiles to no descriptors.
    CompilesToNothing,
    /// Compiles to three descriptors.
    CompilesToTooMuch,
    /// Compiles to descriptors from which reading never ends.
    CompilesToNoFile,
    /// Compiles to bytes that are no code.
    CompilesToGarbage,
    /// Calls a module invalid in a text full of control characters.
    CompilesToWords,
}

impl Lie {
    /// Whether a compiler tells it rather than a worker.
    pub(super) fn is_of_compiler(self) -> bool {
        let of_compiler = [
            Self::CompilesToNothing,
            Self::CompilesToTooMuch,
            Self::CompilesToNoFile,
            Self::CompilesToGarbage,
            Self::CompilesToWords,
        ];
        of_compiler.contains(&self)
    }
}

/// What the processes started from one executable do.
#[derive(Clone, Debug)]
pub struct Script {
    /// The lie.
    pub lie: Lie,
    /// How many of them tell it: the first ones. The others are honest.
    pub liars: u32,
    /// In which of its chunks a liar tells it, from 1.
    pub chunk: u32,
    /// What else there is to be said: an exit code, a signal.
    pub number: i32,
    directory: PathBuf,
}

impl Script {
    /// A script for the executable in this directory: its first process lies in its first chunk.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, lie: Lie) -> Self {
        Self { lie, liars: 1, chunk: 1, number: 0, directory: directory.into() }
    }

    /// Puts it where processes find it.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written to.
    pub fn put(&self) -> io::Result<()> {
        let Self { lie, liars, chunk, number, .. } = self;
        std::fs::write(self.directory.join("script"), format!("{lie:?} {liars} {chunk} {number}"))
    }

    /// Whether the lie was told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.directory.join("told").exists()
    }

    /// Arguments of the calls that liars were given.
    ///
    /// # Panics
    ///
    /// When somebody else wrote to the file of them.
    #[must_use]
    pub fn offered(&self) -> Vec<Range<i64>> {
        let offered = std::fs::read_to_string(self.directory.join("offered")).unwrap_or_default();
        let span = |line: &str| {
            let (start, end) = line.split_once(' ').expect("two numbers a line");
            start.parse().expect("a number")..end.parse().expect("a number")
        };
        offered.lines().map(span).collect()
    }

    /// The script of this process's executable, if there is one.
    pub(super) fn of_this_process() -> Option<Self> {
        let executable = std::fs::read_link("/proc/self/exe").ok()?;
        Self::read(executable.parent()?)
    }

    fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(directory.join("script")).ok()?;
        let mut words = text.split(' ');
        Some(Self {
            lie: Lie::named(words.next()?)?,
            liars: words.next()?.parse().ok()?,
            chunk: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            directory: directory.to_owned(),
        })
    }

    /// Whether this process is one of the liars.
    pub(super) fn takes_turn(&self) -> bool {
        (0..self.liars).any(|liar| File::create_new(self.directory.join(format!("liar-{liar}"))).is_ok())
    }

    /// Notes that the lie is being told.
    pub(super) fn note_told(&self) {
        self.append("told", "");
    }

    /// Notes that calls with these arguments were given to this process.
    pub(super) fn note_offered(&self, arguments: &Range<i64>) {
        self.append("offered", &format!("{} {}\n", arguments.start, arguments.end));
    }

    fn append(&self, name: &str, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.directory.join(name));
        // Who reads it misses it.
        let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
    }
}
