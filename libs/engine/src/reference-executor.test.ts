import { ReferenceExecutor } from './reference-executor.js';
import { executorContract } from './testing.js';

executorContract('the reference executor', () => new ReferenceExecutor());
