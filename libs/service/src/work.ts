/**
 * What goes on in the background of a process beside answering calls. `nothing`: what is asked for is recorded, and waits.
 * `builds`: what is built of what was asked for (datasets, feature sets, evaluations), and events. `trials`: experiments are
 * carried on, too.
 */
export type Work = 'nothing' | 'builds' | 'trials';
