import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { rawClient, startUpstream, type TestUpstream } from '../proxy/wire.ts';
import { buy, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { portOf, toService } from './scene.ts';

/* Ways to make a server act before it looks at the payment. */

let upstream: TestUpstream;
let gateway: TestGateway;
let connections = 0;
const bodies: string[] = [];

before(async () => {
  upstream = await startUpstream((req, res) => {
    let body = '';
    req
      .on('data', (chunk) => (body += chunk))
      .on('end', () => {
        bodies.push(body);
        res.end(`paid for, expect ${req.headers.expect}, upgrade ${req.headers.upgrade}`);
      });
  });
  upstream.server.on('connection', () => {
    connections += 1;
  });
  gateway = await startTestGateway([toService({ price: '50 sat for 5 calls', upstream: upstream.origin })]);
});
after(async () => {
  await gateway.stop();
  await upstream.close();
});

/** Sends bytes, waits until the answer's challenge is there, and gives everything that came. */
async function challenged(bytes: string): Promise<string> {
  const before = connections;
  const client = await rawClient(portOf(gateway), bytes);
  const text = await client.until('"authorization"');
  client.socket.destroy();
  assert.match(text, /^HTTP\/1\.1 402 /, 'nothing stands before the challenge');
  assert.match(text, /\r\nWWW-Authenticate: L402 macaroon="/);
  assert.equal(connections, before, 'the upstream was connected to');
  return text;
}

test('Expect: 100-continue is not answered with 100 before payment, and the connection ends', async () => {
  const text = await challenged(
    'POST /quote HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n',
  );
  assert.doesNotMatch(text, /100 Continue/i);
});

test('a body that comes along unasked is not taken for the next request', async () => {
  const text = await challenged(
    'POST /quote HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\nExpect: 100-continue\r\n\r\nGET /quote HTTP/1.1\r\nHost: b\r\n\r\n',
  );
  assert.equal(text.match(/HTTP\/1\.1 /g)?.length, 1);
});

test('with payment the 100 comes, then the body goes up, and the upstream sees no Expect', async () => {
  const credential = await buy(gateway, '/quote');
  const client = await rawClient(
    portOf(gateway),
    `POST /quote HTTP/1.1\r\nHost: a\r\nAuthorization: ${credential}\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
  );
  await client.until('HTTP/1.1 100 Continue\r\n\r\n');
  client.send('body');
  await client.ended();
  assert.match(client.text(), /HTTP\/1\.1 200 OK[\s\S]*paid for, expect undefined/);
  assert.equal(bodies.at(-1), 'body');
});

for (const [what, head] of [
  [
    'h2c',
    'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n',
  ],
  ['h2c in a list', 'Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n'],
  ['TLS', 'Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n'],
  [
    'WebSocket',
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
  ],
  [
    'WebSocket of a browser',
    'Accept: text/html\r\nOrigin: https://page.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
  ],
] as const) {
  test(`an unpaid upgrade to ${what} is challenged and opens nothing`, async () => {
    const text = await challenged(`GET /quote HTTP/1.1\r\nHost: a\r\n${head}\r\n`);
    assert.doesNotMatch(text, /101 Switching/);
  });
}

test('what an unpaid WebSocket client sends behind its handshake reaches nobody', async () => {
  const frames = '\x81\x85\x00\x00\x00\x00hello'.repeat(100);
  const text = await challenged(
    `GET /quote HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${frames}`,
  );
  assert.match(text, /\r\nConnection: close/i);
});

test('a paid request that asks for h2c is served as what it is, and the upstream is not asked to upgrade', async () => {
  const credential = await buy(gateway, '/quote');
  const client = await rawClient(
    portOf(gateway),
    `GET /quote HTTP/1.1\r\nHost: a\r\nAuthorization: ${credential}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
  );
  await client.ended();
  assert.match(client.text(), /^HTTP\/1\.1 200 [\s\S]*upgrade undefined/);
});
