export { labelSets } from './labels.js';
export { type Example, type Scale, type Split, type Task, tasks } from './tasks.js';
