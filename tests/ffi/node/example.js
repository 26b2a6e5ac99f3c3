'use strict';
// A tour. NODE_PATH=target/npm/node_modules CFUT_LIBRARY=target/release/libcfutures.so \
//     CFUT_TASKS=PATH/OF/tasks.so node tests/ffi/node/example.js
const { ThreadPool, ProcessPool, asCompleted } = require('./cfutures.js');

const TASKS = process.env.CFUT_TASKS; // made of ../tasks.c

function number(n) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(n));
    return bytes;
}

async function onThreads() {
    const pool = new ThreadPool({ workers: 2 });
    const square = await pool.submit(`${TASKS}:square`, number(12));
    console.log('a task in C:', square.readBigInt64LE());
    await pool.submit(`${TASKS}:fail`, Buffer.from('no such file')).catch((error) => {
        console.log(`it fails: ${error.message}, number ${error.number}`);
    });
    const naps = [30, 10, 20].map((ms) => pool.submit(`${TASKS}:nap`, number(ms * 1e6)));
    for await (const { index, status } of asCompleted(naps))
        console.log(`nap ${index} ${status}`);
    await pool.submit(`${TASKS}:linger`, undefined, { signal: AbortSignal.timeout(20) })
        .catch((error) => console.log('stopped:', error.name));
    await pool.shutdown();
}

async function inProcesses() {
    const pool = new ProcessPool({ workers: 2, worker: require.resolve('./worker.js') });
    console.log('a function in another process:', await pool.call('countWords', 'to be or not to be'));
    await pool.call('divide', 1, 0).catch((error) => console.log('its exception:', error.message));
    await pool.callWith({ runTimeout: 50 }, 'hang').catch((error) => console.log('hangs:', error.code));
    const all = await Promise.allSettled([pool.call('crash'), ...[1, 2, 3].map((n) => pool.call('square', n))]);
    console.log('one has crashed:', all.map(({ value, reason }) => value ?? reason.code));
    await pool.shutdown();
}

onThreads().then(inProcesses).then(() => console.log('ok'));
