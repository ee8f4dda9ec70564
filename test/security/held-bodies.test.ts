import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELD_BODY_LIMITS } from '../../gateway/flow/held-bodies.ts';
import { compileModelRates, USAGE_DEFAULTS } from '../../gateway/meter/usage/index.ts';
import { msat } from '../../node/msat.ts';
import { openScene, portOf } from '../e2e/scene.ts';
import { ask, type RawClient, rawClient } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { buy, type TestGateway, withCredential } from '../support/gateway.ts';

const MB = 1_000_000;
const OF_ONE_STRANGER = HELD_BODY_LIMITS.maxBytesPerStranger / MB;

/** Connections that send all of a body of 1 MB but its last byte: all but those that one stranger has room for are refused. */
async function hold(t: TestContext, gateway: TestGateway, count: number, head: string): Promise<void> {
  const clients: RawClient[] = [];
  t.after(() => {
    for (const { socket } of clients) socket.destroy();
  });
  const body = Buffer.alloc(MB - 1, 'x');
  for (let n = 0; n < count; n += 1) {
    const client = await rawClient(portOf(gateway), head.replace('#', String(n)));
    client.socket.write(body);
    clients.push(client);
  }
  // A refused connection is closed with its body unread, perhaps before its answer is.
  const refused = () => clients.filter(({ text, socket }) => text() !== '' || socket.destroyed).length;
  await eventually(refused, (soFar) => soFar >= count - OF_ONE_STRANGER);
}

test('bodies sent with a spent credential and an Idempotency-Key have the room of one stranger, not of those who can pay', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const spent = await buy(gateway, '/quote');
  await (await fetch(`${gateway.url}/quote`, withCredential(spent))).text();
  const good = await buy(gateway, '/quote');
  await hold(
    t,
    gateway,
    10,
    `POST /quote HTTP/1.1\r\nHost: a\r\nAuthorization: ${spent}\r\nIdempotency-Key: #\r\nContent-Length: ${MB}\r\n\r\n`,
  );
  const headers = { Authorization: good, 'Idempotency-Key': 'k' };
  const answer = await ask(`${gateway.url}/quote`, { method: 'POST', headers }, Buffer.alloc(MB, 'y'));
  assert.equal(answer.status, 200);
});

test('bodies of strangers at a price by the model have that room too', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((req, res) => {
    req.resume();
    req.on('end', () => res.end('{"usage":{"prompt_tokens":1,"completion_tokens":1}}'));
  });
  const rate = { amountMsat: msat(1), per: 1 };
  const gateway = await scene.gateway([
    {
      path: '/v1/*',
      price: '3 sat/1k tokens',
      upstream: upstream.origin,
      metering: {
        depositMsat: msat(1_000_000),
        usage: {
          ...USAGE_DEFAULTS,
          kind: 'preset',
          preset: 'openai',
          unitName: 'tokens',
          models: compileModelRates({ m: { input: rate, output: rate } }),
          bound: 'rewrite',
          capUnits: 1_000,
          estimateUnits: 10,
        },
      },
    },
  ]);
  const path = '/v1/chat/completions';
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] });
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body };
  const credential = await buy(gateway, path, init);
  const used = await fetch(gateway.url + path, withCredential(credential, init));
  assert.equal(used.status, 200);
  await used.text();
  const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-N: #\r\n`;
  await hold(t, gateway, 10, `${head}Content-Length: ${MB}\r\n\r\n`);
  const served = await fetch(gateway.url + path, withCredential(credential, init));
  assert.equal(served.status, 200, 'one who has a balance is served');
  await served.text();
});
