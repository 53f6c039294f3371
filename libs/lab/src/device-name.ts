import { InvalidArgument } from '@emotune/base';
import { type Device, devices } from '@emotune/engine';

/** @throws InvalidArgument */
export function deviceOf(name: string): Device {
  const found = devices.find((device) => device === name);
  if (found === undefined)
    throw InvalidArgument.at('--device', `expected one of ${devices.join(', ')}, got ${name}`);
  return found;
}
