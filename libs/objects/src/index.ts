export { artifactKey, goneArtifact } from './artifacts.js';
export { FolderStore } from './folder-store.js';
export { openObjectStore, storeSchemes } from './open.js';
export type { FolderLease, ObjectInfo, ObjectStat, ObjectStore } from './store.js';
export {
  chunkBytes,
  largestUploadBytes,
  missingUpload,
  type UploadHeader,
  type UploadStatus,
  Uploads,
  uploadKey,
} from './uploads.js';
