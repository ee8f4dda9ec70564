import { after, before } from 'node:test';
import { storeContract } from '../contract/store.contract.ts';
import { type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.ts';
import { redisStoreConfig } from '../support/redis-server.ts';
import { redisBackend } from './redis-backend.ts';

let sentinel: RedisSentinel;

before(async () => {
  sentinel = await startRedisSentinel();
});

after(async () => {
  await sentinel.stop();
});

storeContract(
  'redis sentinel',
  redisBackend(
    () => redisStoreConfig({ kind: 'sentinel', sentinels: sentinel.sentinels, master: sentinel.name }),
    async () => void (await (await sentinel.master()).call('FLUSHALL')),
  ),
);
