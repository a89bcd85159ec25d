//! Frames of the control socket, in both directions.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::control::{
    Arguments, CodeKind, Compile, CompilerSays, DirRights, Directory, Form, Grant, Hello, HelloBack,
    Identity, Initializer, InstanceLimits, Load, NumericEntry, Run, Service, TaskEntries, VERSION, Wishes,
    WorkerSays, decode, encode, quoted,
};
use crate::shm::object::Party;
use crate::shm::object::ground::Rights;
use crate::shm::object::spec::{Orphaned, QueueShape, RecordsShape, Spec};

/// The first byte chooses which frame the others are read as.
pub(super) fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 8 {
        0 => drop(read::<HelloBack>(bytes)),
        1 => {
            if let Some(WorkerSays::Refused(text) | WorkerSays::Panicked(text)) = read(bytes) {
                check_quoted(&text);
            }
        }
        2 => {
            if let Some(CompilerSays::Invalid(text) | CompilerSays::Unsuitable(text)) = read(bytes) {
                check_quoted(&text);
            }
        }
        3 => drop(read::<Hello>(bytes)),
        4 => drop(read::<Load>(bytes)),
        5 => drop(read::<Compile>(bytes)),
        6 => drop(read::<Run>(bytes)),
        _ => {
            for grant in read::<Service>(bytes).map(|service| service.grants).unwrap_or_default() {
                // What any numbers come to must be computable.
                let _ = (grant.spec.check(), grant.spec.bytes(), grant.spec.kind());
            }
        }
    }
}

/// What is read, written again, and read once more, is written in the same way.
fn read<T: DeserializeOwned + Serialize + Debug>(bytes: &[u8]) -> Option<T> {
    let frame: T = decode(bytes).ok()?;
    let Ok(written) = encode(&frame) else { return Some(frame) };
    let again: T = decode(&written).expect("what was written can be read");
    assert_eq!(format!("{frame:?}"), format!("{again:?}"));
    Some(frame)
}

fn check_quoted(text: &str) {
    let shown = quoted(text);
    assert!(shown.len() <= 48_000, "{} bytes of a text of {}", shown.len(), text.len());
    assert!(!shown.contains(|shown: char| shown.is_control()), "{shown:?}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let seed = |kind: u8, bytes: Vec<u8>| [&[kind][..], &bytes].concat();
    vec![
        seed(0, written(&HelloBack { version: VERSION, refusal: None })),
        seed(1, written(&WorkerSays::Ready)),
        seed(1, written(&WorkerSays::Refused("no such import".into()))),
        seed(1, written(&WorkerSays::Panicked("\x1b[2J".into()))),
        seed(2, written(&CompilerSays::Compiled)),
        seed(2, written(&CompilerSays::Invalid("type mismatch".into()))),
        seed(3, written(&Hello { version: VERSION, supervisor: 1, wishes: Wishes::default() })),
        seed(4, written(&Load { party: Party::new(3), snapshot_bytes: None, identity: Identity::default() })),
        seed(
            5,
            written(&Compile {
                memory_bytes_max: 1 << 32,
                cpu_seconds_max: 60,
                code: CodeKind::default(),
                form: Form::Warmed { module_bytes_max: 1 << 28 },
            }),
        ),
        seed(
            6,
            written(&Run {
                arguments: vec!["program".into(), "-v".into()],
                environment: vec![("NAME".into(), "value".into())],
                limits: InstanceLimits::default(),
                code: CodeKind::default(),
                fuel: Some(1 << 30),
                directories: vec![directory()],
            }),
        ),
        seed(7, written(&service())),
    ]
}

fn written(frame: &impl Serialize) -> Vec<u8> {
    encode(frame).expect("a frame that is short enough")
}

fn service() -> Service {
    let numeric = NumericEntry { export: "cube".into(), parameters: 1, results: 1, driver: Some(0) };
    let records = RecordsShape { records_max: 16, bytes_max: 4096 };
    let queue = QueueShape { items_max: 8, bytes_max: 4096, joinable: true, orphaned: Orphaned::GivenBack };
    let specs = [Spec::Lock, Spec::Queue(queue), Spec::Dict { shape: records, seed: 7, is_namespace: false }];
    let grants = specs.into_iter().enumerate().map(|(number, spec)| Grant {
        name: format!("object{number}"),
        spec,
        rights: Rights::ReadWrite,
    });
    Service {
        has_drivers: true,
        limits: InstanceLimits::default(),
        code: CodeKind { counts_fuel: true, has_canonical_nans: true },
        seed: Some(7),
        keep_resident_bytes: 1 << 16,
        environment: vec![("NAME".into(), "value".into())],
        tasks: vec![
            TaskEntries { pull: None, numeric: Some(numeric) },
            TaskEntries { pull: Some("wasmpool:task:echo".into()), numeric: None },
        ],
        stand_ins: vec!["cube".into()],
        initializer: Some(Initializer { task: 1, arguments: Arguments::Json(b"[1]".to_vec()) }),
        grants: grants.collect(),
        directories: vec![directory()],
    }
}

fn directory() -> Directory {
    Directory { path: "data".into(), rights: DirRights::ReadOnly }
}
