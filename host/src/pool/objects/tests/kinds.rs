//! All kinds of objects, and what can be done with each of them without waiting for long.

/// A kind of object.
pub(super) struct Kind {
    name: &'static str,
    /// The line that makes one, named `it`.
    pub(super) made: &'static str,
    /// Operations; those that wait do it for five milliseconds at most.
    steps: &'static [&'static str],
}

impl Kind {
    /// The kind of this name.
    pub(super) fn named(name: &str) -> &'static Self {
        KINDS.iter().find(|kind| kind.name == name).unwrap_or_else(|| panic!("there is no kind {name}"))
    }

    /// All its operations, and what every object has to bear, with `; ` between them.
    pub(super) fn steps(&self) -> String {
        [&[OF_ALL], self.steps].concat().join("; ")
    }
}

/// Makes a test for each kind out of a function that takes one.
macro_rules! of_each_kind {
    ($run:path) => {
        of_each_kind! {
            $run:
            value array lock rlock semaphore bounded_semaphore condition event barrier
            queue joinable_queue reporting_queue pipe list dict namespace
        }
    };
    ($run:path: $($kind:ident)+) => {$(
        #[test]
        fn $kind() {
            $run(crate::pool::objects::tests::kinds::Kind::named(stringify!($kind)));
        }
    )+};
}
pub(super) use of_each_kind;

/// The end of a call, and the burying of somebody who died.
const OF_ALL: &str = "end_call; bury";

/// What is done with an object's lock.
const LOCK: &str = "acquire_for 5; try_acquire; release; release";

const PERMITS: &str = "available; try_acquire_kept; acquire_for_kept 5; release 1; release 3";

const KINDS: [Kind; 16] = [
    Kind {
        name: "value",
        made: "it = value 5",
        steps: &[
            LOCK,
            "get; set 3; swap 4; fetch_add 1; fetch_sub 2; fetch_min 3; fetch_max 9; fetch_and 7; fetch_or 8",
            "fetch_xor 1; compare_exchange 1 2; update_double",
        ],
    },
    Kind {
        name: "array",
        made: "it = array [1, 2, 3, 4]",
        steps: &["len; get 3; get 4; set 0 1; fetch_add 2 0.5; read 0 4; write 1 [2, 3]; fill 0 4 9; to_vec"],
    },
    Kind { name: "lock", made: "it = lock", steps: &[LOCK, "is_locked"] },
    Kind { name: "rlock", made: "it = rlock", steps: &[LOCK, "is_locked"] },
    Kind { name: "semaphore", made: "it = semaphore 3", steps: &[PERMITS] },
    Kind { name: "bounded_semaphore", made: "it = bounded_semaphore 3", steps: &[PERMITS] },
    Kind { name: "condition", made: "it = condition", steps: &[LOCK, "wait_for 5; notify 1; notify_all"] },
    Kind { name: "event", made: "it = event", steps: &["set; clear; is_set; wait_for 5"] },
    Kind {
        name: "barrier",
        made: "it = barrier 2",
        steps: &["wait_for 5; wait_for 5; abort; reset; reset; n_waiting; is_broken"],
    },
    Kind {
        name: "queue",
        made: "it = queue 4",
        steps: &["try_put 1; put_for \"text\" 5; try_get; get_for 5; take_in_hand 5; len; is_empty; is_full"],
    },
    Kind {
        name: "joinable_queue",
        made: "it = joinable_queue 4",
        steps: &["put_for [1, 2] 5; get_for 5; take_in_hand 5; task_done; join_for 5; len"],
    },
    Kind {
        name: "reporting_queue",
        made: "it = reporting_queue 4",
        steps: &["put_for 7 5; get_for 5; take_in_hand 5; take_reported; len"],
    },
    Kind {
        name: "pipe",
        made: "it = pipe",
        steps: &["send_for {\"a\": 1} 5; send_for 2 5; recv_for 5; poll 5"],
    },
    Kind {
        name: "list",
        made: "it = list",
        steps: &[
            "len; get 0; get -1; set 0 [1]; push \"more\"; insert 1 2; extend [1, 2, 3]; pop; pop_at 0",
            "remove_at -1; clear; to_vec; slice 1 3; touch 0",
        ],
    },
    Kind {
        name: "dict",
        made: "it = dict",
        steps: &[
            "len; get 1; insert 1 2; insert \"b\" [3]; remove 1; pop \"b\"; contains_key 1; set_default 3 4",
            "touch 1; extend [[1, 2], [3, 4]]; keys; values; items; clear",
        ],
    },
    Kind {
        name: "namespace",
        made: "it = namespace",
        steps: &["len; get \"x\"; set \"x\" 1; set \"y\" [2]; delete \"x\"; contains \"y\"; clear"],
    },
];
