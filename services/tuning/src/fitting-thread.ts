/** The thread in which is planned what the trials of an experiment take of memory: see `Fitting`. */
import { parentPort } from 'node:worker_threads';
import { nothingFits } from './memory.js';

parentPort?.on('message', ({ plan, bases, rows }) => parentPort?.postMessage(nothingFits(plan, bases, rows)));
