export * from '../gen/emotune/data/v1/data.js';
export * from '../gen/emotune/data/v1/events.js';
