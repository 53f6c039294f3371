export { artifactKey, goneArtifact } from './artifacts.js';
export { FolderStore } from './folder-store.js';
export { openObjectStore, storeSchemes, storeVariables, usualCacheMiB } from './open.js';
export type { FolderLease, ObjectInfo, ObjectStat, ObjectStore } from './store.js';
export { textsBelow } from './texts.js';
export {
  largestUploadBytes,
  openRowFile,
  type UploadedFile,
  type UploadHeader,
  type UploadStatus,
  Uploads,
  uploadBytes,
  uploadKey,
  uploadViolations,
  whileHeld,
} from './uploads.js';
export { isWhole } from './whole.js';
