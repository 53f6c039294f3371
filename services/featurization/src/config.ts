/** The environment of the featurization service's process. */
import { serviceEnvironment } from '@emotune/service';

export const featurizationEnvironment = serviceEnvironment(['data', 'tuning']);
