//! Keys of options, tasks, statistics and infos: number, name, range, and who knows them.

use crate::error::{Result, fail};
use crate::thread_pool::MOST_WORKERS;

/// One key with an integer value.
pub(super) struct Key {
    pub(super) number: i32,
    pub(super) name: &'static str,
    pub(super) least: i64,
    pub(super) most: i64,
}

macro_rules! keys {
    ($table:ident: $($name:ident = $number:literal, $least:expr, $most:expr;)*) => {
        $(#[allow(dead_code)] // the table is complete; code names what it asks for
        pub(super) const $name: i32 = $number;)*
        #[allow(dead_code)] // as above
        pub(super) const $table: &[Key] = &[
            $(Key {
                number: $number,
                name: concat!("CFUT_", stringify!($name)),
                least: $least,
                most: $most,
            }),*
        ];
    };
}

const ANY: i64 = i64::MAX;
const TIME: i64 = i64::MIN;

keys! { OPTIONS:
    OPT_WORKERS = 1, 1, MOST_WORKERS as i64;
    OPT_MIN_WORKERS = 2, 0, MOST_WORKERS as i64;
    OPT_IDLE_NS = 3, TIME, ANY;
    OPT_QUEUE_LIMIT = 4, 0, ANY;
    OPT_QUEUE_BYTES = 5, 0, ANY;
    OPT_FULL_POLICY = 6, 0, 2;
    OPT_FULL_TIMEOUT_NS = 7, TIME, ANY;
    OPT_STACK_SIZE = 8, 0, 1 << 40;
    OPT_START_METHOD = 9, 0, 1;
    OPT_TASKS_PER_WORKER = 10, 1, ANY;
    OPT_RSS_PER_WORKER = 11, 1, ANY;
    OPT_MEMORY_LIMIT = 12, 1, ANY;
    OPT_CPU_TIME_LIMIT = 13, 1, ANY;
    OPT_NICE = 14, -20, 19;
    OPT_ON_WORKER_DEATH = 15, 0, 1;
    OPT_START_TIMEOUT_NS = 16, TIME, ANY;
    OPT_SPIN_NS = 17, -1, 1_000_000_000;
    OPT_WAITERS_HELP = 18, 0, 1;
}

/// Options that only process pools have.
pub(super) const PROCESS_OPTIONS: &[i32] = &[
    OPT_START_METHOD,
    OPT_TASKS_PER_WORKER,
    OPT_RSS_PER_WORKER,
    OPT_MEMORY_LIMIT,
    OPT_CPU_TIME_LIMIT,
    OPT_ON_WORKER_DEATH,
    OPT_START_TIMEOUT_NS,
];

keys! { OPTION_TEXTS:
    OPT_NAME = 64, 0, 0;
    OPT_WORKER_PROGRAM = 65, 0, 0;
    OPT_PRELOAD = 66, 0, 0;
    OPT_TRACE_FILE = 67, 0, 0;
}

keys! { TASKS:
    TASK_QUEUE_TIMEOUT_NS = 1, TIME, ANY;
    TASK_RUN_TIMEOUT_NS = 2, TIME, ANY;
    TASK_TOTAL_TIMEOUT_NS = 3, TIME, ANY;
    TASK_GRACE_NS = 4, TIME, ANY;
    TASK_PRIORITY = 5, -1, 1;
    TASK_ATTEMPTS = 6, 1, u32::MAX as i64;
    TASK_CHUNK = 7, 0, ANY;
    TASK_WINDOW = 8, -1, ANY;
    TASK_OUTPUT_LIMIT = 9, TIME, ANY;
}

keys! { TASK_TEXTS:
    TASK_NAME = 64, 0, 0;
    TASK_DIRECTORY = 65, 0, 0;
}

keys! { INFOS:
    INFO_QUEUED_NS = 1, 0, 0;
    INFO_RUN_NS = 2, 0, 0;
    INFO_ATTEMPTS = 3, 0, 0;
    INFO_WORKER_PID = 4, 0, 0;
    INFO_EXIT_CODE = 5, 0, 0;
    INFO_SIGNAL = 6, 0, 0;
    INFO_OUT_OF_MEMORY = 7, 0, 0;
    INFO_MAX_RSS = 8, 0, 0;
    INFO_CPU_NS = 9, 0, 0;
}

keys! { STATS:
    STAT_WORKERS = 1, 0, 0;
    STAT_IDLE_WORKERS = 2, 0, 0;
    STAT_QUEUED = 3, 0, 0;
    STAT_RUNNING = 4, 0, 0;
    STAT_SUBMITTED = 5, 0, 0;
    STAT_SUCCEEDED = 6, 0, 0;
    STAT_FAILED = 7, 0, 0;
    STAT_CANCELLED = 8, 0, 0;
    STAT_EXPIRED = 9, 0, 0;
    STAT_CRASHED = 10, 0, 0;
    STAT_STOLEN = 11, 0, 0;
    STAT_WORKERS_STARTED = 12, 0, 0;
    STAT_OLDEST_QUEUED_NS = 13, 0, 0;
    STAT_MAX_WORKERS = 14, 0, 0;
    STAT_BROKEN = 15, 0, 0;
}

/// The entry of a key, or an error that names the number and the table.
pub(super) fn find(table: &'static [Key], number: i32, what: &str) -> Result<&'static Key> {
    match table.iter().find(|key| key.number == number) {
        Some(key) => Ok(key),
        None => fail!(NotSupported, "{number} is no {what} of this version"),
    }
}

impl Key {
    /// Whether `value` is in the key's range; an error names both.
    pub(super) fn check(&self, value: i64) -> Result<()> {
        if (self.least..=self.most).contains(&value) {
            return Ok(());
        }
        if self.most == ANY {
            return fail!(Invalid, "{} is {value}; the least is {}", self.name, self.least);
        }
        fail!(Invalid, "{} is {value}; it is {} to {}", self.name, self.least, self.most)
    }
}
