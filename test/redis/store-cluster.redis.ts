import { after, before, test } from 'node:test';
import { storeContract } from '../contract/store.contract.ts';
import { runModel } from '../ledger/run-model.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { redisStoreConfig } from '../support/redis-server.ts';
import { redisBackend } from './redis-backend.ts';

let cluster: RedisCluster;

before(async () => {
  cluster = await startRedisCluster();
});

after(async () => {
  await cluster.stop();
});

const backend = redisBackend(() => redisStoreConfig({ kind: 'cluster', nodes: cluster.masters }));

storeContract('redis cluster', backend);

test('redis cluster: the books balance after every step of any sequence of verbs', async () => {
  await runModel(backend, 25);
});
