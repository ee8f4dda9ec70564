import { after, before, test } from 'node:test';
import { storeContract } from '../contract/store.contract.ts';
import { runModel } from '../ledger/run-model.ts';
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

const backend = redisBackend(() =>
  redisStoreConfig({ kind: 'sentinel', sentinels: sentinel.sentinels, master: sentinel.name }),
);

storeContract('redis sentinel', backend);

test('redis sentinel: the books balance after every step of any sequence of verbs', async () => {
  await runModel(backend, 25);
});
