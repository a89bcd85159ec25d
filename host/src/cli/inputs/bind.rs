//! Binds one input to the parameters of a task.

use super::kind::Kind;
use super::range::Range;
use super::{Binding, InputError, Parameters, Piece, Text};
use crate::cli::json::{self, Fault, Problem};
use crate::printable::{printable, printable_name};

/// Turns inputs, one after the other, into the arguments of calls of one task.
#[derive(Debug)]
pub(crate) struct Binder<'a> {
    binding: Binding,
    text: Text,
    parameters: Parameters<'a>,
    kinds: Vec<Kind>,
}

/// Why an input does not fit.
#[derive(Debug)]
pub(super) enum Misfit {
    /// It is not a JSON value, or one that is nested too deeply.
    NotJson(Fault),
    /// It is, but not for this task.
    Unbindable(String),
}

impl From<Fault> for Misfit {
    fn from(fault: Fault) -> Self {
        Self::NotJson(fault)
    }
}

impl From<String> for Misfit {
    fn from(message: String) -> Self {
        Self::Unbindable(message)
    }
}

impl<'a> Binder<'a> {
    /// For the inputs of one job.
    ///
    /// # Errors
    ///
    /// When no input at all could be bound: `map` of a task that does not take one argument, or strings for a task
    /// that takes numbers.
    pub(crate) fn new(binding: Binding, text: Text, parameters: Parameters<'a>) -> Result<Self, InputError> {
        let kinds: Vec<Kind> = parameters.kinds.iter().map(|kind| Kind::of(kind)).collect();
        let task = printable_name(parameters.task);
        if binding == Binding::One && kinds.len() != 1 {
            let remedy = if kinds.is_empty() { "apply" } else { "starmap with arrays of arguments" };
            return Err(InputError::Refused(format!(
                "map gives each call one argument, but task `{task}` takes {} {parameters}; use {remedy}",
                kinds.len(),
            )));
        }
        let takes_no_string =
            |kind: &Kind| matches!(kind, Kind::Integer { .. } | Kind::Float | Kind::Boolean);
        if text == Text::Strings && kinds.iter().any(takes_no_string) {
            return Err(InputError::Refused(format!(
                "--strings gives task `{task}` strings, but it takes {parameters}; leave --strings away",
            )));
        }
        Ok(Self { binding, text, parameters, kinds })
    }

    /// The `position`-th input (from 1) of `map` or `starmap` on the command line.
    pub(crate) fn input(&self, position: usize, text: &str) -> Result<Piece, InputError> {
        self.piece(text).map_err(|misfit| refused(&format!("input {position}"), text, misfit))
    }

    /// The one call of `apply`: each of `texts` is an argument, or one object binds them all by name.
    pub(crate) fn call(&self, texts: &[String]) -> Result<Piece, InputError> {
        if let [object] = texts
            && let Some(arguments) = self.named_arguments(object)
        {
            return arguments.map(Piece::Json).map_err(|misfit| refused("argument 1", object, misfit));
        }
        if texts.len() != self.kinds.len() {
            return Err(InputError::Refused(self.parameters.arity_error(texts.len())));
        }
        let arguments: Result<Vec<String>, InputError> = self
            .kinds
            .iter()
            .zip(texts)
            .enumerate()
            .map(|(index, (kind, text))| {
                self.argument(*kind, text)
                    .map_err(|misfit| refused(&format!("argument {}", index + 1), text, misfit))
            })
            .collect();
        Ok(Piece::Json(format!("[{}]", arguments?.join(","))))
    }

    /// The arguments of an initializer: an array, an object that binds them by name, or the one that it takes.
    pub(crate) fn initializer(&self, text: &str) -> Result<String, InputError> {
        let is_list = text.trim_start_matches(json::WHITESPACE).starts_with(['[', '{']);
        let bound = match self.kinds[..] {
            _ if is_list => self.bound(text),
            [kind] => self.argument(kind, text).map(|argument| format!("[{argument}]")),
            _ => Err(self.parameters.arity_error(1).into()),
        };
        let place = format!("--initializer {}", printable_name(self.parameters.task));
        bound.map_err(|misfit| refused(&place, text, misfit))
    }

    /// How inputs are written.
    pub(super) fn text(&self) -> Text {
        self.text
    }

    /// One line of stdin.
    pub(super) fn line(&self, line: &str) -> Result<Piece, Misfit> {
        let arguments = match (self.text, self.binding) {
            (Text::Strings, Binding::Text) => return Ok(Piece::Text(line.to_owned())),
            (Text::Strings, _) => format!("[{}]", json::quoted(line)),
            (Text::Json, Binding::Text) => {
                json::check(line)?;
                return Ok(Piece::Text(decoded(line)?));
            }
            (Text::Json, _) => self.bound(line)?,
        };
        Ok(Piece::Json(arguments))
    }

    fn piece(&self, text: &str) -> Result<Piece, Misfit> {
        if let Some(range) = self.range(text) {
            return Ok(range.map(|range| Piece::Range { start: range.start, length: range.length })?);
        }
        let arguments = match (self.binding, &self.kinds[..]) {
            (Binding::Text, _) if self.text == Text::Strings => return Ok(Piece::Text(text.to_owned())),
            (Binding::Text, _) => return Ok(Piece::Text(decoded(text)?)),
            (Binding::One, [kind]) => match self.named_arguments(text) {
                Some(arguments) => arguments?,
                None => format!("[{}]", self.argument(*kind, text)?),
            },
            _ => self.bound(text)?,
        };
        Ok(Piece::Json(arguments))
    }

    /// `text` as a range of inputs, unless it is something else or a word for a task that wants strings.
    fn range(&self, text: &str) -> Option<Result<Range, String>> {
        let wants_words = matches!(self.kinds[..], [Kind::Text { .. }]) || self.text == Text::Strings;
        match self.binding {
            Binding::One if wants_words => return None,
            Binding::Text if self.text == Text::Strings => return None,
            Binding::Text => return Range::parse(text),
            Binding::One | Binding::Many => {}
        }
        Some(Range::parse(text)?.and_then(|range| self.fitting(text, range)))
    }

    fn fitting(&self, text: &str, range: Range) -> Result<Range, String> {
        let (Binding::One, [kind], [kind_name]) = (self.binding, &self.kinds[..], self.parameters.kinds)
        else {
            return Err(format!(
                "range {text} gives single integers, starmap takes arrays of arguments; use map"
            ));
        };
        let kind_name = printable_name(kind_name);
        match (*kind, range.last()) {
            (Kind::Boolean, _) => Err(format!("range {text} gives integers, expected {kind_name}")),
            (Kind::Integer { min, max }, Some(last)) if i128::from(range.start) < min || last > max => {
                Err(format!("range {text} is out of range for {kind_name} ({min}..={max})"))
            }
            _ => Ok(range),
        }
    }

    /// One argument of its own, as JSON.
    fn argument(&self, kind: Kind, text: &str) -> Result<String, Misfit> {
        if self.text == Text::Strings {
            return Ok(json::quoted(text));
        }
        if let Kind::Text { optional } = kind {
            let trimmed = text.trim_matches(json::WHITESPACE);
            let is_json =
                (trimmed.starts_with('"') && json::check(trimmed).is_ok()) || (optional && trimmed == "null");
            return Ok(if is_json { trimmed.to_owned() } else { json::quoted(text) });
        }
        if Range::parse(text).is_some() {
            return Err(format!("range {text} stands for many inputs, apply makes one call; use map").into());
        }
        json::check(text)?;
        Ok(text.trim_matches(json::WHITESPACE).to_owned())
    }

    /// One JSON value as the arguments of a call.
    fn bound(&self, json: &str) -> Result<String, Misfit> {
        json::check(json)?;
        let json = json.trim_matches(json::WHITESPACE);
        match (self.binding, json.as_bytes()) {
            (Binding::One | Binding::Text, _) => match self.named_arguments(json) {
                Some(arguments) => arguments,
                None => Ok(format!("[{json}]")),
            },
            (Binding::Many, [b'{', ..]) => self.by_name(json),
            (Binding::Many, [b'[', ..]) => match json::elements(json, 0)? {
                (_, count) if count == self.kinds.len() => Ok(json.to_owned()),
                (_, count) => Err(self.parameters.arity_error(count).into()),
            },
            (Binding::Many, _) => {
                let shown = printable(json, 40);
                Err(format!("starmap takes arrays of arguments, not {shown}; write [{shown}], or use map")
                    .into())
            }
        }
    }

    /// The arguments of an object that stands alone and binds parameters by name, rather than being an argument.
    fn named_arguments(&self, text: &str) -> Option<Result<String, Misfit>> {
        let is_object = text.trim_start_matches(json::WHITESPACE).starts_with('{');
        if !is_object || self.text == Text::Strings {
            return None;
        }
        let bound = || {
            json::check(text)?;
            self.by_name(text)
        };
        match self.kinds[..] {
            [Kind::Opaque] => None,
            // Whatever does not bind is a word.
            [Kind::Text { .. }] => bound().ok().map(Ok),
            _ => Some(bound()),
        }
    }

    /// The values of `object` in the order of the parameters.
    fn by_name(&self, object: &str) -> Result<String, Misfit> {
        if self.parameters.names.iter().any(Option::is_none) {
            let task = printable_name(self.parameters.task);
            return Err(format!(
                "task `{task}` does not name its parameters {}; give an array",
                self.parameters
            )
            .into());
        }
        let mut arguments: Vec<Option<&str>> = vec![None; self.kinds.len()];
        // One member more than there are parameters cannot all be known and different.
        let members = json::members(object, self.kinds.len() + 1)?;
        for (name, value) in &members {
            let place = self.place(name).ok_or_else(|| self.unknown_name(name))?;
            if arguments[place].replace(value.get()).is_some() {
                return Err(format!("`{}` is given twice", printable_name(name)).into());
            }
        }
        let arguments: Option<Vec<&str>> = arguments.iter().copied().collect();
        match arguments {
            Some(arguments) => Ok(format!("[{}]", arguments.join(","))),
            None => Err(self.missing_names(&members).into()),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names().position(|parameter| parameter == name)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.parameters.names.iter().flatten().map(String::as_str)
    }

    fn unknown_name(&self, name: &str) -> String {
        let task = printable_name(self.parameters.task);
        let shown = printable_name(name);
        let nearest = self.names().map(|parameter| (edits(name, parameter), parameter)).min();
        let hint = match nearest {
            Some((edits, parameter)) if edits <= 2 && edits < parameter.chars().count() => {
                format!("; did you mean `{}`?", printable_name(parameter))
            }
            _ => String::new(),
        };
        format!("no parameter is called `{shown}`, task `{task}` takes {}{hint}", self.parameters)
    }

    fn missing_names<V>(&self, members: &[(String, V)]) -> String {
        let given = |parameter: &str| members.iter().any(|(name, _)| name == parameter);
        let missing: Vec<String> = self
            .names()
            .filter(|name| !given(name))
            .map(|name| format!("`{}`", printable_name(name)))
            .collect();
        let task = printable_name(self.parameters.task);
        format!("{} missing, task `{task}` takes {}", missing.join(", "), self.parameters)
    }
}

/// The text that a program is given for a JSON value, or for a bare word: a string's own, and any other as it stands.
fn decoded(text: &str) -> Result<String, String> {
    let trimmed = text.trim_matches(json::WHITESPACE);
    if !trimmed.starts_with('"') || json::check(trimmed).is_err() {
        return Ok(text.to_owned());
    }
    serde_json::from_str(trimmed)
        .map_err(|_| format!("{} is no text: half a character", printable(trimmed, 40)))
}

/// The user's line about an input on the command line.
fn refused(place: &str, text: &str, misfit: Misfit) -> InputError {
    InputError::Refused(match misfit {
        Misfit::Unbindable(message) => format!("{place}: {message}"),
        Misfit::NotJson(Fault { problem, line, column }) => {
            let line = if line == 1 { String::new() } else { format!("line {line}, ") };
            let remedy = remedy(&problem, text).unwrap_or_default();
            format!("{place}: {problem} at {line}column {column}{remedy}")
        }
    })
}

fn remedy(problem: &Problem, text: &str) -> Option<String> {
    if matches!(problem, Problem::TooDeep(_)) || text.starts_with(['[', '{', '"']) {
        return None;
    }
    if text.contains("..") && text.bytes().all(|byte| byte.is_ascii_digit() || b"-.=".contains(&byte)) {
        return Some("; write ranges as 0..10 or 0..=9".to_owned());
    }
    let short = text.len() <= 40 && !text.contains('\'');
    let example = if short { format!(": '{}'", printable(&json::quoted(text), 80)) } else { String::new() };
    Some(format!("; quote it if a string is meant{example}"))
}

/// Levenshtein's distance, of names cut to a length that keeps it cheap.
fn edits(from: &str, to: &str) -> usize {
    const CHARACTERS_MAX: usize = 64;
    let to: Vec<char> = to.chars().take(CHARACTERS_MAX).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, left) in from.chars().take(CHARACTERS_MAX).enumerate() {
        let mut diagonal = row[0];
        row[0] = deleted + 1;
        for (column, right) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `add(a: i64, b: i64)` as a binder; a parameter without `:` has no name.
    fn with_binder<T>(
        signature: &str,
        binding: Binding,
        text: Text,
        then: impl FnOnce(Result<Binder<'_>, InputError>) -> T,
    ) -> T {
        let (task, parameters) =
            signature.strip_suffix(')').and_then(|s| s.split_once('(')).expect("a signature");
        let parameters = parameters.split("; ").filter(|parameter| !parameter.is_empty());
        let (names, kinds): (Vec<Option<String>>, Vec<String>) = parameters
            .map(|parameter| match parameter.split_once(": ") {
                Some((name, kind)) => (Some(name.to_owned()), kind.to_owned()),
                None => (None, parameter.to_owned()),
            })
            .unzip();
        then(Binder::new(binding, text, Parameters { task, names: &names, kinds: &kinds }))
    }

    fn bound(signature: &str, binding: Binding, input: &str) -> Result<Piece, InputError> {
        with_binder(signature, binding, Text::Json, |binder| binder?.input(3, input))
    }

    fn applied(signature: &str, arguments: &[&str]) -> Result<Piece, InputError> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        with_binder(signature, Binding::Many, Text::Json, |binder| binder?.call(&arguments))
    }

    fn check(result: Result<Piece, InputError>, expected: &str) {
        let shown = match result {
            Ok(Piece::Json(json)) => json,
            Ok(Piece::Text(text)) => format!("text {text}"),
            Ok(Piece::Range { start, length }) => format!("{length} from {start}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    fn check_map(signature: &str, input: &str, expected: &str) {
        check(bound(signature, Binding::One, input), expected);
    }

    fn check_starmap(signature: &str, input: &str, expected: &str) {
        check(bound(signature, Binding::Many, input), expected);
    }

    fn check_apply(signature: &str, arguments: &[&str], expected: &str) {
        check(applied(signature, arguments), expected);
    }

    #[test]
    fn map_takes_values_as_they_are_written() {
        check_map("cube(n: i64)", "7", "[7]");
        check_map("cube(n: i64)", " -7 ", "[-7]");
        check_map(
            "wide(n: u128)",
            "340282366920938463463374607431768211455",
            "[340282366920938463463374607431768211455]",
        );
        check_map("norm(p: Point)", r#"{"x":  1.10, "y": 2}"#, r#"[{"x":  1.10, "y": 2}]"#);
        check_map("sum(values: Vec<f64>)", "[1, 2]", "[[1, 2]]");
    }

    #[test]
    fn programs_take_texts() {
        let given =
            |text, input| with_binder("_start(text)", Binding::Text, text, |binder| binder?.input(1, input));
        let texts = [
            ("Ada", "text Ada"),
            (" two  words ", "text  two  words "),
            ("7", "text 7"),
            (r#"{"a": 1}"#, r#"text {"a": 1}"#),
            (r#" "a \u00e9" "#, "text a é"),
            (r#""open"#, r#"text "open"#),
            ("-5..5", "10 from -5"),
            ("0..x", "text 0..x"),
            ("", "text "),
        ];
        for (input, expected) in texts {
            check(given(Text::Json, input), expected);
        }
        for input in [r#""a""#, "0..3"] {
            check(given(Text::Strings, input), &format!("text {input}"));
        }
        check(given(Text::Json, r#""\ud800""#), r#"input 1: "\ud800" is no text: half a character"#);
    }

    #[test]
    fn map_takes_ranges() {
        check_map("cube(n: i64)", "-5..5", "10 from -5");
        check_map("cube(n: f64)", "0..=9", "10 from 0");
        check_map("cube(Number)", "3..3", "0 from 3");
        check_map("step(n: i32)", "0..2147483648", "2147483648 from 0");
        check_map(
            "step(n: i32)",
            "0..=2147483648",
            "input 3: range 0..=2147483648 is out of range for i32 (-2147483648..=2147483647)",
        );
        check_map("step(n: u8)", "-1..5", "input 3: range -1..5 is out of range for u8 (0..=255)");
        check_map("step(n: u8)", "300..300", "0 from 300");
        check_map("flip(on: bool)", "0..2", "input 3: range 0..2 gives integers, expected bool");
        check_map(
            "cube(n: i64)",
            "0..",
            "input 3: not JSON: invalid number at column 3; write ranges as 0..10 or 0..=9",
        );
        check_starmap(
            "add(a: i64; b: i64)",
            "0..3",
            "input 3: range 0..3 gives single integers, starmap takes arrays of arguments; use map",
        );
    }

    #[test]
    fn words_are_strings_where_the_task_wants_one() {
        for kind in ["String", "&str", "Option<String>"] {
            let signature = format!("greet(name: {kind})");
            check_map(&signature, "Ada", r#"["Ada"]"#);
            check_map(&signature, "42", r#"["42"]"#);
            check_map(&signature, "0..3", r#"["0..3"]"#);
            check_map(&signature, r#""quoted""#, r#"["quoted"]"#);
            check_map(&signature, r#""open"#, r#"["\"open"]"#);
            check_map(&signature, " spaced ", r#"[" spaced "]"#);
            check_map(&signature, "", r#"[""]"#);
            check_map(&signature, r#"{"name": "Ada"}"#, r#"["Ada"]"#);
            check_map(&signature, r#"{"name": 1} 2"#, r#"["{\"name\": 1} 2"]"#);
            check_map(&signature, r#"{"nome": 1}"#, r#"["{\"nome\": 1}"]"#);
        }
        check_map("greet(name: String)", "null", r#"["null"]"#);
        check_map("greet(name: Option<String>)", "null", "[null]");
        check_map(
            "norm(p: Point)",
            "abc",
            r#"input 3: not JSON: expected value at column 1; quote it if a string is meant: '"abc"'"#,
        );
        check_map(
            "cube(n: i64)",
            "it's",
            "input 3: not JSON: expected value at column 1; quote it if a string is meant",
        );
        check_map("norm(p: Point)", "{x: 1}", "input 3: not JSON: key must be a string at column 2");
        check_map("norm(p: Point)", "[1,\n 2,]", "input 3: not JSON: expected value at line 2, column 4");
        check_map("norm(p: Point)", "[1", "input 3: not JSON: the value does not end at column 2");
    }

    #[test]
    fn map_needs_a_task_of_one_parameter() {
        check_map(
            "add(a: i64; b: i64)",
            "[1,2]",
            "map gives each call one argument, but task `add` takes 2 (a: i64, b: i64); use starmap with arrays of arguments",
        );
        check_map("tick()", "1", "map gives each call one argument, but task `tick` takes 0 (); use apply");
    }

    #[test]
    fn starmap_takes_arrays_with_the_right_number_of_arguments() {
        check_starmap("add(a: i64; b: i64)", "[1, 2]", "[1, 2]");
        check_starmap("tick()", "[]", "[]");
        check_starmap(
            "add(a: i64; b: i64)",
            "[1,2,3]",
            "input 3: 3 arguments given, task `add` takes 2 (a: i64, b: i64)",
        );
        check_starmap("add(i64; i64)", "[[1,2]]", "input 3: 1 argument given, task `add` takes 2 (i64, i64)");
        check_starmap("tick()", "[1]", "input 3: 1 argument given, task `tick` takes none");
        check_starmap(
            "add(a: i64; b: i64)",
            "5",
            "input 3: starmap takes arrays of arguments, not 5; write [5], or use map",
        );
    }

    #[test]
    fn objects_bind_by_name() {
        check_starmap("add(a: i64; b: i64)", r#"{"b": 2.50, "a": [1, 2]}"#, "[[1, 2],2.50]");
        check_starmap("norm(p: Point)", r#"{"p": {"x": 1}}"#, r#"[{"x": 1}]"#);
        check_starmap("tick()", "{}", "[]");
        check_map("cube(n: i64)", r#"{"n": 3}"#, "[3]");
        check_apply("add(a: i64; b: i64)", &[r#"{"b": 2, "a": 1}"#], "[1,2]");
        check_apply("norm(p: Point)", &[r#"{"x": 1}"#], r#"[{"x": 1}]"#);
    }

    #[test]
    fn names_that_do_not_bind_are_named() {
        let add = "add(first: i64; second: i64)";
        let signature = "task `add` takes (first: i64, second: i64)";
        check_starmap(add, r#"{"first": 1}"#, &format!("input 3: `second` missing, {signature}"));
        check_starmap(add, "{}", &format!("input 3: `first`, `second` missing, {signature}"));
        check_starmap(
            add,
            r#"{"frist": 1, "second": 2}"#,
            &format!("input 3: no parameter is called `frist`, {signature}; did you mean `first`?"),
        );
        check_starmap(add, r#"{"x": 1}"#, &format!("input 3: no parameter is called `x`, {signature}"));
        check_starmap(add, r#"{"first": 1, "first": 2}"#, "input 3: `first` is given twice");
        check_starmap(
            add,
            r#"{"first": 1, "second": 2, "first": 3, "x": 4}"#,
            "input 3: `first` is given twice",
        );
        check_starmap(
            "add(i64; i64)",
            r#"{"a": 1}"#,
            "input 3: task `add` does not name its parameters (i64, i64); give an array",
        );
    }

    #[test]
    fn apply_takes_each_argument_for_itself() {
        check_apply("tick()", &[], "[]");
        check_apply("add(a: i64; b: i64)", &["1", " -2"], "[1,-2]");
        check_apply("greet(name: String; times: u32)", &["0..3", "2"], r#"["0..3",2]"#);
        check_apply("add(a: i64; b: i64)", &["1"], "1 argument given, task `add` takes 2 (a: i64, b: i64)");
        check_apply(
            "cube(n: i64)",
            &["0..3"],
            "argument 1: range 0..3 stands for many inputs, apply makes one call; use map",
        );
        check_apply(
            "add(a: i64; b: i64)",
            &["1", "x"],
            r#"argument 2: not JSON: expected value at column 1; quote it if a string is meant: '"x"'"#,
        );
    }

    #[test]
    fn strings_are_taken_as_they_stand() {
        let strings = |signature: &str, input: &str| {
            with_binder(signature, Binding::One, Text::Strings, |binder| binder?.input(1, input))
        };
        for input in ["0..3", r#""q""#, r#"{"name": 1}"#, "null"] {
            check(strings("greet(name: String)", input), &format!("[{}]", json::quoted(input)));
            check(strings("show(name: Thing)", input), &format!("[{}]", json::quoted(input)));
        }
        check(
            strings("cube(n: i64)", "3"),
            "--strings gives task `cube` strings, but it takes (n: i64); leave --strings away",
        );
    }

    #[test]
    fn hostile_names_stay_on_their_line() {
        check_starmap(
            "a\u{1b}[2J(x\n: i64)",
            "[]",
            "input 3: 0 arguments given, task `a\\u{1b}[2J` takes 1 (x\\n: i64)",
        );
    }

    #[test]
    fn edits_are_counted() {
        for (from, to, expected) in
            [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
    }
}
