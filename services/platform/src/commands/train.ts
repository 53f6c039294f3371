import { dirname, resolve } from 'node:path';
import { Stopped } from '@emotune/cli';
import { type AddCommands, fileOption, readYamlFile, sessionOf } from '@emotune/cli/command';
import { figure } from '@emotune/cli/format';
import { z } from 'zod';

const examples = `
Example:
  emotune train -f train.yaml

train.yaml, with paths relative to it:
  model: models/opt-125m          # checkpoint folder
  features: features/train-set    # folder of <split>-<shard>.arrow
  out: tuned                      # folder to write, which must not exist
  method: lora
  lora: {targets: [q_proj, v_proj], rankStabilised: true}
  optimizer: lion                 # or adamw, adafactor
  schedule: warmup_stable_decay
  gradientAccumulation: 4
  regularisation: {perturbation: {name: neftune}}
  tokens: 200000

docs/training.md names every setting.`;

const path = z.string().min(1);
/** Of train.yaml beside the settings. */
export const trainFields = z.object({
  model: path,
  features: path,
  out: path,
  checkpoints: path.optional(),
  startFrom: path.optional(),
});

export const addTrainCommand: AddCommands = (program, io) => {
  program
    .command('train')
    .description('one training run without the platform; interrupt and repeat to resume')
    .addOption(fileOption('run'))
    .addHelpText('after', examples)
    .action(async ({ file }: { file: string }, command) => {
      const session = sessionOf(io, command);
      const { progress, signal } = session;
      const given = await readYamlFile(session.path(file), file);
      const { trainOnce } = await import('@emotune/trainer');
      const { Interrupted, parseSettingsFile } = await import('@emotune/training');
      const { beside, settings } = parseSettingsFile(given, trainFields);
      const { model, features, out, startFrom, checkpoints = `${out}.checkpoints` } = beside;
      const at = (relative: string) => resolve(dirname(session.path(file)), relative);
      try {
        const result = await trainOnce({
          baseModel: at(model),
          features: at(features),
          out: at(out),
          settings,
          checkpoints: at(checkpoints),
          startFrom: startFrom === undefined ? undefined : async () => at(startFrom),
          signal,
          onNotice: (text) => session.note(text),
          onMeasurement: ({ tokens, totalTokens, seconds, trainLoss, objective, forgetting }) => {
            if (objective !== undefined)
              progress.line(`${tokens} tokens: validation objective ${figure(objective)}`);
            if (forgetting)
              progress.line(
                `earlier subtasks: backward transfer ${figure(forgetting.backwardTransfer)}, forgotten at most ${figure(forgetting.maximum)}`,
              );
            progress.update(
              `training at ${Math.round(tokens / seconds)} tokens/s, loss ${figure(trainLoss)}`,
              tokens,
              totalTokens,
              'tokens',
            );
            return 'continue';
          },
        });
        progress.end();
        const { best, calibrations, ...rest } = result;
        const calibrated = calibrations.map(({ task, n }) => ({ task, rows: n }));
        await session.answer(
          { out: at(out), objective: best?.objective ?? null, calibrated, ...rest },
          () => {
            const objective = best === null ? '' : `, validation objective ${figure(best.objective)}`;
            const rows = calibrated.reduce((sum, kind) => sum + kind.rows, 0);
            const aside = rows === 0 ? '' : `, calibrated on ${rows} validation rows kept aside`;
            return `wrote ${at(out)} after ${result.tokens} tokens${objective}${aside}`;
          },
        );
      } catch (error) {
        throw error instanceof Interrupted ? new Stopped(error.policy.exitCode, error.message) : error;
      } finally {
        progress.end();
      }
    });
};
