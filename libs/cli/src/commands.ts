/** What the program can be asked. Help shows it in this order. */
import type { AddCommands } from './commands/options.js';

/** A command's name, and where its options and its action are loaded from once it is called. */
export type Commands = Readonly<Record<string, () => Promise<AddCommands>>>;

/** Commands that ask the platform. */
export const clientCommands: Commands = {
  source: async () => (await import('./commands/source.js')).addSourceCommands,
  lexicons: async () => (await import('./commands/lexicons.js')).addLexiconsCommand,
  dataset: async () => (await import('./commands/dataset.js')).addDatasetCommands,
  features: async () => (await import('./commands/features.js')).addFeaturesCommands,
  experiment: async () => (await import('./commands/experiment.js')).addExperimentCommands,
  model: async () => (await import('./commands/model.js')).addModelCommands,
  evaluation: async () => (await import('./commands/evaluation.js')).addEvaluationCommands,
  evaluate: async () => (await import('./commands/evaluate.js')).addEvaluateCommand,
  study: async () => (await import('./commands/study.js')).addStudyCommands,
  upload: async () => (await import('./commands/upload.js')).addUploadCommands,
  dlq: async () => (await import('./commands/dlq.js')).addDlqCommands,
  gc: async () => (await import('./commands/gc.js')).addGcCommand,
  analyze: async () => (await import('./commands/analyze.js')).addAnalyzeCommand,
};
