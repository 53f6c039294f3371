/** The environment of a trainer process. */
import { availableParallelism } from 'node:os';
import { InvalidArgument, parse } from '@emotune/base';
import { z } from 'zod';

const whole = (least: number) => z.coerce.number().int().min(least);

const environment = z.object({
  /** Tuning service, host:port. */
  EMOTUNE_TUNING: z.string().min(1),
  EMOTUNE_EXPERIMENT: z.string().min(1),
  EMOTUNE_TRIAL: whole(0),
  EMOTUNE_ATTEMPT: whole(1),
  /** URL of the object store. */
  EMOTUNE_OBJECTS: z.string().min(1),
  /** 0: as many as the machine has. */
  EMOTUNE_THREADS: whole(0).default(0),
  /** Absent where the token comes over the IPC channel. */
  EMOTUNE_TOKEN: z.string().min(1).optional(),
});

export interface TrainerEnvironment {
  readonly tuning: string;
  readonly trial: { readonly experiment: string; readonly number: number; readonly attempt: number };
  readonly objects: string;
  readonly threads: number;
  readonly token: string | undefined;
}

/** @throws InvalidArgument naming every variable that is missing or wrong, without the token. */
export function trainerEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
): TrainerEnvironment {
  const found = parse(environment, variables);
  if (!/^[^/]+:\d+$/.test(found.EMOTUNE_TUNING))
    throw InvalidArgument.at('EMOTUNE_TUNING', `expected host:port, got ${found.EMOTUNE_TUNING}`);
  return {
    tuning: found.EMOTUNE_TUNING,
    trial: {
      experiment: found.EMOTUNE_EXPERIMENT,
      number: found.EMOTUNE_TRIAL,
      attempt: found.EMOTUNE_ATTEMPT,
    },
    objects: found.EMOTUNE_OBJECTS,
    threads: found.EMOTUNE_THREADS || availableParallelism(),
    token: found.EMOTUNE_TOKEN,
  };
}
