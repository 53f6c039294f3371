/**
 * ONNX Runtime looks up a host of its maker, keeps an identifier under the user's cache folder and leaves logs in the temporary
 * one, unless a variable forbids it. It reads the variable from the process itself, which Node.js changes for its main thread
 * alone: threads have copies. This file stands above every import of the runtime.
 */
import { isMainThread } from 'node:worker_threads';

const variable = 'ORT_DISABLE_TELEMETRY';

if (isMainThread) process.env[variable] = '1';

/** @throws Error in a thread whose process has not forbidden it. */
export function mustBeSilent(): void {
  if (process.env[variable] !== '1')
    throw new Error(
      `${variable} is not set: import @emotune/engine in the main thread before a thread loads it`,
    );
}
