import { z } from 'zod';
import { parseRedisUrl, type RedisUrl, redisServer } from './redis-url.ts';
import { oneOrMany } from './schema-service.ts';
import { durationMs, number, type Refused, reference, text, written, yesNo } from './values.ts';

const file = text(1_000);

const passGrace = durationMs('0s', '24h')
  .prefault('5m')
  .describe(
    'How long passes that were redeemed already are served while the store does not answer; then 503. A revocation is not heard of meanwhile.',
  );

const sqliteStore = z.strictObject({
  type: z.literal('sqlite').describe('A file on this machine.'),
  file: file.optional().describe('The database file. Without it: `ledger.db` in the data folder.'),
  spendDurability: z
    .enum(['normal', 'full'])
    .prefault('normal')
    .describe(
      '`normal`: a power cut may forget the last spends, never a credit. `full`: every spend is on disk before its answer, at the cost of speed.',
    ),
  passGrace,
});

const memoryStore = z.strictObject({
  type: z.literal('memory').describe('Nothing survives a restart: for tests only.'),
});

const redisUrl = written(parseRedisUrl);
const keyPrefix = written((value): string | Refused =>
  /^[A-Za-z0-9_.:-]{1,64}$/.test(value)
    ? value
    : {
        problem: 'is not a key prefix',
        remedy: 'write up to 64 letters, digits and `_ . : -`, such as `sluice:`',
      },
);

const redisTls = z.strictObject({
  ca: file
    .optional()
    .describe('PEM file of the authority that signed the certificate of Redis. Without it: the public ones.')
    .meta({ written: ['/etc/sluice/redis-ca.crt'] }),
  cert: file
    .optional()
    .describe('PEM file of a certificate for the gateway, when Redis asks for one (`tls-auth-clients`).')
    .meta({ written: ['/etc/sluice/redis-client.crt'] }),
  key: file
    .optional()
    .describe('PEM file of its private key.')
    .meta({ written: ['/etc/sluice/redis-client.key'] }),
  servername: text(253)
    .optional()
    .describe(
      'The name that the certificate of Redis must be for. Without it: the host that is connected to.',
    )
    .meta({ written: ['redis.internal'] }),
});

const redisStore = z
  .strictObject({
    type: z.literal('redis').describe('Redis or Valkey: any number of gateways share it.'),
    url: redisUrl
      .optional()
      .describe(
        'One server: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS. May hold `USER:PASSWORD@`.',
      )
      .meta({ written: ['redis://127.0.0.1:6379', 'rediss://redis.internal:6380/0'] }),
    sentinels: oneOrMany(redisServer(26_379))
      .optional()
      .describe('Sentinels that know the present master, in place of `url`.')
      .meta({ written: [['10.0.0.1:26379', '10.0.0.2:26379', '10.0.0.3:26379']] }),
    master: text(100)
      .optional()
      .describe('The name by which the sentinels know the master.')
      .meta({ written: ['mymaster'] }),
    cluster: oneOrMany(redisServer(6_379))
      .optional()
      .describe('Some nodes of a Redis Cluster, in place of `url`; the others are found through them.')
      .meta({ written: [['10.0.0.1:6379', '10.0.0.2:6379', '10.0.0.3:6379']] }),
    username: text(100).optional().describe('ACL user. Without it: the default user.'),
    password: text(1_000)
      .optional()
      .describe('Its password.')
      .meta({ written: [reference('REDIS_PASSWORD'), reference('file:/run/secrets/redis')] }),
    sentinelUsername: text(100).optional().describe('ACL user of the sentinels, when they have their own.'),
    sentinelPassword: text(1_000).optional().describe('Password of the sentinels, when they want one.'),
    database: number(0, 1_000_000)
      .optional()
      .describe('Number of the database; not on a Cluster. Without it: the one of `url`, else 0.'),
    tls: z
      .union([yesNo, redisTls])
      .optional()
      .describe('TLS to Redis and to the sentinels: `true`, or its files. `rediss://` says `true` too.')
      .meta({ written: [{ ca: '/etc/sluice/redis-ca.crt' }] }),
    keyPrefix: keyPrefix
      .prefault('sluice:')
      .describe('Begins every key and channel, so that several ledgers fit in one Redis.'),
    connectTimeout: durationMs('100ms', '60s').prefault('2s').describe('How long a connection may take.'),
    commandTimeout: durationMs('50ms', '60s')
      .prefault('2s')
      .describe(
        'How long an answer may take; then its outcome is unknown and resolved, and the client gets 503.',
      ),
    wait: z
      .strictObject({
        replicas: number(1, 10)
          .describe('Replicas that must have it.')
          .meta({ written: [1] }),
        timeout: durationMs('10ms', '30s')
          .prefault('500ms')
          .describe(
            'How long they may take; then the answer is 503, and the payment is credited when it is presented again.',
          ),
      })
      .optional()
      .describe(
        'Payments, credits and revocations are acknowledged when so many replicas have them too, so that a failover does not forget them.',
      )
      .meta({ written: [{ replicas: 1, timeout: '500ms' }] }),
    strict: yesNo
      .prefault(false)
      .describe(
        'Refuse to start when Redis is set up so that it may forget payments, in place of a warning.',
      ),
    passGrace,
  })
  .superRefine(checkReach);

/** What stands in a redis store, as far as it says where Redis is. */
interface WrittenReach {
  readonly url?: RedisUrl | undefined;
  readonly sentinels?: unknown;
  readonly master?: unknown;
  readonly cluster?: unknown;
  readonly username?: unknown;
  readonly password?: unknown;
  readonly sentinelUsername?: unknown;
  readonly sentinelPassword?: unknown;
  readonly database?: unknown;
  readonly tls?: unknown;
  readonly wait?: { readonly timeout: number } | undefined;
  readonly commandTimeout: number;
}

/** Says what in it does not go together. */
function checkReach(store: WrittenReach, context: z.core.$RefinementCtx): void {
  const refuse = (path: readonly string[], message: string, remedy: string): void => {
    context.addIssue({ code: 'custom', path: [...path], message, params: { remedy } });
  };
  const { url, sentinels, cluster } = store;
  const ways = ['url', 'sentinels', 'cluster'].filter((key) => Reflect.get(store, key) !== undefined);
  if (ways.length === 0) {
    refuse(
      [],
      'does not say where Redis is',
      'add `url: redis://127.0.0.1:6379`, or `sentinels` and `master`, or `cluster`',
    );
  }
  const [first, second] = ways;
  if (second !== undefined)
    refuse([second], `can't stand beside \`${first}\``, 'keep one of `url`, `sentinels` and `cluster`');
  if (sentinels !== undefined && store.master === undefined) {
    refuse(['master'], 'is missing', 'name the master as the sentinels know it: `master: mymaster`');
  }
  if (sentinels === undefined) {
    for (const key of ['master', 'sentinelUsername', 'sentinelPassword']) {
      if (Reflect.get(store, key) !== undefined)
        refuse([key], 'is of use with `sentinels` only', 'leave it out');
    }
  }
  if (cluster !== undefined && store.database !== undefined && store.database !== 0) {
    refuse(['database'], 'is not 0, and a Redis Cluster has only that one', 'leave it out');
  }
  for (const [key, other] of [
    ['username', 'user name'],
    ['password', 'password'],
    ['database', 'database'],
  ] as const) {
    if (url?.[key] !== undefined && store[key] !== undefined) {
      refuse([key], `stands here and in \`url\``, `keep the ${other} in one of them`);
    }
  }
  if (store.username !== undefined && store.password === undefined && url?.password === undefined) {
    refuse(
      ['password'],
      'is missing',
      `a user needs a password: \`password: ${reference('REDIS_PASSWORD')}\``,
    );
  }
  if (url?.tls === true && store.tls === false) {
    refuse(['tls'], 'is false, and `rediss://` asks for TLS', 'write `redis://`, or leave `tls` out');
  }
  if (store.wait !== undefined && store.wait.timeout >= store.commandTimeout) {
    refuse(
      ['wait', 'timeout'],
      'is not shorter than `commandTimeout`',
      'make it shorter, or `commandTimeout` longer',
    );
  }
}

/** `store: redis://HOST:PORT` is short for `store: { type: redis, url: … }`. */
const redisShort = z.string().transform((value, context): z.output<typeof redisStore> => {
  if (!/^rediss?:/.test(value)) {
    context.addIssue({ code: 'invalid_value', values: ['redis://…'], input: value });
    return z.NEVER;
  }
  const parsed = redisStore.safeParse({ type: 'redis', url: value });
  if (parsed.success) return parsed.data;
  // The same words, at the place of the whole value.
  for (const { message, code, ...issue } of parsed.error.issues) {
    const params = code === 'custom' && 'params' in issue ? issue.params : {};
    context.addIssue({ code: 'custom', message, params });
  }
  return z.NEVER;
});

/** `store: memory` is short for `store: { type: memory }`. */
export const store = z.union([
  z
    .literal('sqlite')
    .transform((type) => ({ type }))
    .pipe(sqliteStore),
  z
    .literal('memory')
    .transform((type) => ({ type }))
    .pipe(memoryStore),
  redisShort,
  z.discriminatedUnion('type', [sqliteStore, memoryStore, redisStore]),
]);
