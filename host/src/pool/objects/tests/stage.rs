//! The objects that a test is about, made by lines of text, and the same objects as another process has them.

use serde_json::Value as Json;
use wasmpool_abi::shared::Element;

use super::super::*;
use super::any::{Answer, Any, Given};
use crate::shm::region::Writer;

/// Objects by name.
pub(super) struct Stage {
    registry: Arc<Registry>,
    objects: Mutex<BTreeMap<String, Any>>,
}

impl Stage {
    /// A stage with an object for each line; see `expectations.txt` for what they say.
    pub(super) fn with<'a>(lines: impl IntoIterator<Item = &'a str>) -> Arc<Self> {
        let stage = Self::empty();
        lines.into_iter().for_each(|line| stage.make(line));
        Arc::new(stage)
    }

    /// The objects that another process made, of which each comes with its descriptor.
    pub(super) fn from_grants(grants: Vec<Grant>, descriptors: Vec<OwnedFd>) -> Arc<Self> {
        assert_eq!(grants.len(), descriptors.len());
        let stage = Self::empty();
        for (grant, file) in grants.into_iter().zip(descriptors) {
            let entry = stage.adopt(grant, file);
            stage.place(Any::new(entry));
        }
        Arc::new(stage)
    }

    fn empty() -> Self {
        Self { registry: Registry::new(), objects: Mutex::default() }
    }

    /// All objects.
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        self.objects().values().map(|any| Arc::clone(any.entry())).collect()
    }

    /// One object.
    pub(super) fn any(&self, name: &str) -> Any {
        self.objects().get(name).unwrap_or_else(|| panic!("there is no {name}")).clone()
    }

    /// Does an operation on an object; some are not its handle's but its keeper's.
    pub(super) fn perform(&self, object: &str, operation: &str, given: &[Json]) -> Answer {
        let any = self.any(object);
        match operation {
            "drop" => _ = self.objects().remove(object),
            // A call of this thread fails.
            "end_call" => {
                let party = parties::of_this_thread().expect("a number");
                any.entry().object.end_call(party, CallEnd::Abnormal);
            }
            // Somebody dies who may have been inside.
            "bury" => {
                let party = parties::take().expect("a number");
                any.entry().object.bury(party);
                parties::give_back(party);
            }
            _ => return any.perform(operation, &mut Given::new(given)),
        }
        Ok(Json::Null)
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Any>> {
        self.objects.lock().expect("nothing panics under it")
    }

    fn place(&self, any: Any) {
        let name = any.entry().name.clone();
        self.objects().insert(name, any);
    }

    fn make(&self, line: &str) {
        let (name, made) = line.split_once(" = ").expect("NAME = KIND JSON...");
        let (kind, given) = made.split_once(' ').unwrap_or((made, ""));
        let given = arguments(given);
        let given = &mut Given::new(&given);
        if let "pipe" | "one_way_pipe" = kind {
            let shape = PipeOptions::new().bytes(64 << 10).shape(kind == "pipe");
            let ends = self.registry.create_pipe(name, shape).expect("it can be made");
            return ends.into_iter().for_each(|end| self.place(Any::new(end)));
        }
        // What it holds at first, if that is not nothing.
        let (number, elements) = match kind {
            "value" => (Some(given.integer()), Vec::new()),
            "array" => (None, given.floats()),
            _ => (None, Vec::new()),
        };
        let spec = spec(kind, elements.len() as u64, given);
        let any = Any::new(self.registry.create(name, spec).expect("it can be made"));
        match &any {
            Any::Value(value) => value.set(number.expect("a value's number")).expect("it can be written"),
            Any::Array(array) => array.write(0, &elements).expect("it can be written"),
            _ => {}
        }
        self.place(any);
    }

    /// An object of another process, mapped with the rights that it was granted with.
    fn adopt(&self, grant: Grant, file: OwnedFd) -> Arc<Entry> {
        let Grant { name, spec, rights } = grant;
        let writer = if rights == Rights::ReadWrite { Writer::Worker } else { Writer::Supervisor };
        let bytes = spec.bytes().expect("an object that was made has a size");
        let region = Arc::new(Region::map(file.as_fd(), bytes, writer).expect("it can be mapped"));
        let object = Object::open(&spec, Arc::clone(&region), rights);
        let registry = Arc::clone(&self.registry);
        let entry = Entry {
            name,
            spec,
            object,
            region,
            file,
            reading: OnceLock::new(),
            holders: Arc::default(),
            registry,
        };
        let entry = Arc::new(entry);
        list(&mut self.registry.entries(), &entry);
        entry
    }
}

fn spec(kind: &str, elements: u64, given: &mut Given<'_>) -> Spec {
    let queue = |given: &mut Given<'_>| QueueOptions::new(given.size()).bytes(64 << 10);
    let records = |given: &mut Given<'_>| {
        let records = given.next().map_or(64, |records| records.as_u64().expect("a number"));
        RecordOptions::new().bytes(64 << 10).records(records as usize).shape()
    };
    match kind {
        "value" => Spec::Value { element: Element::I64 },
        "array" => Spec::Array { element: Element::F64, length: elements },
        "lock" => Spec::Lock,
        "rlock" => Spec::RLock,
        "semaphore" => Spec::Semaphore { permits: given.size() as u32, bounded: false },
        "bounded_semaphore" => Spec::Semaphore { permits: given.size() as u32, bounded: true },
        "condition" => Spec::Condition,
        "event" => Spec::Event,
        "barrier" => Spec::Barrier { parties: given.size() as u32 },
        "queue" => Spec::Queue(queue(given).shape(false)),
        "reporting_queue" => Spec::Queue(queue(given).report_orphans().shape(false)),
        "joinable_queue" => Spec::Queue(queue(given).shape(true)),
        "list" => Spec::List(records(given)),
        "dict" | "namespace" => {
            Spec::Dict { shape: records(given), seed: 7, is_namespace: kind == "namespace" }
        }
        other => panic!("there is no kind {other}"),
    }
}

/// JSON values, one after the other.
pub(super) fn arguments(text: &str) -> Vec<Json> {
    let arguments = serde_json::Deserializer::from_str(text).into_iter();
    arguments.collect::<Result<_, _>>().expect("JSON")
}
