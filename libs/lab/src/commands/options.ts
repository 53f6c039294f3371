import { devices } from '@emotune/engine';
import { Option } from 'commander';

export const deviceOption = () =>
  new Option('--device <name>', 'where it is computed').choices(devices).default('cpu');
