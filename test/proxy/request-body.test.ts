import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { after, test } from 'node:test';
import { hasBody, type ReadBodyLimits, readBody } from '../../gateway/proxy/request-body.ts';
import { closeHttp, listenAnywhere, rawClient } from './wire.ts';

const server = http.createServer({ optimizeEmptyRequests: true });
const port = await listenAnywhere(server);
after(() => closeHttp(server));

/** Sends bytes and reads the body of the request that they make. */
async function read(bytes: string, limits: Partial<ReadBodyLimits> = {}) {
  const arrived = once(server, 'request');
  const client = await rawClient(port, bytes);
  const [req] = (await arrived) as [IncomingMessage];
  const body = readBody(req, { maxBytes: 10, timeoutMs: 5_000, ...limits });
  return { req, client, body };
}

const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';

test('a body is read whole, with a length, in chunks, or not at all', async () => {
  for (const [bytes, expected, has] of [
    [`${POST}Content-Length: 5\r\n\r\n12345`, '12345', true],
    [`${POST}Transfer-Encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n`, '12345', true],
    [`${POST}Content-Length: 0\r\n\r\n`, '', false],
    [`${POST}\r\n`, '', false],
  ] as const) {
    const { req, client, body } = await read(bytes);
    assert.equal((await body).toString(), expected);
    assert.equal(hasBody(req), has);
    client.socket.destroy();
  }
});

test('a body over the bound is refused, by its length at once, in chunks when it is reached', async () => {
  const announced = await read(`${POST}Content-Length: 11\r\n\r\n`);
  await assert.rejects(announced.body, { code: 'body-too-large' });
  announced.client.socket.destroy();
  const chunked = await read(`${POST}Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n`);
  await assert.rejects(chunked.body, { code: 'body-too-large' });
  chunked.client.socket.destroy();
});

test('a body that does not come in time, or not whole, is a bad request', async () => {
  const slow = await read(`${POST}Content-Length: 5\r\n\r\n123`, { timeoutMs: 20 });
  await assert.rejects(slow.body, { code: 'bad-request' });
  slow.client.socket.destroy();
  const gone = await read(`${POST}Content-Length: 5\r\n\r\n123`);
  gone.client.socket.destroy();
  await assert.rejects(gone.body, { code: 'bad-request' });
});

test('100 Continue is sent when the body is to be read', async () => {
  let continued = 0;
  const { client, body } = await read(`${POST}Content-Length: 2\r\n\r\nab`, {
    sendContinue: () => {
      continued += 1;
    },
  });
  await body;
  assert.equal(continued, 1);
  client.socket.destroy();
});
