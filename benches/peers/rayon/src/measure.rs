//! What `bench.h` is to the C programs: the same clocks, latch, cell and output.

use std::fs;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

pub const SUM_STEPS: u64 = 1 << 16;
pub const SUM_CHUNKS: u64 = 64;

pub struct Bench {
    pub name: String,
    pub tasks: usize,
    pub workers: usize,
    pub producers: usize,
}

impl Bench {
    pub fn from_args() -> Bench {
        let args: Vec<String> = std::env::args().collect();
        let number =
            |i: usize, default| args.get(i).map_or(default, |a| a.parse().expect("a number"));
        Bench {
            name: args.get(1).cloned().unwrap_or_default(),
            tasks: number(2, 1_000_000),
            workers: number(3, 2),
            producers: number(4, 1),
        }
    }
}

fn usage() -> libc::rusage {
    // SAFETY: all bytes zero is a valid rusage, which the call then fills.
    unsafe {
        let mut r: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut r);
        r
    }
}

/// How often threads of this process gave up a core to wait for something.
fn sleeps() -> f64 {
    usage().ru_nvcsw as f64
}

fn cpu_ns() -> f64 {
    let r = usage();
    1e9 * (r.ru_utime.tv_sec + r.ru_stime.tv_sec) as f64
        + 1e3 * (r.ru_utime.tv_usec + r.ru_stime.tv_usec) as f64
}

/// What all programs of the machine have used, and what its host took from it.
fn busy_ns() -> f64 {
    let text = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let v: Vec<f64> = text
        .lines()
        .next()
        .expect("a line")
        .split_whitespace()
        .skip(1)
        .map(|n| n.parse().expect("a number"))
        .collect();
    // SAFETY: sysconf has no conditions.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    1e9 / ticks * (v[0] + v[1] + v[2] + v[5] + v[6] + v[7])
}

pub struct Span {
    wall: Instant,
    cpu: f64,
    busy: f64,
    sleeps: f64,
}

pub fn begin() -> Span {
    let busy = busy_ns();
    let sleeps = sleeps();
    let cpu = cpu_ns();
    Span { wall: Instant::now(), cpu, busy, sleeps }
}

pub fn end(b: &Bench, span: Span, count: f64) {
    let wall = span.wall.elapsed().as_nanos() as f64;
    let cpu = cpu_ns() - span.cpu;
    let sleeps = 1000.0 * (sleeps() - span.sleeps) / count;
    let others = ((busy_ns() - span.busy - cpu) / wall).max(0.0);
    let (wall, cpu) = (wall / count, cpu / count);
    println!("{} wall {wall:.1} cpu {cpu:.1} sleeps {sleeps:.3} others {others:.2}", b.name);
}

fn futex_wait(word: &AtomicU32, seen: u32) {
    // SAFETY: the word is alive during the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            seen,
            0usize,
        );
    }
}

fn futex_wake(word: *const AtomicU32) {
    // SAFETY: the kernel looks at the address only.
    unsafe {
        libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
    }
}

/// Opens when `left` tasks have gone down it.
#[repr(align(128))]
pub struct Latch {
    left: AtomicUsize,
    open: AtomicU32,
}

impl Latch {
    pub const fn new() -> Latch {
        Latch { left: AtomicUsize::new(0), open: AtomicU32::new(0) }
    }

    pub fn set(&self, count: usize) {
        self.open.store(0, Ordering::Relaxed);
        self.left.store(count, Ordering::Release);
    }

    pub fn down(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.open.store(1, Ordering::Release);
            futex_wake(&self.open);
        }
    }

    pub fn wait(&self) {
        while self.open.load(Ordering::Acquire) == 0 {
            futex_wait(&self.open, 0);
        }
    }
}

/// The cheapest future one can write by hand, in the caller's memory.
#[derive(Default)]
pub struct Cell {
    state: AtomicU32,
    value: AtomicU64,
}

impl Cell {
    pub fn clear(&self) {
        self.state.store(0, Ordering::Relaxed);
    }

    /// The value alone, for peers whose scope says when all are done.
    pub fn set(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
    }

    pub fn fill(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
        if self.state.swap(2, Ordering::AcqRel) == 1 {
            futex_wake(&self.state);
        }
    }

    pub fn read(&self) -> u64 {
        if self.state.load(Ordering::Acquire) != 2
            && self.state.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            while self.state.load(Ordering::Acquire) != 2 {
                futex_wait(&self.state, 1);
            }
        }
        self.value.load(Ordering::Relaxed)
    }
}

pub fn cells(count: usize) -> &'static [Cell] {
    Box::leak((0..=count).map(|_| Cell::default()).collect())
}

/// Times `produce` in several threads; each has waited for its own tasks when it returns.
pub fn run_producers(b: &Bench, produce: impl Fn(usize, usize) + Sync) {
    let ready = Barrier::new(b.producers + 1);
    let done = Barrier::new(b.producers + 1);
    let share = b.tasks / b.producers;
    thread::scope(|scope| {
        for number in 0..b.producers {
            let (ready, done, produce) = (&ready, &done, &produce);
            scope.spawn(move || {
                ready.wait();
                produce(number * share, share);
                done.wait();
            });
        }
        let span = begin();
        ready.wait();
        done.wait();
        end(b, span, (share * b.producers) as f64);
    });
}

/// The same steps as bench.h's: each needs the one before.
pub fn sum(chunk: u64) -> u64 {
    let (mut x, mut sum) = (chunk + 1, 0u64);
    for _ in 0..SUM_STEPS {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum = sum.wrapping_add(x);
    }
    sum
}

/// The steps of bench.h's loops, for one number.
pub fn loop_step(place: usize, number: u64) -> u64 {
    // One number at a time, as the C compilers take them.
    let mut x = std::hint::black_box(number.wrapping_add(place as u64 + 1));
    for _ in 0..8 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

/// As many loops as bench.h takes.
pub fn loops(b: &Bench) -> usize {
    16_000_000 / (b.tasks + 100) + 10
}

pub fn fib_value(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

pub fn fib_spawns(n: u64) -> f64 {
    (fib_value(n + 1) - 1) as f64
}

fn rss() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: f64 = text.split_whitespace().nth(1).expect("a field").parse().expect("a number");
    // SAFETY: sysconf has no conditions.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

fn malloced() -> f64 {
    // SAFETY: mallinfo2 has no conditions.
    let m = unsafe { libc::mallinfo2() };
    m.uordblks as f64 + m.hblkhd as f64
}

pub struct Memory {
    rss: f64,
    heap: f64,
}

pub fn memory_begin() -> Memory {
    Memory { rss: rss(), heap: malloced() }
}

pub fn memory_end(b: &Bench, m: Memory) {
    let (rss, heap, tasks) = (rss() - m.rss, malloced() - m.heap, b.tasks as f64);
    println!("{} rss {:.1} malloc {:.1}", b.name, rss / tasks, heap / tasks);
}

fn switches() -> i64 {
    let mut sum = 0;
    let main_thread = std::process::id().to_string();
    for entry in fs::read_dir("/proc/self/task").expect("/proc/self/task").flatten() {
        if *entry.file_name() == *main_thread {
            continue;
        }
        let text = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        for line in text.lines() {
            if let Some(n) = line.strip_prefix("voluntary_ctxt_switches:") {
                sum += n.trim().parse::<i64>().expect("a number");
            }
        }
    }
    sum
}

/// An idle pool: CPU time and wake-ups while nothing is to be done.
pub fn idle(b: &Bench, seconds: f64) {
    thread::sleep(Duration::from_millis(200));
    let before = switches();
    let cpu = cpu_ns();
    thread::sleep(Duration::from_secs_f64(seconds));
    let cpu = cpu_ns() - cpu;
    println!("{} cpu_us {:.0} wakeups {}", b.name, cpu / 1e3, switches() - before);
}
