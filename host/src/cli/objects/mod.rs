//! Shared objects on the command line: declared by flags, granted to the job, and printed when it is over.
//!
//! [`declare`] reads one flag at a time, [`Objects`] is what they mean together. A declaration becomes an object of
//! the pool once the task is known to exist; [`Made`] holds it until the command ends. [`state`] writes what is left
//! in an object, [`record`] what guests have put there.

pub(crate) mod declare;
mod record;
mod state;

#[cfg(feature = "fuzzing")]
pub(super) use record::{write_key, write_value};

use std::io::{self, Write};
use std::sync::Arc;

use wasmpool_abi::shared::{CellOp, Kind};

use self::declare::{Declaration, Form, end_name};
use super::args::ObjectFlags;
use super::output::Shape;
use crate::pool::objects::Entry;
use crate::pool::{Error, Module, Pool};
use crate::shm::object::Object;

/// The objects that the command line asks for, and which of them are printed.
#[derive(Debug, PartialEq)]
pub(crate) struct Objects {
    declared: Vec<Declaration>,
    /// Names in the order in which they were given; each is declared.
    printed: Vec<String>,
}

/// The same, made.
#[derive(Debug)]
pub(crate) struct Made {
    entries: Vec<Arc<Entry>>,
    printed: Vec<Arc<Entry>>,
}

impl Objects {
    /// Gives the flags their meaning.
    ///
    /// # Errors
    ///
    /// One line for the user, when a name is given twice or what shall be printed is not there.
    pub(crate) fn new(flags: ObjectFlags) -> Result<Self, String> {
        let (declared, printed) = flags.into_parts();
        let mut names: Vec<(String, &str)> = Vec::new();
        for declaration in &declared {
            for name in declaration.names() {
                if let Some((_, other)) = names.iter().find(|(known, _)| *known == name) {
                    let flag = declaration.flag();
                    let both = if flag == *other {
                        format!("--{flag} twice")
                    } else {
                        format!("--{other} and --{flag}")
                    };
                    return Err(format!(
                        "the name {name} is given by {both}; each shared object needs its own"
                    ));
                }
                names.push((name, declaration.flag()));
            }
        }
        for (position, name) in printed.iter().enumerate() {
            if printed[..position].contains(name) {
                return Err(format!("--print {name} is given twice; leave one of them away"));
            }
            if !names.iter().any(|(known, _)| known == name) {
                return Err(undeclared(name, &declared));
            }
        }
        Ok(Self { declared, printed })
    }

    /// Makes the objects.
    ///
    /// # Errors
    ///
    /// As [`Pool::create_object`].
    pub(crate) fn make(&self, pool: &Pool) -> Result<Made, Error> {
        let mut entries = Vec::new();
        for declaration in &self.declared {
            entries.extend(declaration.make(pool)?);
        }
        let entry = |name: &String| {
            let named = entries.iter().find(|entry: &&Arc<Entry>| entry.name == *name);
            Arc::clone(named.expect("what is printed is declared"))
        };
        let printed = self.printed.iter().map(entry).collect();
        Ok(Made { entries, printed })
    }
}

impl Declaration {
    /// What guests open it as.
    fn names(&self) -> Vec<String> {
        match self.form {
            Form::Pipe(_) => vec![end_name(&self.name, 0), end_name(&self.name, 1)],
            Form::Cells { .. } | Form::Fresh(_) => vec![self.name.clone()],
        }
    }

    /// The flag that declares it.
    fn flag(&self) -> &'static str {
        match &self.form {
            Form::Pipe(_) => kind_name(Kind::Pipe),
            Form::Cells { spec, .. } | Form::Fresh(spec) => kind_name(spec.kind()),
        }
    }

    fn make(&self, pool: &Pool) -> Result<Vec<Arc<Entry>>, Error> {
        match &self.form {
            Form::Fresh(spec) => Ok(vec![pool.create_object(&self.name, spec.clone())?]),
            Form::Cells { spec, initial } => {
                let entry = pool.create_object(&self.name, spec.clone())?;
                if let Object::Cells(cells) = &entry.object {
                    for (index, bits) in (0..).zip(initial) {
                        let set = cells.operate(CellOp::Set, index, *bits, 0);
                        debug_assert!(set.is_ok(), "nobody else has the object yet");
                    }
                }
                Ok(vec![entry])
            }
            Form::Pipe(shape) => Ok(pool.create_pipe(&self.name, *shape)?.into()),
        }
    }
}

impl Made {
    /// The module with all of them.
    pub(crate) fn granted_to(&self, module: Module) -> Module {
        self.entries.iter().fold(module, Module::grant_entry)
    }

    /// Whether any is to be printed.
    pub(crate) fn is_printed(&self) -> bool {
        !self.printed.is_empty()
    }

    /// Writes the states of those that are to be printed, each on a line; says which could not be shown as a whole.
    ///
    /// Reading takes queues and pipes empty.
    pub(crate) fn print(&self, shape: Shape, out: &mut impl Write) -> io::Result<Vec<String>> {
        let mut problems = Vec::new();
        for entry in &self.printed {
            let name = &entry.name;
            match shape {
                Shape::Lines | Shape::Array => write!(out, "{name} = ")?,
                // Neither name nor kind has characters that JSON escapes.
                Shape::Records => {
                    let kind = kind_name(entry.spec.kind());
                    write!(out, r#"{{"name":"{name}","kind":"{kind}","state":"#)?;
                }
            }
            if let Some(problem) = state::write(entry, out)? {
                problems.push(format!("--print {name}: {problem}"));
            }
            out.write_all(if shape == Shape::Records { b"}\n" } else { b"\n" })?;
        }
        Ok(problems)
    }
}

fn undeclared(name: &str, declared: &[Declaration]) -> String {
    if let Some(pipe) = declared.iter().find(|other| other.name == name) {
        let [one, other] = [0, 1].map(|end| end_name(&pipe.name, end));
        return format!("--print {name}: a pipe has two ends; print {one} or {other}");
    }
    let names: Vec<String> = declared.iter().flat_map(Declaration::names).collect();
    if names.is_empty() {
        return format!(
            "--print {name}: no shared object is declared; add a flag such as --value {name}=i32:0"
        );
    }
    format!("--print {name}: no shared object has this name; those declared: {}", names.join(", "))
}

/// A kind as flags spell it.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Array => "array",
        Kind::Lock => "lock",
        Kind::RLock => "rlock",
        Kind::Semaphore => "semaphore",
        Kind::BoundedSemaphore => "bounded-semaphore",
        Kind::Condition => "condition",
        Kind::Event => "event",
        Kind::Barrier => "barrier",
        Kind::Queue => "queue",
        Kind::JoinableQueue => "joinable-queue",
        Kind::Pipe => "pipe",
        Kind::List => "list",
        Kind::Dict => "dict",
        Kind::Namespace => "namespace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parser = fn(&str) -> Result<Declaration, String>;

    fn declared(flags: &[(Parser, &str)]) -> ObjectFlags {
        let value = flags.iter().map(|(parser, text)| parser(text).expect("a declaration")).collect();
        ObjectFlags { value, ..ObjectFlags::default() }
    }

    fn check_refused(mut flags: ObjectFlags, printed: &[&str], expected: &str) {
        flags.print = printed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(Objects::new(flags), Err(expected.to_owned()));
    }

    #[test]
    fn a_name_belongs_to_one_object() {
        check_refused(
            declared(&[(declare::lock, "l"), (declare::lock, "l")]),
            &[],
            "the name l is given by --lock twice; each shared object needs its own",
        );
        check_refused(
            declared(&[(declare::value, "l=i32"), (declare::bounded_semaphore, "l=3")]),
            &[],
            "the name l is given by --value and --bounded-semaphore; each shared object needs its own",
        );
        check_refused(
            declared(&[(declare::event, "p.1"), (declare::pipe, "p")]),
            &[],
            "the name p.1 is given by --event and --pipe; each shared object needs its own",
        );
        // A pipe has no name of its own.
        let both = Objects::new(declared(&[(declare::event, "p"), (declare::pipe, "p")]));
        assert!(both.is_ok(), "{both:?}");
    }

    #[test]
    fn what_is_printed_is_declared() {
        check_refused(
            declared(&[]),
            &["counter"],
            "--print counter: no shared object is declared; add a flag such as --value counter=i32:0",
        );
        let flags =
            || declared(&[(declare::value, "counter=i32"), (declare::pipe, "p"), (declare::lock, "l")]);
        check_refused(
            flags(),
            &["l", "conter"],
            "--print conter: no shared object has this name; those declared: counter, p.0, p.1, l",
        );
        check_refused(flags(), &["p"], "--print p: a pipe has two ends; print p.0 or p.1");
        check_refused(flags(), &["l", "l"], "--print l is given twice; leave one of them away");
        let mut right = flags();
        right.print = ["p.1", "counter"].map(str::to_owned).to_vec();
        assert_eq!(Objects::new(right).expect("accepted").printed, ["p.1", "counter"]);
    }
}
