import assert from 'node:assert/strict';
import http from 'node:http';
import { type TestContext, test } from 'node:test';
import { ask, closeHttp, listenAnywhere, type WholeResponse } from '../proxy/wire.ts';
import { buy } from '../support/gateway.ts';
import { openScene, type Scene, type Ware } from './scene.ts';

/*
 * A cache in front of the gateway, as strict about storing as RFC 9111 (3 and 3.5) asks, and no stricter: a paid answer must
 * not reach the next visitor, who did not pay. Like common caches it lets CDN-Cache-Control (RFC 9213), Surrogate-Control and
 * nginx's X-Accel-Expires speak over Cache-Control.
 */

async function startCache(scene: Scene, origin: string): Promise<string> {
  const stored = new Map<string, WholeResponse>();
  const server = http.createServer(async (req, res) => {
    const key = `${req.method} ${req.url}`;
    const hit = stored.get(key);
    const answer =
      hit ?? (await ask(`${origin}${req.url}`, { method: req.method ?? 'GET', headers: req.headers }));
    if (hit === undefined && mayStore(req, answer)) stored.set(key, answer);
    res.writeHead(answer.status, { 'X-Cache': hit === undefined ? 'miss' : 'hit' }).end(answer.body);
  });
  const port = await listenAnywhere(server);
  scene.keep({ close: () => closeHttp(server) });
  return `http://127.0.0.1:${port}`;
}

function mayStore(req: http.IncomingMessage, { status, headers }: WholeResponse): boolean {
  if (req.method !== 'GET' || ![200, 203, 301, 404, 410].includes(status)) return false;
  const accel = headers['x-accel-expires'];
  if (accel !== undefined) return Number(accel) > 0;
  const over = headers['cdn-cache-control'] ?? headers['surrogate-control'];
  if (over !== undefined) return /max-age=[1-9]/.test(String(over)) && !/no-store|private/.test(String(over));
  const directives = headers['cache-control'] ?? '';
  if (/no-store|private/.test(directives)) return false;
  if (req.headers.authorization !== undefined && !/public|must-revalidate|s-maxage/.test(directives))
    return false;
  return /max-age|s-maxage|public/.test(directives) || headers.expires !== undefined;
}

const IN_A_YEAR = new Date(Date.now() + 365 * 86_400_000).toUTCString();

/** Buys once through the cache, then asks twice unpaid. */
async function visit(t: TestContext, fromUpstream: http.OutgoingHttpHeaders, ware: Partial<Ware> = {}) {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => res.writeHead(200, fromUpstream).end('paid for'));
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin, ...ware }]);
  const cache = await startCache(scene, gateway.url);
  const credential = await buy({ ...gateway, url: cache }, '/quote');
  const paid = await ask(`${cache}/quote`, { headers: { Authorization: credential } });
  assert.equal(paid.status, 200);
  return ask(`${cache}/quote`);
}

for (const fromUpstream of [
  { 'Cache-Control': 'public, max-age=600' },
  { 'Cache-Control': 's-maxage=600' },
  { 'Cache-Control': ['public', 'max-age=600'] },
  { 'Cache-Control': 'public, max-age=600', Expires: IN_A_YEAR },
  { 'Cache-Control': 'public', 'CDN-Cache-Control': 'max-age=600' },
  { 'Surrogate-Control': 'max-age=600' },
  { 'X-Accel-Expires': '600' },
]) {
  test(`a paid answer with ${JSON.stringify(fromUpstream)} is not served to the next visitor`, async (t) => {
    const next = await visit(t, fromUpstream);
    assert.equal(next.status, 402);
    assert.equal(next.headers['x-cache'], 'miss');
  });
}

test('the cache of this test does store what it may: a service whose answers are public says so', async (t) => {
  const next = await visit(t, { 'Cache-Control': 'public, max-age=600' }, { cacheControl: 'upstream' });
  assert.deepEqual([next.status, next.headers['x-cache']], [200, 'hit']);
});

test('headers that speak to vendors’ caches are turned off by name', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) =>
    res
      .writeHead(200, {
        'Cloudflare-CDN-Cache-Control': 'max-age=600',
        'Akamai-Cache-Control': 'max-age=600',
        'X-Accel-Expires': '@1893456000',
        'X-Cache-Tag': 'kept',
      })
      .end(),
  );
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const { headers } = await ask(`${gateway.url}/quote`, {
    headers: { Authorization: await buy(gateway, '/quote') },
  });
  assert.equal(headers['cache-control'], 'private, no-store');
  assert.equal(headers['cloudflare-cdn-cache-control'], 'no-store');
  assert.equal(headers['akamai-cache-control'], 'no-store');
  assert.equal(headers['x-accel-expires'], '0');
  assert.equal(headers['x-cache-tag'], 'kept');
});

test('challenges and free answers: the first are never stored, the second as their upstream says', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) =>
    res.writeHead(200, { 'Cache-Control': 'public, max-age=600' }).end('free'),
  );
  const gateway = await scene.gateway([
    { price: '10 sat', upstream: upstream.origin },
    { name: 'free', path: '/free', price: 'free', upstream: upstream.origin },
  ]);
  const cache = await startCache(scene, gateway.url);
  await ask(`${cache}/quote`);
  assert.equal((await ask(`${cache}/quote`)).headers['x-cache'], 'miss');
  await ask(`${cache}/free`);
  assert.equal((await ask(`${cache}/free`)).headers['x-cache'], 'hit');
});
