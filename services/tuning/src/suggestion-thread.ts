/** The thread in which values for trials are computed: see `Suggestions`. */
import { parentPort } from 'node:worker_threads';
import { answerTo } from './suggestions.js';

parentPort?.on('message', async (asked) => parentPort?.postMessage(await answerTo(asked)));
