/** A process full of simulated trainers: what they use of the processor is not the controller's. */
import { type Pace, SimulatedTrainers } from './simulated-trainers.js';

export type Order =
  | { readonly type: 'open'; readonly address: string; readonly pace: Pace }
  | {
      readonly type: 'start';
      readonly job: {
        readonly name: string;
        readonly environment: Readonly<Record<string, string>>;
        readonly token: string;
      };
    }
  | { readonly type: 'stop'; readonly name: string };

export interface Ended {
  readonly name: string;
  readonly exitCode: number;
  /** When its report was answered, in milliseconds since 1970. */
  readonly at: number;
}

let trainers: SimulatedTrainers | undefined;

process.on('message', (order: Order) => {
  if (order.type === 'open')
    trainers = new SimulatedTrainers(order.address, order.pace, (name, exitCode, at) =>
      process.send?.({ name, exitCode, at } satisfies Ended),
    );
  else if (order.type === 'start') trainers?.start(order.job);
  else trainers?.stop(order.name);
});
process.on('disconnect', () => process.exit(0));
