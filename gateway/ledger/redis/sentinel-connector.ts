import { Redis, type RedisOptions, type SentinelAddress, SentinelConnector } from 'ioredis';
import { within } from '../../../node/within.ts';

/** What it needs of a connection's options: how the sentinels are reached, and by which name they know the master. */
type SentinelReach = Omit<RedisOptions, 'sentinels'> & {
  sentinels: SentinelAddress[];
  readonly name: string;
};

type Stream = Awaited<ReturnType<SentinelConnector['connect']>>;

/** Sentinel says on it `<name> <old host> <old port> <new host> <new port>` (Redis, "Sentinel Pub/Sub messages"). */
const SWITCH_CHANNEL = '+switch-master';
/** A sentinel that could not be listened to within it is away, ms: the master is asked for without it. */
const LISTEN_MS = 250;

/**
 * Finds the master by its sentinels, and ends the connection to it when one of them tells that another is master: an old one that hangs
 * closes nothing, and one that wakes up takes itself for the master until it is told. It listens before it asks, because what is told
 * between the answer and the connection counts too.
 *
 * ioredis has a detector of that, which we do without. It outlives the connection that it was made for, so that what it hears while the
 * client connects again ends the client for ever; it is left behind, still asking, by a client that does not connect again; it writes to
 * the console when a sentinel is away; and it takes the failover of any other master for ours.
 */
export class SwitchingConnector extends SentinelConnector {
  readonly #reach: SentinelReach;
  #watch: SwitchWatch | undefined;

  /** @param options - those of the connection, as ioredis hands them on */
  constructor(options: unknown) {
    if (!isReach(options))
      throw new TypeError('sentinels and the name of their master must be among the options');
    super(options);
    this.#reach = options;
  }

  override async connect(...[tell]: Parameters<SentinelConnector['connect']>): Promise<Stream> {
    this.#watch?.close();
    const watch = watchSwitch(this.#reach);
    this.#watch = watch;
    try {
      await watch.listening;
      // The words by which ioredis knows that it was told to close.
      if (watch.isClosed()) throw new Error('Connection is closed.');
      const stream = await super.connect(tell);
      // The next time, the sentinel that knew the master is asked first.
      this.sentinelIterator.reset(true);
      watch.endWithMaster(stream);
      return stream;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  override disconnect(): void {
    this.#watch?.close();
    super.disconnect();
  }
}

function isReach(options: unknown): options is SentinelReach {
  return typeof options === 'object' && options !== null && 'sentinels' in options && 'name' in options;
}

/** Ears at all sentinels, for one connection. */
interface SwitchWatch {
  /** Resolves when it hears every sentinel that can be reached now. */
  readonly listening: Promise<unknown>;
  /** Ends the connection when it is not to the master that was told of last, and the watch with the connection. */
  endWithMaster(stream: Stream): void;
  isClosed(): boolean;
  close(): void;
}

function watchSwitch(reach: SentinelReach): SwitchWatch {
  let told: readonly [host: string | undefined, port: number] | undefined;
  let guarded: Stream | undefined;
  let isClosed = false;

  function judge(): void {
    if (told === undefined || guarded === undefined || guarded.connecting) return;
    // Three sentinels tell it one after the other: by then this may be the connection to the new one.
    const [host, port] = told;
    if (guarded.remoteAddress !== host || guarded.remotePort !== port) guarded.destroy();
  }
  function hear(news: string): void {
    const [name, , , host, port] = news.split(' ');
    if (name !== reach.name) return;
    told = [host, Number(port)];
    judge();
  }
  const ears = reach.sentinels.map((sentinel) => listen(sentinel, reach, hear));
  function close(): void {
    if (isClosed) return;
    isClosed = true;
    for (const { client } of ears) client.disconnect();
  }
  return {
    listening: within(LISTEN_MS, Promise.all(ears.map(({ first }) => first)), undefined),
    endWithMaster(stream) {
      guarded = stream.once('connect', judge).once('close', close);
      if (stream.destroyed) close();
      else judge();
    },
    isClosed: () => isClosed,
    close,
  };
}

/** One ear: a sentinel that is away is tried again for as long as it is wanted, without a word: the others tell the same. */
interface Ear {
  readonly client: Redis;
  /** Resolves when it hears its sentinel, or has found it away once. */
  readonly first: Promise<void>;
}

function listen({ host, port }: SentinelAddress, reach: SentinelReach, hear: (news: string) => void): Ear {
  const { sentinelUsername, sentinelPassword, sentinelTLS, connectTimeout, sentinelCommandTimeout } = reach;
  const client = new Redis({
    host,
    port,
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResubscribe: false,
    replyMapping: 'legacy',
    retryStrategy: reach.sentinelReconnectStrategy,
    connectTimeout,
    commandTimeout: sentinelCommandTimeout,
    username: sentinelUsername,
    password: sentinelPassword,
    tls: sentinelTLS,
  });
  client.on('error', () => {});
  client.on('message', (_channel, news) => hear(news));
  const first = new Promise<void>((resolve) => {
    client.once('close', resolve);
    const done = (): void => resolve();
    client.on('ready', () => void client.subscribe(SWITCH_CHANNEL).then(done, done));
  });
  client.connect().catch(() => {});
  return { client, first };
}
