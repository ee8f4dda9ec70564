import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { ask, rawClient } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy } from '../support/gateway.ts';
import { balanceOf, eventually, openScene, portOf, toService } from './scene.ts';

test('reloads under load lose, double and misroute nothing', async (t) => {
  const scene = openScene(t);
  const upstreams = [
    await scene.upstream((_req, res) => res.end('one')),
    await scene.upstream((_req, res) => res.end('two')),
  ];
  const config = (which: number) =>
    testConfig([toService({ price: `${which + 1} sat`, upstream: upstreams[which]?.origin ?? '' })]);
  const gateway = await scene.gateway([{ price: '1 sat', upstream: upstreams[0]?.origin ?? '' }]);
  const CALLS = 100;
  const CLIENTS = 6;
  gateway.gateway.reload(
    testConfig([toService({ price: '100 sat for 100 calls', upstream: upstreams[0]?.origin ?? '' })]),
  );
  const credentials = await Promise.all(Array.from({ length: CLIENTS }, () => buy(gateway, '/quote')));
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  let served = 0;
  let swaps = 0;
  const swapping = setInterval(() => {
    swaps += 1;
    gateway.gateway.reload(config(swaps % 2));
  }, 1);
  try {
    await Promise.all(
      credentials.map(async (credential) => {
        for (let n = 0; n < CALLS; n += 1) {
          const answer = await ask(`${gateway.url}/quote`, { agent, headers: { Authorization: credential } });
          assert.equal(answer.status, 200);
          served += 1;
        }
      }),
    );
  } finally {
    clearInterval(swapping);
    agent.destroy();
  }
  assert.ok(swaps > 10);
  assert.ok(upstreams.every(({ seen }) => seen.length > 0));
  assert.equal(served, CLIENTS * CALLS);
  assert.equal((upstreams[0]?.seen.length ?? 0) + (upstreams[1]?.seen.length ?? 0), served);
  // Bought at 1 sat a call: never more, whichever price stood at the time.
  for (const credential of credentials) assert.equal(await balanceOf(gateway, credential), 0);
});

test('a request under way keeps the service that it was paid for, also when a reload drops it', async (t) => {
  const scene = openScene(t);
  const held: ServerResponse[] = [];
  const upstream = await scene.upstream((_req, res) => void held.push(res));
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const answer = ask(`${gateway.url}/quote`, { headers: { Authorization: credential } });
  await eventually(() => held.length === 1);
  gateway.gateway.reload(testConfig([]));
  assert.equal((await ask(`${gateway.url}/quote`)).status, 404);
  held[0]?.end('paid for');
  assert.equal((await answer).body.toString(), 'paid for');
});

test('a reload changes what the next challenge asks and allows', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const services = [toService({ price: '10 sat', upstream: upstream.origin })];
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  await askChallenge(`${gateway.url}/quote`);
  const { challenge } = testConfig([]);
  gateway.gateway.reload(
    testConfig(services, { challenge: { ...challenge, invoiceExpirySec: 60, legacyLsat: true } }),
  );
  const { rawHeaders, body } = await ask(`${gateway.url}/quote`);
  assert.ok(rawHeaders.some((value) => value.startsWith('LSAT ')));
  const expiresAt = Date.parse(JSON.parse(body.toString()).expiresAt);
  assert.equal(expiresAt, (Math.floor(gateway.clock.ms / 1000) + 60) * 1000);
  gateway.gateway.reload(testConfig(services, { challenge: { ...challenge, maxOutstandingPerClient: 0 } }));
  assert.equal((await ask(`${gateway.url}/quote`)).status, 429);
});

test('a stop lets what was paid for finish, takes nothing new, and settles it', async (t) => {
  const scene = openScene(t);
  const held: ServerResponse[] = [];
  const upstream = await scene.upstream((_req, res) => void held.push(res));
  const gateway = await scene.gateway([{ price: '20 sat for 2 calls', upstream: upstream.origin }], {
    config: { drainTimeoutMs: 10_000 },
  });
  const credential = await buy(gateway, '/quote');
  const headers = { Authorization: credential };
  const served = ask(`${gateway.url}/quote`, { headers });
  const failed = ask(`${gateway.url}/quote`, { headers });
  const idle = await rawClient(portOf(gateway));
  await eventually(() => held.length === 2);
  const stopped = gateway.gateway.stop();
  await idle.ended();
  await assert.rejects(ask(`${gateway.url}/quote`), { code: 'ECONNREFUSED' });
  held[0]?.end('paid for');
  held[1]?.writeHead(500).end();
  const answers = await Promise.all([served, failed]);
  await stopped;
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 500]);
  for (const answer of answers) assert.equal(answer.headers.connection, 'close');
  assert.equal(await balanceOf(gateway, credential), 10_000);
});

test('a stop waits for nobody longer than the drain time: streams, WebSockets and waits for invoices end', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => void res.writeHead(200).write('data'));
  const sockets = new WebSocketServer({ server: upstream.server });
  const gateway = await scene.gateway([{ price: '10 sat for 10m', upstream: upstream.origin }], {
    config: { drainTimeoutMs: 50 },
  });
  const credential = await buy(gateway, '/quote');
  const stream = await rawClient(
    portOf(gateway),
    `GET /quote HTTP/1.1\r\nHost: a\r\nAuthorization: ${credential}\r\n\r\n`,
  );
  await stream.until('data');
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/quote`, {
    headers: { Authorization: credential },
  });
  await once(socket, 'open');
  const closed = once(socket, 'close');
  const { macaroon, paymentHash } = await askChallenge(`${gateway.url}/quote`);
  const waiting = ask(`${gateway.url}/.l402/invoices/${paymentHash}?wait=60`, {
    headers: { 'L402-Macaroon': macaroon },
  });
  await ask(`${gateway.url}/.l402/invoices/${paymentHash}`, { headers: { 'L402-Macaroon': macaroon } });
  await gateway.gateway.stop();
  await stream.ended();
  assert.doesNotMatch(stream.text(), /\r\n0\r\n\r\n$/, 'it must not look complete');
  assert.equal((await closed)[0], 1006);
  assert.deepEqual(JSON.parse((await waiting).body.toString()), { state: 'open', paymentHash });
  sockets.close();
});
