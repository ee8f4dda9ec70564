import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { openScene } from '../e2e/scene.ts';
import { listen, SSE, statusOf, tick } from '../e2e/streams-scene.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/eventually.ts';
import { startRedis, storeOn } from '../support/redis-server.ts';
import { openOn } from './redis-backend.ts';
import { WARE } from './streams-ware.ts';

/* What several gateways on one Redis do with such places is in the contract of many gateways. */

test('the places that a killed gateway had for streams charged once are free when its leases have run out', async (t) => {
  const scene = openScene(t);
  const server = await startRedis();
  scene.keep({ close: () => server.stop() });
  const upstream = await scene.upstream((_req, res) => {
    res.on('error', () => {}).writeHead(200, SSE);
    tick(res);
  });
  const args = [String(server.port), upstream.origin];
  const child = fork(join(import.meta.dirname, 'streams-child.ts'), args, {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  void endWithUs(child);
  t.after(() => child.kill('SIGKILL'));
  const [{ url, credential }] = (await once(child, 'message')) as [{ url: string; credential: string }];
  const gateway = await scene.gateway([{ ...WARE, upstream: upstream.origin }], {
    store: scene.keep(await openOn(storeOn(server))),
  });
  const headers = { authorization: credential };
  // Of the two at the one that is killed, the second has a lease of nothing.
  const dying = [await listen(t, `${url}/quote`, { headers }), await listen(t, `${url}/quote`, { headers })];
  for (const stream of dying) await stream.until(/data: 1\n/);
  assert.deepEqual(await statusOf(gateway, credential), [429, 'too-many-streams']);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  for (const stream of dying) assert.equal(await stream.end, 'broken');
  const streams = [];
  for (const _ of dying) {
    const stream = await eventually(
      () => listen(t, `${gateway.url}/quote`, { headers }),
      ({ response }) => response.statusCode === 200,
    );
    await stream.until(/data: 1\n/);
    streams.push(stream);
  }
  assert.deepEqual(await statusOf(gateway, credential), [429, 'too-many-streams']);
  for (const stream of streams) stream.leave();
});
