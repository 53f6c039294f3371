export { sampleRandom } from './samplers/random.js';
export {
  type Assignment,
  type Parameter,
  type ParameterValue,
  parseAssignment,
  parseSearchSpace,
  type SearchSpace,
} from './space.js';
