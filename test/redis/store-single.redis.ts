import { after, before } from 'node:test';
import { storeContract } from '../contract/store.contract.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';
import { redisBackend } from './redis-backend.ts';

let server: RedisServer;

before(async () => {
  server = await startRedis();
});

after(async () => {
  await server.stop();
});

storeContract(
  'redis',
  redisBackend(
    () => storeOn(server),
    async () => void (await server.call('FLUSHALL')),
  ),
);
