/** The words of the contract for who needs nothing else of services: the processes of builds, which load no server framework. */
export { namePattern, taskMessage, taskOf } from './messages.js';
export { skillMessage, skillOf, teachingMessage, teachingOfModel } from './teaching.js';
