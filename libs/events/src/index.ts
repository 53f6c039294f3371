export { type Bus, type BusEvent, deadLetterTopic, type Retry } from './bus.js';
export { consume, on, type TopicHandler } from './inbox.js';
export { KafkaBus, type KafkaBusOptions } from './kafka-bus.js';
export { type KafkaSettings, saslMechanisms } from './kafka-client.js';
export { MemoryBus } from './memory-bus.js';
export { busExpectation, isBusUrl, openBus } from './open.js';
export { emit, eventTables, Outbox, withdraw } from './outbox.js';
export { PostgresBus, type PostgresBusOptions } from './postgres-bus.js';
export { type Topic, topics } from './topics.js';
