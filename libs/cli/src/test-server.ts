/** A small server of the whole contract, for tests of the command line. */
import { systemClock } from '@emotune/base';
import { MemoryBus } from '@emotune/events';
import { FolderStore } from '@emotune/objects';
import { filesModule, Host, jsonLog } from '@emotune/service';
import { Module } from '@nestjs/common';
import { Analyses } from './test-server/analyses.js';
import { Datasets } from './test-server/datasets.js';
import { DeadLetters } from './test-server/dead-letters.js';
import { Evaluations } from './test-server/evaluations.js';
import { Experiments } from './test-server/experiments.js';
import { Features } from './test-server/features.js';
import { Insights } from './test-server/insights.js';
import { Models, serveFrom } from './test-server/models.js';
import { unused } from './test-server/shared.js';
import { Studies } from './test-server/studies.js';

export { answers, watched } from './test-server/experiments.js';
export { asked } from './test-server/shared.js';

@Module({
  controllers: [
    Datasets,
    Features,
    Experiments,
    Insights,
    Models,
    Evaluations,
    Studies,
    Analyses,
    DeadLetters,
  ],
})
class EveryServiceModule {}

/** Serves the contract. What users send lies in `folder`. */
export async function startServer(folder: string): Promise<Host> {
  const objects = await FolderStore.open(folder);
  serveFrom(objects);
  const log = jsonLog((line) => process.stderr.write(line));
  await objects.put('exports/first/config.json', '{}');
  await objects.put('exports/first/model.safetensors', 'weights');
  await objects.put('evaluations/e1/report.html', '<h1>report</h1>');
  await objects.put('evaluations/deleted/report.html', '<h1>report</h1>');
  const host = await Host.create({
    database: unused,
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log,
    listen: '127.0.0.1:0',
  });
  await host.start([
    { module: EveryServiceModule },
    filesModule({ objects, clock: systemClock, log, work: 'builds', channel: host.channel }),
  ]);
  return host;
}
