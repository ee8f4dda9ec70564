/** Lets others wait until a step is over: answered, failed, or no longer of interest. */
export class Landing {
  #next: PromiseWithResolvers<void> | undefined;

  /** Resolves the next time that it is. */
  next(): Promise<void> {
    this.#next ??= Promise.withResolvers();
    return this.#next.promise;
  }

  /** Now it is. */
  over(): void {
    this.#next?.resolve();
    this.#next = undefined;
  }
}
