/**
 * Runs a task that ends when its time is over: then the signal aborts, for the task and for whoever it asks.
 * In place of `AbortSignal.timeout`, whose timer fires and makes an exception also when the task ended long before: 13 µs of CPU
 * a challenge.
 */
export async function withinTime<T>(
  timeoutMs: number,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), timeoutMs).unref();
  try {
    return await task(over.signal);
  } finally {
    clearTimeout(timer);
  }
}
