import { Redis, type RedisOptions, type SentinelAddress } from 'ioredis';
import type { RedisServer } from '../../../config/redis-url.ts';
import { within } from '../../../node/within.ts';
import { boundReplies } from './bound-replies.ts';
import { readMasterAddress } from './read-master-address.ts';

/** What it needs of a connection's options: how the sentinels are reached, and by which name they know the master. */
export type SentinelReach = Omit<RedisOptions, 'sentinels'> & {
  readonly sentinels: readonly SentinelAddress[];
  readonly name: string;
};

/** Whether options of a connection say how to reach sentinels. */
export function isSentinelReach(options: unknown): options is SentinelReach {
  return typeof options === 'object' && options !== null && 'sentinels' in options && 'name' in options;
}

/** Sentinel says on it `<name> <old host> <old port> <new host> <new port>` (Redis, "Sentinel Pub/Sub messages"). */
const SWITCH_CHANNEL = '+switch-master';
/** Most bytes that a sentinel may send in {@link SPAN_MS}: its answers and its news are short. */
const MAX_BYTES = 100_000;
const SPAN_MS = 5_000;

/** What an ear tells. */
export interface EarEvents {
  /** Another server is the master since now. */
  readonly onSwitch: (ear: Ear, master: RedisServer) => void;
  /** It hears its sentinel, for the first time or again. */
  readonly onHears: (ear: Ear) => void;
  /** It hears it no more. */
  readonly onDeaf: () => void;
}

/** One ear: a sentinel that is away is tried again for as long as it is wanted, without a word: the others tell the same. */
export interface Ear {
  /** Resolves when it hears its sentinel, or has found it away once. */
  readonly first: Promise<void>;
  hears(): boolean;
  /** Asks for the master. @throws Error when the sentinel is away, or names no server */
  ask(): Promise<RedisServer>;
  close(): void;
}

/** Connects to a sentinel, and listens to what it tells of the master. */
export function listen(
  sentinel: SentinelAddress,
  reach: SentinelReach,
  { onSwitch, onHears, onDeaf }: EarEvents,
): Ear {
  const client = connectionTo(sentinel, reach);
  const first = Promise.withResolvers<void>();
  let failure: Error | undefined;
  let hears = false;
  const ear: Ear = {
    first: first.promise,
    hears: () => hears,
    async ask() {
      if (client.status !== 'ready') throw failure ?? new Error('connect ETIMEDOUT');
      const answer = await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', reach.name);
      if (answer === null) throw new Error('No such master with that name');
      const master = readMasterAddress(answer);
      if (master === undefined) throw new Error('it names no address of a master');
      return master;
    },
    close: () => client.disconnect(),
  };
  client.on('error', (error) => {
    failure = error;
  });
  client.on('close', () => {
    failure ??= new Error('Connection is closed.');
    first.resolve();
    if (!hears) return;
    hears = false;
    onDeaf();
  });
  // Of one that can't even begin: a certificate that is none.
  client.on('end', first.resolve);
  client.on('message', (_channel, news) => {
    const [name, , , ...address] = news.split(' ');
    const master = readMasterAddress(address);
    if (name === reach.name && master !== undefined) onSwitch(ear, master);
  });
  client.on('ready', () => {
    failure = undefined;
    const subscribed = client.subscribe(SWITCH_CHANNEL).then(() => {
      hears = true;
      onHears(ear);
    });
    // One that may not listen, as the start says (`checkSentinels`), can still be asked.
    subscribed.catch(() => {}).finally(first.resolve);
  });
  client.connect().catch(() => {});
  return ear;
}

/** What keeps this user from listening to a sentinel: its ACL, something else (it is away, or too slow), or nothing. */
export type ListenRight = 'refused' | 'unknown' | 'granted';

/** Tries to listen to a sentinel, for so long at most. */
export async function mayListen(
  sentinel: SentinelAddress,
  reach: SentinelReach,
  limitMs: number,
): Promise<ListenRight> {
  const client = connectionTo(sentinel, { ...reach, sentinelReconnectStrategy: () => null });
  client.on('error', () => {});
  const heard = client
    .connect()
    .then(() => client.subscribe(SWITCH_CHANNEL))
    .then(
      (): ListenRight => 'granted',
      (error: unknown) => (error instanceof Error && /^NOPERM/.test(error.message) ? 'refused' : 'unknown'),
    );
  try {
    return await within(limitMs, heard, 'unknown');
  } finally {
    client.disconnect();
  }
}

function connectionTo({ host, port }: SentinelAddress, reach: SentinelReach): Redis {
  const { sentinelUsername, sentinelPassword, sentinelTLS, connectTimeout, sentinelCommandTimeout } = reach;
  const client = new Redis({
    host,
    port,
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResubscribe: false,
    // A question whose connection broke has failed: it is not asked again behind our back.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    replyMapping: 'legacy',
    retryStrategy: reach.sentinelReconnectStrategy,
    connectTimeout,
    commandTimeout: sentinelCommandTimeout,
    keepAlive: reach.keepAlive,
    username: sentinelUsername,
    password: sentinelPassword,
    tls: sentinelTLS,
  });
  boundReplies(client, { maxBytes: MAX_BYTES, perMs: SPAN_MS });
  return client;
}
