import { after, before } from 'node:test';
import { storeContract } from '../contract/store.contract.ts';
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

storeContract(
  'redis cluster',
  redisBackend(
    () => redisStoreConfig({ kind: 'cluster', nodes: cluster.masters }),
    async () => void (await Promise.all(cluster.masters.map((master) => master.call('FLUSHALL')))),
  ),
);
