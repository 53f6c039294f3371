#!/usr/bin/env node
/**
 * A cluster to try EmoTune out on: `node deploy/try.mjs [FOLDER]` starts Kubernetes with one real node, PostgreSQL, Kafka and S3 on
 * this machine, gives the node the images in FOLDER (default .emotune/images, as deploy/images.mjs leaves them there), says how to
 * go on, and takes everything down at Ctrl-C. Needs Linux and root; what is missing it names.
 */
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build, root, setup } from '../scripts/setup.mjs';

function fail(message) {
  process.stderr.write(`try: ${message}\n`);
  process.exit(2);
}

const folder = resolve(process.argv[2] ?? join(root, '.emotune/images'));
if (!existsSync(folder)) fail(`${folder} has no images; node deploy/images.mjs builds them`);
const images = readdirSync(folder)
  .filter((file) => file.endsWith('.tar'))
  .map((file) => join(folder, file));
await setup();
await build();
const { startLocal, withoutLocal } = await import('./local/dist/index.js');
const reason = withoutLocal();
if (reason) fail(reason);

process.stdout.write('starting (the first time it builds Kubernetes, which takes ten minutes or more)\n');
const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
const local = await startLocal({ images });
process.stdout.write(`ready. In another shell:

  export KUBECONFIG=${local.cluster.kubeconfig} PATH=${local.cluster.programs}:$PATH
  helm install try helm/emotune --namespace ${local.namespace} -f ${local.values} --wait --timeout 10m

Ctrl-C takes everything down.
`);
// A handler of signals alone keeps no process.
const kept = setInterval(() => {}, 2 ** 30);
await stopped;
clearInterval(kept);
process.stdout.write('stopping\n');
await local.stop();
