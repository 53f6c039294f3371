/** What the process of one build may take. */
import { machineMemoryMiB } from '@emotune/base';
import { z } from 'zod';
import { buildVariables, readEnvironment, type Variables } from './environment.js';

export interface BuildLimits {
  readonly memoryMiB: number;
  readonly hours: number;
}

const schema = z.object(buildVariables);

/** @throws InvalidArgument naming every variable that is wrong. */
export function buildLimits(variables: Variables): BuildLimits {
  const { EMOTUNE_BUILD_MEMORY_MIB: memory, EMOTUNE_BUILD_HOURS: hours } = readEnvironment(schema, variables);
  return { memoryMiB: memory || Math.floor(machineMemoryMiB() / 2), hours };
}
