import { after, before, test } from 'node:test';
import { storeContract } from '../contract/store.contract.ts';
import { runModel } from '../ledger/run-model.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';
import { redisBackend } from './redis-backend.ts';

let server: RedisServer;

before(async () => {
  server = await startRedis();
});

after(async () => {
  await server.stop();
});

const backend = redisBackend(() => storeOn(server));

storeContract('redis', backend);

test('redis: the books balance after every step of any sequence of verbs', async () => {
  await runModel(backend, 25);
});
