import { type AddCommands, sessionOf } from '@emotune/cli/command';
import { count, facts, table } from '@emotune/cli/format';

export const addDoctorCommand: AddCommands = (program, io) => {
  program
    .command('doctor')
    .description('what this machine can compute with: devices, versions, memory, and what is missing')
    .action(async (_options, command) => {
      const session = sessionOf(io, command);
      const { diagnosis } = await import('../doctor.js');
      const found = await diagnosis();
      await session.answer(found, () => {
        const { memoryMiB, gpus, driver } = found;
        const gpu = gpus.length === 0 ? 'none that a driver of NVIDIA tells of' : gpus.join(', ');
        return [
          facts([
            ['Node.js', found.node],
            ['system', found.system],
            ['processor', `${found.processor}, ${found.threads} threads`],
            ['memory', `${count(memoryMiB.allowed)} of ${count(memoryMiB.machine)} MiB may be used`],
            ['GPUs', driver === undefined ? gpu : `${gpu}; driver ${driver}`],
            ...Object.entries(found.libraries).map(([name, version]): [string, string] => [name, version]),
          ]),
          table(
            ['device', 'there', ''],
            found.devices.map(({ device, uses, missing }) => [
              device,
              missing === undefined ? 'yes' : 'no',
              uses ?? missing ?? '',
            ]),
          ),
        ].join('\n\n');
      });
    });
};
