/** The `emotune` program, for whichever Node.js it is called with. */
import { onSupportedNode } from '@emotune/base/node-version';

void onSupportedNode(() => import('./program.js'));
