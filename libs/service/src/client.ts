/** What a process needs that only calls services, without the server framework and the database driver. */
export { type ByArea, byAreaOf } from './area-addresses.js';
export {
  type CallerOptions,
  Channel,
  type Client,
  type Draft,
  type Patience,
  type Server,
} from './channel.js';
export { type ImportHooks, importCheckpoint, importHubModel, isHubName } from './checkpoint-folder.js';
export { type Area, clientClass } from './contract.js';
export { download, downloadFolder, type Transfer, upload, uploadRows } from './file-transfer.js';
export { jsonLog, type Log } from './log.js';
export { isLoopback } from './loopback.js';
export { everyPage } from './paging.js';
export { Tls } from './tls.js';
export { makeToken, tokenFile, tokenIn, tokenOf } from './token.js';
export { startTracing } from './tracing.js';
export type { Work } from './work.js';
