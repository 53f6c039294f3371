import { type AddCommands, sessionOf } from '@emotune/cli/command';
import { deviceOption } from './options.js';

/** A number lies outside its tolerance, or a folder cannot be compared. */
class ParityFailed extends Error {}

export const addParityCommand: AddCommands = (program, io) => {
  program
    .command('parity')
    .description("compare models of ours with Hugging Face's results in fixture folders")
    .addOption(deviceOption())
    .argument('<dir...>', 'folders with a checkpoint or adapter and case-*.safetensors')
    .action(async (dirs: string[], options: { device: string }, command) => {
      const session = sessionOf(io, command);
      const { deviceOf } = await import('../device-name.js');
      const device = deviceOf(options.device);
      const { parityHead, parityLines, parityReport, tolerance } = await import('../parity.js');
      const { logits, loss, gradient, adamw, merged } = tolerance;
      const reports = [];
      if (!session.json) await session.write(parityHead);
      for (const dir of dirs) {
        session.signal.throwIfAborted();
        const report = await parityReport(session.path(dir), io.env, device);
        reports.push(report);
        if (!session.json) for (const line of parityLines(report)) await session.write(line);
      }
      await session.answer(
        { tolerance, folders: reports },
        () =>
          `tolerance: logits ${logits}, loss ${loss}, gradient ${gradient} relative, adamw losses ${adamw}, merged weights ${merged}`,
      );
      const failed = reports.filter((report) => !report.ok).length;
      if (failed > 0)
        throw new ParityFailed(`${failed} of ${reports.length} folders are not within the tolerance`);
      if (reports.every((report) => report.skipped !== ''))
        throw new ParityFailed('expected a folder with a model, got none');
    });
};
