import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../client/clock.ts';
import { peekBody } from '../../client/peek-body.ts';

/** A body in these pieces, which then ends, breaks off, or goes on without a byte. */
function bodyOf(pieces: readonly Uint8Array[], end: 'close' | 'break' | 'hang') {
  const left = [...pieces];
  const cancelled = Promise.withResolvers<unknown>();
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const piece = left.shift();
      if (piece !== undefined) return controller.enqueue(piece);
      if (end === 'close') return controller.close();
      if (end === 'break') return controller.error(new Error('broke off'));
      await cancelled.promise;
    },
    cancel: cancelled.resolve,
  });
  return { response: new Response(body, { status: 429, headers: { 'x-of': 'it' } }), cancelled };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('peekBody', () => {
  it('reads a short body and leaves the answer as it was', async () => {
    const { text, response } = await peekBody(
      bodyOf([bytes('{"a":'), bytes('1}')], 'close').response,
      systemClock,
    );
    assert.equal(text, '{"a":1}');
    assert.deepEqual(
      [response.status, response.headers.get('x-of'), await response.text()],
      [429, 'it', '{"a":1}'],
    );
    assert.equal((await peekBody(new Response(null), systemClock)).text, '');
  });

  it('gives a body up that is long, and hands on all of it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), { maxLength: 6 }),
        async (pieces) => {
          const whole = Buffer.concat(pieces);
          const { text, response } = await peekBody(bodyOf(pieces, 'close').response, systemClock);
          assert.equal(text, whole.length > 4_096 ? undefined : new TextDecoder().decode(whole));
          assert.deepEqual(Buffer.from(await response.arrayBuffer()), whole);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('gives a body up that breaks off, and whoever reads it is told', async () => {
    const { text, response } = await peekBody(bodyOf([bytes('{')], 'break').response, systemClock);
    assert.equal(text, undefined);
    await assert.rejects(response.text(), /broke off/);
  });

  it('gives a body up that does not end, and can be called off then', async () => {
    const patience: (() => void)[] = [];
    const clock = {
      nowMs: () => 0,
      sleep: () => new Promise<void>((resolve) => void patience.push(resolve)),
    };
    const { response: given, cancelled } = bodyOf([bytes('{')], 'hang');
    const peeking = peekBody(given, clock);
    patience[0]?.();
    const { text, response } = await peeking;
    assert.equal(text, undefined);
    await response.body?.cancel('enough');
    assert.equal(await cancelled.promise, 'enough');
  });
});
