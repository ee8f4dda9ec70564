import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { after, test } from 'node:test';
import { type BodyOwner, createHeldBodies, type HeldBodies } from '../../gateway/flow/held-bodies.ts';
import { closeHttp, listenAnywhere, type RawClient, rawClient } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { eventually } from '../support/eventually.ts';

const LIMITS = { maxBytes: 100, maxStrangerBytes: 40, maxAccountBytes: 60, maxBytesPerStranger: 20 };
const config = testConfig([]);
const server = http.createServer();
const port = await listenAnywhere(server);
after(() => closeHttp(server));

const stranger = (key: string): BodyOwner => ({ kind: 'stranger', key });
const account = (key: string): BodyOwner => ({ kind: 'account', key });

interface Sent {
  readonly client: RawClient;
  readonly res: ServerResponse;
  /** The length of the body that was read, or the code of the error. */
  readonly read: Promise<number | string>;
}

/** Sends a request with so much of its body, and reads it for an owner. */
async function send(bodies: HeldBodies, owner: BodyOwner, length: number, sent = length): Promise<Sent> {
  const arrived = once(server, 'request');
  const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
  const before = bodies.bytes();
  const client = await rawClient(port, head + 'x'.repeat(sent));
  const [req, res] = (await arrived) as [IncomingMessage, ServerResponse];
  const read = bodies.read({ req, res, config, sendContinue: undefined }, owner, 1_000).then(
    ({ length }) => length,
    ({ code }: { code: string }) => code,
  );
  if (sent < length) await Promise.race([read, eventually(bodies.bytes, (now) => now >= before + sent)]);
  return { client, res, read };
}

test('a body is counted from its bytes until its response is over', async () => {
  const bodies = createHeldBodies(LIMITS);
  const { res, read, client } = await send(bodies, stranger('a'), 10);
  assert.equal(await read, 10);
  assert.equal(bodies.bytes(), 10);
  res.end();
  await once(res, 'close');
  assert.equal(bodies.bytes(), 0);
  client.socket.destroy();
});

test('a body whose client goes away is not counted any more', async () => {
  const bodies = createHeldBodies(LIMITS);
  const { read, client } = await send(bodies, stranger('a'), 10, 5);
  assert.equal(bodies.bytes(), 5);
  client.socket.resetAndDestroy();
  assert.equal(await read, 'bad-request');
  await eventually(bodies.bytes, (bytes) => bytes === 0);
});

test('one stranger has its part, all strangers theirs, and the rest is for accounts with a balance', async () => {
  const bodies = createHeldBodies(LIMITS);
  const open: Sent[] = [];
  const held = async (owner: BodyOwner, length: number) => {
    const sent = await send(bodies, owner, length);
    open.push(sent);
    return sent.read;
  };
  assert.equal(await held(stranger('a'), 15), 15);
  assert.equal(await held(stranger('a'), 15), 'busy');
  assert.equal(await held(stranger('b'), 20), 20);
  assert.equal(await held(stranger('c'), 6), 'busy');
  assert.equal(await held(account('a'), 50), 50);
  assert.equal(await held(account('a'), 11), 'busy');
  assert.equal(await held(account('b'), 16), 'busy');
  assert.equal(await held(account('b'), 15), 15);
  assert.equal(bodies.bytes(), 100);
  for (const { client } of open) client.socket.destroy();
  await eventually(bodies.bytes, (bytes) => bytes === 0);
});

test('what is announced and not sent takes no room, and what comes beyond the room is not kept', async () => {
  const bodies = createHeldBodies(LIMITS);
  const slow = await send(bodies, stranger('a'), 20, 1);
  const other = await send(bodies, stranger('a'), 19);
  assert.equal(await other.read, 19);
  slow.client.send('x');
  assert.equal(await slow.read, 'busy');
  assert.equal(bodies.bytes(), 20);
  for (const { client } of [slow, other]) client.socket.destroy();
  await eventually(bodies.bytes, (bytes) => bytes === 0);
});

test('a body that is alone always has room, however long the service lets it be', async () => {
  const bodies = createHeldBodies(LIMITS);
  const { read, client } = await send(bodies, stranger('a'), 500);
  assert.equal(await read, 500);
  client.socket.destroy();
  await eventually(bodies.bytes, (bytes) => bytes === 0);
});
