/** Lets at most so many tasks run at once; the next ones wait in a bounded queue. */
export interface ConcurrencyGate {
  /**
   * Runs the task when there is room.
   * @returns its result, or `full` at once when the queue is full too.
   */
  run<T>(max: number, task: () => Promise<T>): Promise<T | 'full'>;
  /**
   * Runs a task that can wait for another time: only when nobody waits and fewer than `max` run.
   * @returns undefined when there is no room now
   */
  tryRun<T>(max: number, task: () => Promise<T>): Promise<T> | undefined;
}

/** Tasks that may wait, for each one that may run: with more, the last in the queue would time out anyway. */
const QUEUE_FACTOR = 16;

/** A first-in first-out gate. */
export function createConcurrencyGate(): ConcurrencyGate {
  let running = 0;
  const waiting: (() => void)[] = [];

  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  };

  const attempt = async <T>(task: () => Promise<T>): Promise<T> => {
    try {
      return await task();
    } finally {
      leave();
    }
  };

  return {
    tryRun(max, task) {
      if (running >= max || waiting.length > 0) return undefined;
      running += 1;
      return attempt(task);
    },
    async run(max, task) {
      if (running >= max) {
        if (waiting.length >= max * QUEUE_FACTOR) return 'full';
        await new Promise<void>((resolve) => waiting.push(resolve));
      } else {
        running += 1;
      }
      return attempt(task);
    },
  };
}
