import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { createThrottle } from '../../gateway/flow/throttle.ts';
import { createCredentialVerifier } from '../../gateway/flow/verify-credential.ts';
import { verifyHolder } from '../../gateway/flow/verify-holder.ts';
import { openLedger } from '../../gateway/ledger/ledger.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { balanceOf, eventually, openScene, portOf, toService } from '../e2e/scene.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, withCredential } from '../support/gateway.ts';

/* Ways to be served, or to keep others from being served, without paying. */

function upgradeHead(path: string, authorization?: string): string {
  const credential = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`;
  return (
    `GET ${path} HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${credential}\r\n`
  );
}

/** A client that never ends its own side of the connection. */
function halfOpen(port: number): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  return socket.on('error', () => {});
}

/** Reads so many bytes of an answer, then resets the connection. */
async function readAndReset(url: string, authorization: string, bytes: number): Promise<void> {
  const headers = { Authorization: authorization, 'Idempotency-Key': 'one' };
  const request = http.get(url, { headers, agent: false }).on('error', () => {});
  const [response] = await once(request, 'response');
  let read = 0;
  for await (const chunk of response) {
    read += chunk.length;
    if (read >= bytes) break;
  }
  request.destroy();
}

test('a WebSocket that was accepted is not paid back when it closes', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  upstream.server.on('upgrade', (_req, socket) => {
    socket.on('error', () => {}).on('end', () => socket.end());
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes',
    );
    socket.resume();
  });
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const client = net.connect(portOf(gateway), '127.0.0.1');
  client.write(upgradeHead('/quote', credential));
  let text = '';
  for await (const chunk of client) {
    text += String(chunk);
    if (text.endsWith('frames')) client.end();
  }
  assert.match(text, /^HTTP\/1\.1 101 .*l402-balance-msat: 0\r\n.*frames$/is);
  await eventually(async () => (await gateway.metrics.scrape()).body.includes('sluice_tunnels 0'));
  assert.equal(await balanceOf(gateway, credential), 0);
});

test('a retry that fails does not give back the price of an answer that was read', async (t) => {
  const scene = openScene(t);
  const content = Buffer.alloc(100_000, 'c');
  const upstream = await scene.upstream((req, res) => {
    if (req.headers['x-fail'] !== undefined) res.writeHead(429).end();
    else res.writeHead(200, { 'Content-Length': content.length + 1 }).write(content);
  });
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const url = `${gateway.url}/quote`;
  const failing = { 'Idempotency-Key': 'one', 'X-Fail': 'yes' };
  for (let answer = 0; answer < 3; answer += 1) {
    await readAndReset(url, credential, content.length);
    let status = 409;
    await eventually(async () => {
      const response = await fetch(url, withCredential(credential, { headers: failing }));
      await response.arrayBuffer();
      status = response.status;
      return status !== 409;
    });
    // The price buys one answer and two retries; whatever is asked after that is a new call.
    assert.equal(status, answer < 2 ? 429 : 402);
    assert.equal(await balanceOf(gateway, credential), 0);
  }
});

test('a client that resets its upgrade while the upstream answers has paid for it', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const asked = once(upstream.server, 'upgrade');
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const client = halfOpen(portOf(gateway));
  client.write(upgradeHead('/quote', credential));
  const [, socket] = await asked;
  socket.on('error', () => {});
  client.resetAndDestroy();
  await eventually(async () => (await gateway.metrics.scrape()).body.includes('outcome="client_gone"} 1'));
  assert.equal(await balanceOf(gateway, credential), 0);
  socket.destroy();
});

test('an unpaid upgrade whose client never hangs up gives its place among the connections back', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const { limits } = testConfig([]);
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }], {
    config: { limits: { ...limits, maxConnections: 1 } },
  });
  const client = halfOpen(portOf(gateway));
  t.after(() => client.destroy());
  client.write(upgradeHead('/quote'));
  const [head] = await once(client, 'data');
  assert.match(String(head), /^HTTP\/1\.1 402 /);
  await eventually(async () => {
    const response = await fetch(`${gateway.url}/quote`, { method: 'HEAD' }).catch(() => undefined);
    return response?.status === 402;
  }, 15_000);
});

test('a client that does not read the answer to its refused upgrade gives its place back too', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  upstream.server.on('upgrade', (_req, socket) => {
    socket.on('error', () => {});
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n`);
    socket.end(Buffer.alloc(50_000_000));
  });
  const { limits } = testConfig([]);
  const ware = { price: 'free', upstream: upstream.origin, connectTimeoutMs: 200, headersTimeoutMs: 200 };
  const gateway = await scene.gateway([ware], { config: { limits: { ...limits, maxConnections: 1 } } });
  const client = net.connect(portOf(gateway), '127.0.0.1').on('error', () => {});
  t.after(() => client.destroy());
  client.write(upgradeHead('/quote'));
  await once(client, 'readable');
  await eventually(async () => {
    const response = await fetch(`${gateway.url}/quote`).catch(() => undefined);
    return response?.status === 200 && (await response.text()) === 'paid for';
  }, 10_000);
});

test('a retry key works on a service that may take a day to answer', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const dayMs = 86_400_000;
  const ware = { price: '10 sat', upstream: upstream.origin, headersTimeoutMs: dayMs, idleTimeoutMs: dayMs };
  const gateway = await scene.gateway([ware]);
  const credential = await buy(gateway, '/quote');
  const response = await fetch(
    `${gateway.url}/quote`,
    withCredential(credential, { headers: { 'Idempotency-Key': 'one' } }),
  );
  assert.equal(response.status, 200);
  assert.equal(await response.text(), 'paid for');
});

test('a list of macaroons costs one chain each at most, however many services it names', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const names = ['one', 'two', 'three', 'four'];
  const services = names.map((name) => ({
    name,
    path: `/${name}`,
    price: '1 sat',
    upstream: upstream.origin,
  }));
  const gateway = await scene.gateway(services);
  const macaroons = await Promise.all(
    names.map(async (name) => (await askChallenge(`${gateway.url}/${name}`)).macaroon),
  );
  const nowMs = () => Date.now();
  const ledger = await openLedger({
    store: createMemoryStore({ nowMs }),
    storeName: 'test',
    keyFingerprints: ['ab'.repeat(32)],
    nowMs,
  });
  t.after(() => ledger.close());
  let chains = 0;
  const holds = () => {
    chains += 1;
    return false;
  };
  const verifier = createCredentialVerifier({
    keys: { mintingKey: () => Buffer.alloc(32), holds },
    isRevoked: () => false,
    nowSec: () => 0,
    throttle: createThrottle(() => 0),
    maxCacheBytes: 0,
  });
  const byName = new Map(services.map((service) => [service.name, toService(service)]));
  const verdict = await verifyHolder(
    { verifier, ledger, serviceNamed: (name) => byName.get(name), onRedeemed: () => {} },
    [{ macaroons, preimage: '00'.repeat(32), cacheKey: macaroons.join(',') }],
    'client',
  );
  assert.deepEqual(verdict, { kind: 'refused', reason: 'bad-preimage' });
  const unpaid = await verifyHolder(
    { verifier, ledger, serviceNamed: (name) => byName.get(name), onRedeemed: () => {} },
    [{ macaroons, cacheKey: macaroons.join(',') }],
    'client',
  );
  assert.deepEqual(unpaid, { kind: 'refused', reason: 'bad-signature' });
  assert.equal(chains, macaroons.length);
});
