/** What a process runner remembers of a job: one JSON file each, whole or absent. */
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { canonicalJson } from '@emotune/base';
import { z } from 'zod';

const texts = z.record(z.string(), z.string());

const jobRecord = z.strictObject({
  name: z.string(),
  labels: texts,
  annotations: texts,
  /** The folder of its log. */
  log: z.string(),
  /** Absent before the process has begun. */
  pid: z.number().int().optional(),
  /** See `birthOf`. */
  birth: z.string().optional(),
  /** Milliseconds since 1970 at which the job is ended. */
  endBy: z.number().optional(),
  /** Its platform has left on purpose: it goes on. */
  detached: z.boolean().optional(),
  phase: z.enum(['running', 'succeeded', 'failed']),
  exitCode: z.number().int().optional(),
  cause: z.string().optional(),
});

export type JobRecord = z.output<typeof jobRecord>;

const suffix = '.job.json';

export function writeRecord(folder: string, record: JobRecord): void {
  const path = join(folder, `${record.name}${suffix}`);
  const file = openSync(`${path}.tmp`, 'w', 0o600);
  try {
    writeSync(file, canonicalJson(record));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.tmp`, path);
}

export function removeRecord(folder: string, { name, log }: JobRecord): void {
  rmSync(join(folder, `${name}${suffix}`), { force: true });
  rmSync(log, { recursive: true, force: true });
}

/** Every record of the folder. One that cannot be read is no record: its process had not begun, or it is not ours. */
export function readRecords(folder: string): JobRecord[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .flatMap((name) => {
      try {
        return [jobRecord.parse(JSON.parse(readFileSync(join(folder, name), 'utf8')))];
      } catch {
        return [];
      }
    });
}
