import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Pool } from 'undici';
import { ExchangeCut } from '../../node/bounded-answer.ts';
import { exchangeJson } from '../../node/json-exchange.ts';
import { eventually } from '../support/eventually.ts';

const REQUEST = { method: 'POST', path: '/', body: '{}' } as const;
const LIMITS = { timeoutMs: 60_000, maxBytes: 1_000 };

/** A server that answers when the test says so, and a pool of one connection to it. */
async function openBench(t: TestContext): Promise<{ readonly pool: Pool; readonly asked: ServerResponse[] }> {
  const asked: ServerResponse[] = [];
  const server = createServer((request, response) => {
    request.resume();
    asked.push(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { connections: 1 });
  t.after(async () => {
    await pool.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { pool, asked };
}

function nth(asked: readonly ServerResponse[], count: number): Promise<ServerResponse> {
  return eventually(
    () => asked.length,
    (length) => length >= count,
  ).then(() => asked[count - 1] as ServerResponse);
}

function isCut(reason: ExchangeCut['reason']): (error: unknown) => boolean {
  return (error) => error instanceof ExchangeCut && error.reason === reason;
}

test('an answer in pieces is read whole, whatever came before it', async (t) => {
  const { pool, asked } = await openBench(t);
  const answer = exchangeJson(pool, REQUEST, LIMITS);
  const response = await nth(asked, 1);
  response.writeEarlyHints({ link: '</>; rel=preload' });
  response.writeHead(201);
  response.write('{"a":');
  response.end('"€"}');
  assert.deepEqual(await answer, { status: 201, body: { a: '€' } });
});

test('what is given up while it waits for its turn is never sent, and the next one is', async (t) => {
  const { pool, asked } = await openBench(t);
  const first = exchangeJson(pool, REQUEST, LIMITS);
  const giveUp = new AbortController();
  const second = exchangeJson(pool, REQUEST, { ...LIMITS, signal: giveUp.signal });
  const response = await nth(asked, 1);
  giveUp.abort();
  await assert.rejects(second, isCut('given-up'));
  const third = exchangeJson(pool, REQUEST, LIMITS);
  response.end('1');
  assert.deepEqual(await first, { status: 200, body: 1 });
  (await nth(asked, 2)).end('3');
  assert.deepEqual(await third, { status: 200, body: 3 });
  assert.equal(asked.length, 2);
});

test('a caller that gave up before it asked sends nothing', async (t) => {
  const { pool, asked } = await openBench(t);
  await assert.rejects(
    exchangeJson(pool, REQUEST, { ...LIMITS, signal: AbortSignal.abort() }),
    isCut('given-up'),
  );
  const next = exchangeJson(pool, REQUEST, LIMITS);
  (await nth(asked, 1)).end('null');
  assert.deepEqual(await next, { status: 200, body: null });
  assert.equal(asked.length, 1);
});

test('when the time is over the connection is cut, also in the middle of an answer', async (t) => {
  const { pool, asked } = await openBench(t);
  const answer = exchangeJson(pool, REQUEST, { ...LIMITS, timeoutMs: 2_000 });
  const rejected = assert.rejects(answer, isCut('over'));
  const response = await nth(asked, 1);
  const closed = once(response, 'close');
  response.write('{');
  await rejected;
  await closed;
  assert.equal(response.writableFinished, false);
});

test('the bound counts every byte, and the connection of a longer answer is cut', async (t) => {
  const { pool, asked } = await openBench(t);
  const fits = exchangeJson(pool, REQUEST, LIMITS);
  const text = JSON.stringify('x'.repeat(998));
  (await nth(asked, 1)).end(text);
  assert.deepEqual(await fits, { status: 200, body: 'x'.repeat(998) });
  const tooLong = exchangeJson(pool, REQUEST, LIMITS);
  const rejected = assert.rejects(tooLong, /longer than 1000 bytes/);
  const response = await nth(asked, 2);
  const closed = once(response, 'close');
  response.write(text);
  response.write(' ');
  await rejected;
  await closed;
});

test('a connection that breaks, and a pool that is closed, reject', async (t) => {
  const { pool, asked } = await openBench(t);
  const broken = exchangeJson(pool, REQUEST, LIMITS);
  const rejected = assert.rejects(broken, (error) => !(error instanceof ExchangeCut));
  (await nth(asked, 1)).destroy();
  await rejected;
  await pool.destroy();
  await assert.rejects(exchangeJson(pool, REQUEST, LIMITS));
});
