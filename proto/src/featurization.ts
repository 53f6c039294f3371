export * from '../gen/emotune/featurization/v1/events.js';
export * from '../gen/emotune/featurization/v1/featurization.js';
