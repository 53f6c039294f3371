/** The base models that come with the project. */
import { fileURLToPath } from 'node:url';

export const baseModels = ['opt', 'bloom', 'llama'].map((architecture) => ({
  architecture,
  model: `emotune-${architecture}-4m`,
}));

/** Holds a checkpoint folder for each. */
export const modelsFolder = fileURLToPath(new URL('../../../models', import.meta.url));
