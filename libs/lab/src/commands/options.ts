import { Option } from 'commander';

/** Its choices are the engine's, which help does not load: see `deviceOf`. */
export const deviceOption = () =>
  new Option('--device <name>', 'where it is computed: auto, cpu, cuda, webgpu or tfjs').default('cpu');
