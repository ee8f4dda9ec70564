/**
 * The chunks of a stream, which is cancelled when the reader of them stops early. It ends when `signal` aborts, without an
 * error.
 */
export async function* readChunks(
  stream: ReadableStream<Uint8Array> | null,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (stream === null) return;
  const reader = stream.getReader();
  signal?.addEventListener('abort', () => void reader.cancel().catch(() => undefined), { once: true });
  let complete = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      complete = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!complete) await reader.cancel().catch(() => undefined);
  }
}
