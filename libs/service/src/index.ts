export { bearerIn, secretOfGuest } from './access.js';
export { type BuildLimits, buildLimits } from './build-limits.js';
export {
  BuildDied,
  BuildProcesses,
  type BuildRunOptions,
  type BuildWork,
} from './build-process.js';
export { type Attempt, type BuildOptions, Builds, buildClaimColumns, buildColumns } from './builds.js';
export { type CallOptions, Channel, type Client, type Draft } from './channel.js';
export { deadLettersModule } from './dead-letters.js';
export { address, readEnvironment, serviceEnvironment } from './environment.js';
export { filesModule } from './file.controller.js';
export { Host, type HostOptions, type ServiceContext } from './host.js';
export { type Limits, limitsOf, limitVariables, whole } from './limits.js';
export { type Fields, jsonLog, type Log } from './log.js';
export { namePattern, taskMessage, taskOf, timestamp } from './messages.js';
export { Metrics } from './metrics.js';
export { forget, once, requestTable } from './once.js';
export { Outages } from './outages.js';
export { everyPage, numberedPageOf, paged, pageOf } from './paging.js';
export { receivedAs } from './received.js';
export { type Program, runService, serve } from './serve.js';
export { leavingOf, requestsOf, type ServerCall, type ServerStreamCall, streamOf } from './stream.js';
export { skillMessage, teachingMessage, teachingOfModel } from './teaching.js';
export { Tls } from './tls.js';
export { tracingVariables } from './tracing.js';
export type { Work } from './work.js';
export { Worker } from './worker.js';
