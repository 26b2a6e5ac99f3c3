//! rayon in the comparison. `spawn` is its way to hand on a task from outside and go on (no handle:
//! a cell or a latch stands in), `scope` its way to wait for many, `join` its fork and join.

mod measure;

use measure::{Bench, Cell, Latch, SUM_CHUNKS};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

const WINDOW: usize = 1024;

static LATCH: Latch = Latch::new();

struct Program {
    bench: Bench,
    pool: ThreadPool,
    cells: &'static [Cell],
}

impl Program {
    fn spawn(&self, cell: &'static Cell, number: u64) {
        cell.clear();
        self.pool.spawn(move || cell.fill(2 * number));
    }

    fn each_with_cell(&self, first: usize, count: usize) {
        for i in first..first + count {
            self.spawn(&self.cells[i], i as u64);
        }
        for i in first..first + count {
            collect(&self.cells[i], i);
        }
    }

    fn each_in_window(&self, first: usize, count: usize) {
        let ring = &self.cells[first..];
        for i in 0..count + WINDOW {
            if i >= WINDOW && i - WINDOW < count {
                collect(&ring[i % WINDOW], first + i - WINDOW);
            }
            if i < count {
                self.spawn(&ring[i % WINDOW], (first + i) as u64);
            }
        }
    }

    fn each_detached(&self, _first: usize, count: usize) {
        for _ in 0..count {
            self.pool.spawn(|| LATCH.down());
        }
        LATCH.wait();
    }

    fn future(&self) {
        self.each_with_cell(0, self.bench.tasks);
        measure::run_producers(&self.bench, |first, count| self.each_with_cell(first, count));
    }

    fn window(&self) {
        self.each_in_window(0, self.bench.tasks);
        measure::run_producers(&self.bench, |first, count| self.each_in_window(first, count));
    }

    fn group(&self) {
        let b = &self.bench;
        LATCH.set(b.tasks);
        self.each_detached(0, b.tasks);
        LATCH.set(b.tasks / b.producers * b.producers);
        measure::run_producers(b, |first, count| self.each_detached(first, count));
    }

    /// A scope whose body runs in the thread outside: the same shape as `group`.
    fn scope(&self) {
        let run = |first: usize, count: usize| {
            self.pool.in_place_scope(|scope| {
                for i in first..first + count {
                    let cell = &self.cells[i];
                    scope.spawn(move |_| cell.set(2 * i as u64));
                }
            });
        };
        run(0, self.bench.tasks);
        measure::run_producers(&self.bench, run);
    }

    /// A scope whose body runs in a worker.
    fn nested(&self) {
        for (round, count) in [self.bench.tasks; 2].into_iter().enumerate() {
            let span = measure::begin();
            self.pool.scope(|scope| {
                for i in 0..count {
                    let cell = &self.cells[i];
                    scope.spawn(move |_| cell.set(2 * i as u64));
                }
            });
            if round == 1 {
                measure::end(&self.bench, span, count as f64);
            }
        }
    }

    fn fib(&self, fib: fn(u64) -> u64) {
        let n = self.bench.tasks as u64;
        self.pool.install(|| fib(n - 5));
        let span = measure::begin();
        let value = self.pool.install(|| fib(n));
        assert_eq!(value, measure::fib_value(n));
        measure::end(&self.bench, span, measure::fib_spawns(n));
    }

    fn pingpong(&self) {
        let span = measure::begin();
        for i in 0..self.bench.tasks {
            self.spawn(&self.cells[0], i as u64);
            collect(&self.cells[0], i);
        }
        measure::end(&self.bench, span, self.bench.tasks as f64);
    }

    fn pingpong_install(&self) {
        let span = measure::begin();
        for i in 0..self.bench.tasks as u64 {
            assert_eq!(self.pool.install(|| std::hint::black_box(2 * i)), 2 * i);
        }
        measure::end(&self.bench, span, self.bench.tasks as f64);
    }

    fn sum(&self) {
        let expected = (0..SUM_CHUNKS).map(measure::sum).fold(0, u64::wrapping_add);
        let span = measure::begin();
        for _ in 0..self.bench.tasks {
            let parts = || (0..SUM_CHUNKS).into_par_iter().map(measure::sum);
            let sum = self.pool.install(|| parts().reduce(|| 0, u64::wrapping_add));
            assert_eq!(sum, expected);
        }
        measure::end(&self.bench, span, self.bench.tasks as f64);
    }

    fn parallel_loop(&self) {
        let count = measure::loops(&self.bench);
        let mut numbers = vec![0u64; self.bench.tasks];
        let mut round = || {
            self.pool.install(|| {
                let all = numbers.par_iter_mut().enumerate();
                all.for_each(|(i, number)| *number = measure::loop_step(i, *number));
            });
        };
        round();
        let span = measure::begin();
        (0..count).for_each(|_| round());
        measure::end(&self.bench, span, count as f64);
        for (i, &number) in numbers.iter().enumerate() {
            assert_eq!((0..=count).fold(0, |number, _| measure::loop_step(i, number)), number);
        }
    }

    fn memory(&self) {
        let b = &self.bench;
        static RUNNING: Latch = Latch::new();
        LATCH.set(1);
        RUNNING.set(b.workers);
        for _ in 0..b.workers {
            self.pool.spawn(|| {
                RUNNING.down();
                LATCH.wait();
            });
        }
        RUNNING.wait();
        let before = measure::memory_begin();
        for i in 0..b.tasks {
            self.spawn(&self.cells[i], i as u64);
        }
        measure::memory_end(b, before);
        LATCH.down();
        for i in 0..b.tasks {
            collect(&self.cells[i], i);
        }
    }

    fn idle(&self) {
        const BURST: usize = 100_000;
        LATCH.set(BURST);
        self.each_detached(0, BURST);
        measure::idle(&self.bench, self.bench.tasks as f64);
    }
}

fn collect(cell: &Cell, number: usize) {
    assert_eq!(cell.read(), 2 * number as u64);
}

fn fib_join(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (one, two) = rayon::join(|| fib_join(n - 1), || fib_join(n - 2));
    one + two
}

fn fib_scope(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (mut one, mut two) = (0, 0);
    rayon::scope(|scope| {
        scope.spawn(|_| one = fib_scope(n - 1));
        two = fib_scope(n - 2);
    });
    one + two
}

fn main() {
    let bench = Bench::from_args();
    let pool = ThreadPoolBuilder::new().num_threads(bench.workers).build().expect("a pool");
    let cells = measure::cells(bench.tasks);
    let program = Program { bench, pool, cells };
    match program.bench.name.as_str() {
        "future" => program.future(),
        "window" => program.window(),
        "group" => program.group(),
        "scope" => program.scope(),
        "nested" => program.nested(),
        "fib" => program.fib(fib_join),
        "fib-scope" => program.fib(fib_scope),
        "pingpong" => program.pingpong(),
        "pingpong-install" => program.pingpong_install(),
        "sum" => program.sum(),
        "loop" => program.parallel_loop(),
        "memory" => program.memory(),
        "idle" => program.idle(),
        _ => std::process::exit(3),
    }
}
