export { type Bus, type BusEvent, deadLetterTopic, type Retry } from './bus.js';
export { consume, on, type TopicHandler } from './inbox.js';
export { MemoryBus } from './memory-bus.js';
export { busSchemes, openBus } from './open.js';
export { emit, eventTables, Outbox, withdraw } from './outbox.js';
export { PostgresBus, type PostgresBusOptions } from './postgres-bus.js';
export { type Topic, topics } from './topics.js';
