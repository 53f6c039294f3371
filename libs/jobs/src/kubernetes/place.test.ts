import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ownPod } from './place.js';

it("reads whose pod it is from the claims of the pod's token", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-place-'));
  const file = join(folder, 'token');
  const claims = {
    sub: 'system:serviceaccount:place:tuning',
    'kubernetes.io': {
      ...{ namespace: 'place', node: { name: 'n', uid: 'u1' }, warnafter: 1 },
      ...{ pod: { name: 'tuning-abc', uid: 'u2' }, serviceaccount: { name: 'tuning', uid: 'u3' } },
    },
  };
  const part = (of: object) => Buffer.from(JSON.stringify(of)).toString('base64url');
  await writeFile(file, `${part({ alg: 'RS256' })}.${part(claims)}.c2ln`);
  const pod = { namespace: 'place', name: 'tuning-abc', serviceAccount: { name: 'tuning', uid: 'u3' } };
  expect(ownPod(file)).toEqual(pod);
  // As of a Secret, which is for any pod.
  await writeFile(file, `${part({})}.${part({ 'kubernetes.io/serviceaccount/namespace': 'place' })}.c2ln`);
  expect(ownPod(file)).toBeUndefined();
  expect(ownPod(join(folder, 'none'))).toBeUndefined();
  await rm(folder, { recursive: true });
});
