/** A task that runs again and again. */
export interface Repetition {
  /** No further run; resolves when the present one has ended. */
  stop(): Promise<void>;
}

/** Runs a task every so often, never twice at once, without keeping the process alive. A failure is told and forgotten. */
export function repeat(options: {
  readonly everyMs: number;
  readonly task: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}): Repetition {
  let running: Promise<void> = Promise.resolve();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      running = options.task().catch(options.onError).then(schedule);
    }, options.everyMs);
    timer.unref();
  }

  schedule();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
