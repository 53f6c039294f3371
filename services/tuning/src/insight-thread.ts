/** The thread in which an insight is computed: see `inThread`. */
import { parentPort, workerData } from 'node:worker_threads';
import { insightOf } from './insight-parts.js';

parentPort?.postMessage(insightOf(workerData));
