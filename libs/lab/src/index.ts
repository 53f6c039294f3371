import type { Commands } from '@emotune/cli';

/** Benchmarks, comparisons with other programs, what a machine can compute with, and the making of base models and students. */
export const labCommands: Commands = {
  distill: async () => (await import('./commands/distill.js')).addDistillCommand,
  pretrain: async () => (await import('./commands/pretrain.js')).addPretrainCommand,
  parity: async () => (await import('./commands/parity.js')).addParityCommand,
  doctor: async () => (await import('./commands/doctor.js')).addDoctorCommand,
  bench: async () => (await import('./commands/bench.js')).addBenchCommands,
};
