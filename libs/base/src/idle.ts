/** What has rested for so long is let go of. */
export const idleMs = 20_000;

/** Lets go of what nothing has used for a while, so that its memory goes back to the system. */
export class Idle {
  private timer: NodeJS.Timeout | undefined;

  /** @param letGo Must not throw. */
  constructor(private readonly letGo: () => void) {}

  /** Nothing uses it now. */
  rest(): void {
    this.use();
    this.timer = setTimeout(this.letGo, idleMs).unref();
  }

  /** It is used, or gone: it is not let go of. */
  use(): void {
    clearTimeout(this.timer);
  }
}
