'use strict';
// What cfutures.js promises, checked one after the other. node --expose-gc test.js [NAME...]
const assert = require('node:assert/strict');
const { setMaxListeners } = require('node:events');
const fs = require('node:fs');
const { ThreadPool, ProcessPool, CallError, asCompleted } = require('./cfutures.js');

const TASKS = process.env.CFUT_TASKS;
const WORKER = require.resolve('./worker.js');
const MAKE = [
    () => new ThreadPool({ workers: 2 }),
    () => new ProcessPool({ workers: 2 }), // cfutures-worker
    () => new ProcessPool({ workers: 2, worker: WORKER }),
];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const range = (n) => [...Array(n).keys()];

function number(n) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(n));
    return bytes;
}

async function withPool(make, use) {
    const pool = make();
    try {
        await use(pool);
    } finally {
        await pool.shutdown();
    }
}

function eachKind(use) {
    return async () => {
        for (const make of MAKE)
            await withPool(make, use);
    };
}

const inNode = (use) => () => withPool(MAKE[2], use);

const tests = {
    tasksInC: eachKind(async (pool) => {
        const squares = await Promise.all(range(500).map((n) => pool.submit(`${TASKS}:square`, number(n))));
        squares.forEach((square, n) => assert.equal(square.readBigInt64LE(), BigInt(n * n)));
        const big = Buffer.alloc(3_000_000, 'x');
        assert.deepEqual(await pool.submit(`${TASKS}:echo`, big), big);
        assert.equal((await pool.submit(`${TASKS}:echo`)).length, 0);
    }),

    failures: eachKind(async (pool) => {
        await assert.rejects(pool.submit(`${TASKS}:fail`, Buffer.from('zu groß')),
            { name: 'TaskError', code: 'CFUT_FAILED', message: 'zu groß', number: 42 });
        await assert.rejects(pool.submit('no.so:task'), /no\.so/);
        await assert.rejects(pool.submit(''), { name: 'CallError', status: -1 });
        await assert.rejects(pool.submit(`${TASKS}:echo`, undefined, { speed: 9 }), /no option speed/);
    }),

    timeOuts: eachKind(async (pool) => {
        await assert.rejects(pool.submit(`${TASKS}:linger`, undefined, { runTimeout: 20 }),
            { code: 'CFUT_EXPIRED' });
        await assert.rejects(pool.submit(`${TASKS}:linger`, undefined, { signal: AbortSignal.timeout(20) }),
            { name: 'TimeoutError' });
    }),

    aborts: eachKind(async (pool) => {
        const control = new AbortController();
        const { signal } = control;
        const tasks = range(10).map(() => pool.submit(`${TASKS}:linger`, undefined, { signal }));
        await sleep(5);
        control.abort(new Error('enough')); // some run, some wait
        for (const { status, reason } of await Promise.allSettled(tasks))
            assert.deepEqual([status, reason.message], ['rejected', 'enough']);
        await assert.rejects(pool.submit(`${TASKS}:echo`, undefined, { signal }), /enough/);
    }),

    completions: eachKind(async (pool) => {
        const control = new AbortController();
        const slow = pool.submit(`${TASKS}:linger`, undefined, { signal: control.signal });
        const fast = pool.submit(`${TASKS}:nap`, number(1e6));
        const order = [];
        for await (const { index, status } of asCompleted([slow, fast, Promise.reject(new Error('x'))])) {
            order.push([index, status]);
            if (index === 1)
                control.abort();
        }
        assert.deepEqual(order, [[2, 'rejected'], [1, 'fulfilled'], [0, 'rejected']]);
    }),

    theLoopGoesOn: eachKind(async (pool) => {
        const control = new AbortController();
        let ticks = 0;
        const timer = setInterval(() => {
            ticks += 1;
            if (ticks === 5)
                control.abort();
        }, 1);
        await assert.rejects(pool.submit(`${TASKS}:linger`, undefined, { signal: control.signal }));
        clearInterval(timer);
        assert.ok(ticks >= 5);
    }),

    functionsOfAWorker: inNode(async (pool) => {
        assert.equal(await pool.call('square', 12), 144);
        assert.deepEqual(await pool.call('countWords', 'a b a'), new Map([['a', 2], ['b', 1]]));
        const value = { date: new Date(0), list: [1n, undefined], bytes: new Uint8Array([1, 2]) };
        assert.deepEqual(await pool.call('echo', value), value);
        assert.notEqual(await pool.call('pid'), process.pid);
        assert.ok(await pool.call('isMainThread'));
        const squares = await Promise.all(range(500).map((n) => pool.call('square', n)));
        assert.deepEqual(squares, range(500).map((n) => n * n));
        await assert.rejects(pool.call('divide', 1, 0), (error) =>
            error instanceof RangeError && error.message === 'division by zero' && /worker\.js/.test(error.stack));
        await assert.rejects(pool.call('later'), /not by a promise/);
        await assert.rejects(pool.call('none'), /"none"/);
        await assert.rejects(async () => pool.call('echo', () => 1), /could not be cloned/);
    }),

    stoppedFunctions: inNode(async (pool) => {
        for (const name of ['linger', 'hang']) { // one heeds it, one is killed
            await assert.rejects(pool.callWith({ signal: AbortSignal.timeout(50) }, name), { name: 'TimeoutError' });
            await assert.rejects(pool.callWith({ runTimeout: 50, grace: 10 }, name), { code: 'CFUT_EXPIRED' });
        }
        assert.equal(await pool.call('square', 3), 9);
    }),

    crashes: inNode(async (pool) => {
        const others = range(100).map((n) => pool.call('square', n));
        await assert.rejects(pool.call('crash'), (error) =>
            error.code === 'CFUT_CRASHED' && error.signal === 6 && error.pid > 0 && /SIGABRT/.test(error.message));
        assert.deepEqual(await Promise.all(others), range(100).map((n) => n * n));
        await assert.rejects(pool.call('leave', 7), { code: 'CFUT_CRASHED', exitCode: 7 });
        await assert.rejects(pool.submit(`${TASKS}:crash`), { signal: 11 });
        assert.equal(await pool.call('square', 3), 9);
    }),

    async shutdowns() {
        for (const make of MAKE) {
            const pool = make();
            const all = Promise.allSettled(range(20).map(() => pool.submit(`${TASKS}:nap`, number(5e6))));
            await pool.shutdown({ cancel: true });
            const ends = (await all).map(({ reason }) => reason?.code ?? 'done');
            assert.ok(ends.every((end) => end === 'done' || end === 'CFUT_CANCELLED'), `${ends}`);
            await assert.rejects(pool.submit(`${TASKS}:echo`), CallError);
        }
    },

    async badOptions() {
        assert.throws(() => new ThreadPool({ workers: 0 }), /CFUT_EINVAL/);
        assert.throws(() => new ThreadPool({ worker: WORKER }), /CFUT_ENOTSUP/);
        assert.throws(() => new ThreadPool({ colour: 'red' }), /no option colour/);
        await withPool(() => new ProcessPool({ worker: '/no/such/worker.js' }), async (pool) => {
            // The pool breaks, before the task is accepted or after.
            await assert.rejects(pool.call('square', 1), /ended before it was ready/);
        });
    },

    /** 10,000 tasks of each kind with 4 KiB each: what is not released shows. */
    noLeak: eachKind(async (pool) => {
        const bytes = Buffer.alloc(4096, 'x');
        async function batch() {
            const control = new AbortController();
            setMaxListeners(0, control.signal); // Node warns of more than ten
            const tasks = range(450).map(() => pool.submit(`${TASKS}:echo`, bytes));
            tasks.push(...range(25).map(() => pool.submit(`${TASKS}:fail`, bytes)));
            tasks.push(...range(25).map(() => pool.submit(`${TASKS}:echo`, bytes, { signal: control.signal })));
            control.abort();
            await Promise.allSettled(tasks);
        }
        const open = () => fs.readdirSync('/proc/self/fd').length;
        for (const _ of range(10))
            await batch();
        global.gc();
        const [before, files] = [process.memoryUsage.rss(), open()];
        for (const _ of range(20))
            await batch();
        global.gc();
        const grown = process.memoryUsage.rss() - before;
        assert.equal(open(), files);
        assert.ok(grown < 20_000_000, `${grown} bytes`);
        console.log(`10,000 tasks, ${grown} bytes more`);
    }),
};

(async () => {
    const names = process.argv.slice(2);
    for (const name of names.length ? names : Object.keys(tests)) {
        const begin = performance.now();
        await tests[name]();
        console.log(`${name} ${((performance.now() - begin) / 1000).toFixed(2)} s`);
    }
    console.log('ok');
})();
