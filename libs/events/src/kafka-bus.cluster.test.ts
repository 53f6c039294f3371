import { type Kafka, startKafka, withoutKafka } from '@emotune/local';
import { afterAll, beforeAll, describe } from 'vitest';
import { KafkaBus } from './kafka-bus.js';
import { busContract } from './testing.js';

const missing = withoutKafka();
if (missing) process.stderr.write(`skipped: ${missing}\n`);

describe.skipIf(missing)('Kafka', () => {
  let kafka: Kafka;
  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(() => kafka?.stop());

  busContract('Kafka', (retry) => KafkaBus.open(`kafka://${kafka.broker}`, { retry }), 'processes');
});
