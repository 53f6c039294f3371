export { Database, type DatabaseSettings, SchemaBehind, type Sql } from './database.js';
export { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded.js';
export type { ServerNews } from './kept-server.js';
export { beginEpoch, type Election, epochTable, lead, type Term } from './leader.js';
export { ClusterInUse } from './postmaster.js';
export type { Session } from './session.js';
