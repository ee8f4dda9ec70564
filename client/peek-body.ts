import type { Clock } from './clock.ts';
import { copyResponse } from './copy-response.ts';

/** A short body, and the answer that it was read from, which can still be read as a whole. */
export interface Peeked {
  /** `undefined` when the body is longer, does not end in time, or breaks off. */
  readonly text: string | undefined;
  readonly response: Response;
}

const MAX_BYTES = 4_096;
const TIMEOUT_MS = 5_000;

/** Reads a body of up to 4,096 bytes without taking it away from whoever gets the answer, however the body goes on. */
export async function peekBody(response: Response, clock: Clock): Promise<Peeked> {
  if (response.body === null) return { text: '', response };
  const reader = response.body.getReader();
  const read = (): ReturnType<typeof reader.read> => {
    const result = reader.read();
    // Whoever reads on is told.
    result.catch(() => undefined);
    return result;
  };
  const over = new AbortController();
  const late = clock.sleep(TIMEOUT_MS, over.signal).then((): 'late' => 'late');
  const chunks: Uint8Array[] = [];
  let length = 0;
  let isWhole = false;
  let next = read();
  while (length <= MAX_BYTES) {
    const result = await Promise.race([next, late]).catch((): 'broken' => 'broken');
    if (result === 'late' || result === 'broken') break;
    isWhole = result.done;
    if (result.done) break;
    chunks.push(result.value);
    length += result.value.length;
    next = read();
  }
  over.abort();
  const text = isWhole ? await new Blob(chunks.map((chunk) => chunk.slice())).text() : undefined;
  const rest = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const known = chunks.shift();
        if (known !== undefined) return controller.enqueue(known);
        const { done, value } = await next;
        if (done) return controller.close();
        controller.enqueue(value);
        next = read();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { text, response: copyResponse(response, rest) };
}
