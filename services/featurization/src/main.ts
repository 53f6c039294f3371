/** The featurization service as a program. */
import { onSupportedNode } from '@emotune/base/node-version';

void onSupportedNode(() => import('./process.js'));
