import type { Clock } from './clock.ts';
import { readChunks } from './read-chunks.ts';
import { startTimeLimit } from './time-limit.ts';

const MAX_BODY_BYTES = 65_536;
/** A server that never ends its body must not hold the caller up. */
const BODY_TIMEOUT_MS = 10_000;

/**
 * The JSON object that an answer holds; an empty one when it holds none, is too long, breaks off or does not end in
 * time. Reads on to the end, so that the connection can be kept.
 */
export async function readJsonBody(
  response: Response,
  clock: Clock,
): Promise<Readonly<Record<string, unknown>>> {
  const limit = startTimeLimit(clock, BODY_TIMEOUT_MS);
  const text = await readText(response.body, limit.signal);
  limit.stop();
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? { ...body } : {};
  } catch {
    return {};
  }
}

async function readText(stream: ReadableStream<Uint8Array> | null, late: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let length = 0;
  try {
    for await (const chunk of readChunks(stream, late)) {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) return '';
      text += decoder.decode(chunk, { stream: true });
    }
  } catch {
    return '';
  }
  return text;
}
