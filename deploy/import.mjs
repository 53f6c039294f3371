#!/usr/bin/env node
/**
 * Imports a model into services that have no address in common, where the command line, which talks to one, cannot:
 * `node deploy/import.mjs FOLDER NAME data=HOST:PORT tuning=HOST:PORT`. EMOTUNE_TOKEN is shown to them.
 */
import { build, setup } from '../scripts/setup.mjs';

const [folder, name, ...addresses] = process.argv.slice(2);
const peers = Object.fromEntries(addresses.map((address) => address.split('=')));
if (name === undefined || !peers.data || !peers.tuning) {
  process.stderr.write('import: expected FOLDER NAME data=HOST:PORT tuning=HOST:PORT\n');
  process.exit(2);
}
await setup();
await build();
const { Channel, importCheckpoint } = await import('../libs/service/dist/client.js');
const channel = Channel.toPeers(peers, { token: process.env.EMOTUNE_TOKEN });
try {
  const { version } = await importCheckpoint(channel, { name, path: folder });
  process.stdout.write(`${name}@${version}\n`);
} finally {
  channel.close();
}
