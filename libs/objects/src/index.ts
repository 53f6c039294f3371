export { FolderStore } from './folder-store.js';
export { openObjectStore } from './open.js';
export type { FolderLease, ObjectInfo, ObjectStore } from './store.js';
