//! Runs a command on a kernel that lacks system calls: `without-calls NUMBER[/FIRST]=ERRNO... -- COMMAND ARGUMENT...`.
//!
//! Each call fails with that error, here and in all processes that the command starts; where FIRST is given, only with
//! that first argument.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let middle = arguments.iter().position(|argument| argument == "--").ok_or("no -- before the command")?;
    let (calls, command) = (&arguments[..middle], &arguments[middle + 1..]);
    for call in calls {
        let (call, errno) = call.split_once('=').ok_or("calls are NUMBER[/FIRST]=ERRNO")?;
        let (number, first) =
            call.split_once('/').map_or((call, None), |(number, first)| (number, Some(first)));
        let mut rules = Vec::new();
        if let Some(first) = first {
            let is_it = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, first.parse()?);
            rules.push(SeccompRule::new(vec![SeccompCondition::new(0, is_it.0, is_it.1, is_it.2)?])?);
        }
        let rules = BTreeMap::from([(number.parse()?, rules)]);
        let (otherwise, here) = (SeccompAction::Allow, SeccompAction::Errno(errno.parse()?));
        let filter = SeccompFilter::new(rules, otherwise, here, std::env::consts::ARCH.try_into()?)?;
        seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    }
    let (program, arguments) = command.split_first().ok_or("no command")?;
    Err(Command::new(program).args(arguments).exec().into())
}
