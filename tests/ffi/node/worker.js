'use strict';
// A worker of a process pool, in Node: these functions are its tasks.
const { serve, stopRequested } = require('./cfutures.js');

serve({
    square: (n) => n * n,
    countWords(text) {
        const counts = new Map();
        for (const word of text.toLowerCase().split(/\s+/))
            counts.set(word, (counts.get(word) ?? 0) + 1);
        return counts;
    },
    echo: (value) => value,
    pid: () => process.pid,
    isMainThread: () => require('node:worker_threads').isMainThread,
    divide(a, b) {
        if (b === 0)
            throw new RangeError('division by zero');
        return a / b;
    },
    linger() {
        while (!stopRequested())
            Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    },
    hang() {
        for (;;);
    },
    later: () => Promise.resolve(1),
    crash: () => process.abort(),
    leave: (code) => process.reallyExit(code),
});
