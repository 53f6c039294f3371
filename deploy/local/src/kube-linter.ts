import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cache, missingProgram, script } from './script.js';

const program = join(cache, 'bin', 'kube-linter');

/** Why manifests cannot be judged here. */
export function withoutKubeLinter(): string | undefined {
  if (existsSync(program)) return undefined;
  const missing = missingProgram('go');
  return missing && `kube-linter needs ${missing}, which is not on PATH`;
}

/** What kube-linter says of a file of manifests, whether it is content or not. */
export async function kubeLinter(file: string, ...args: readonly string[]): Promise<string> {
  await script('kube-linter/build.sh', [program]);
  return new Promise((resolve) => {
    execFile(program, ['lint', ...args, file], { maxBuffer: 1 << 28 }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}
