/** The experiment controller: a pure function from what is recorded to what is to be done. */
import type { Action, ExperimentSnapshot } from './experiment.js';

export type Decide = (snapshot: ExperimentSnapshot) => Action[];
