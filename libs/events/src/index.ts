export { type Bus, type BusEvent, deadLetterTopic, type Retry } from './bus.js';
export { consume } from './inbox.js';
export { MemoryBus } from './memory-bus.js';
export { emit, eventTables, Outbox } from './outbox.js';
export { type Topic, topics } from './topics.js';
