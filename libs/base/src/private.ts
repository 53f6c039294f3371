/** Of what a process makes: what is its own, for its user alone, and what it makes for who called it. */

/** The umask with which the process was started; undefined while it has that still. */
let callers: number | undefined;

/** From now on files and folders that this process and its children make are closed to other users. Not in a thread. */
export function closeToOthers(): void {
  callers ??= process.umask(0o077);
}

/** The mode of a file (0o666) or folder (0o777) that is made for the caller: as the umask says that he started us with. */
export function callersMode(mode: 0o666 | 0o777): number {
  return mode & ~(callers ?? process.umask());
}
