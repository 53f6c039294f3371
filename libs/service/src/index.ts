export { type CallOptions, Channel, type Client, type Draft } from './channel.js';
export { Host, type HostOptions, type ServiceContext } from './host.js';
export { type Fields, jsonLog, type Log } from './log.js';
export { taskMessage, taskOf, timestamp } from './messages.js';
export { once, requestTable } from './once.js';
export { paged, pageOf } from './paging.js';
export { requestsOf, type ServerStreamCall, streamOf } from './stream.js';
export { Worker } from './worker.js';
