export { classNamesOfCard, licenceOfCard } from './card.js';
export { fetchPart } from './fetch-part.js';
export { type HubId, hubIdText, isHubId, parseHubId } from './hub-id.js';
export { type HubSettings, hubSettings, hubVariables } from './settings.js';
export { fetchSnapshot, type Snapshot, type SnapshotFile, type SnapshotOptions } from './snapshot.js';
