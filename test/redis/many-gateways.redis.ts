import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { openSharing } from '../../gateway/open-sharing.ts';
import { openStore } from '../../gateway/open-store.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import {
  manyGatewaysContract,
  type OpenShared,
  type SharedPart,
} from '../contract/many-gateways.contract.ts';
import { openScene, type Scene } from '../e2e/scene.ts';
import { testConfig } from '../support/config.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, withCredential } from '../support/gateway.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';

/* Each gateway opens the store and what goes with it as a process does. */

async function openPart(scene: Scene, server: RedisServer): Promise<SharedPart> {
  const config = storeOn(server);
  const opened = await openStore(config, Date.now);
  scene.keep(opened.store);
  const parts = {
    log: createLog({ level: 'silent', format: 'json' }),
    metrics: createMetrics({ version: 'test' }),
    nowMs: Date.now,
  };
  const sharing = scene.keep(await openSharing(config, opened, parts));
  const { bus, sessions, sharedClients } = sharing;
  if (bus === undefined || sessions === undefined || sharedClients === undefined) {
    throw new Error('gateways on one Redis share everything');
  }
  return { store: opened.store, bus, sessions, sharedClients };
}

async function startFor(scene: Scene): Promise<RedisServer> {
  const server = await startRedis();
  scene.keep({ close: () => server.stop() });
  return server;
}

const onOneRedis: OpenShared = async (_t, scene) => {
  const server = await startFor(scene);
  return () => openPart(scene, server);
};

manyGatewaysContract('on one Redis', onOneRedis);

test('where clients are counted together, several gateways allow a client what one does, and a payment anywhere frees its place', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const server = await startFor(scene);
  const simnet = createSimnet({ nowMs: Date.now });
  scene.keep({ close: async () => simnet.close() });
  const challenge = {
    ...testConfig([]).challenge,
    shared: true,
    burst: 100,
    perMinute: 1,
    maxOutstandingPerClient: 3,
  };
  const start = async () =>
    scene.gateway([{ price: '10 sat', upstream: upstream.origin }], {
      ...(await openPart(scene, server)),
      simnet,
      config: { challenge },
    });
  const [one, two] = [await start(), await start()];
  const statusAt = async ({ url }: { readonly url: string }): Promise<number> =>
    (await fetch(`${url}/quote`)).status;
  const mine = await askChallenge(`${one.url}/quote`);
  assert.deepEqual([await statusAt(two), await statusAt(one)], [402, 402]);
  assert.deepEqual([await statusAt(one), await statusAt(two)], [429, 429]);
  const credential = `L402 ${mine.macaroon}:${await one.pay(mine.invoice)}`;
  assert.equal((await fetch(`${two.url}/quote`, withCredential(credential))).status, 200);
  await eventually(
    () => statusAt(two),
    (status) => status === 402,
  );
  assert.deepEqual([await statusAt(one), await statusAt(two)], [429, 429]);
});
