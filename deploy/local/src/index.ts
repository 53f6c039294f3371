/** Starts real components on this machine, for tests and for trying a cluster out. */
export {
  type Cluster,
  type ClusterLevel,
  type ClusterOptions,
  startCluster,
  withoutCluster,
  withoutImages,
} from './cluster.js';
export { type Kafka, type SecuredKafka, startKafka, startSecuredKafka, withoutKafka } from './kafka.js';
export { kubeLinter, withoutKubeLinter } from './kube-linter.js';
export { type Local, restrictedNamespace, startLocal, withoutLocal } from './local.js';
export { nodeImage } from './node-image.js';
export { type Postgres, startPostgres, withoutPostgres } from './postgres.js';
export { type S3, type S3Keys, startS3, withoutS3 } from './s3.js';
export { tuningAccount, tuningAccountName } from './tuning-account.js';
