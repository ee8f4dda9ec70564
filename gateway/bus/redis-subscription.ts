import { Cluster, type Redis, type RedisOptions } from 'ioredis';

/** One subscription on a connection of its own. */
export interface Subscription {
  /** Says how to connect; on a Cluster, where the channel's shard is. */
  readonly client: Redis | Cluster;
  readonly channel: string;
  /** The channel is one shard's matter: for a Cluster. */
  readonly isSharded: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly onSubscribed: () => void;
  readonly onText: (text: string) => void;
}

/** A channel may be at another node than was thought, once while we find out and once more while it moves. */
const MAX_MOVES = 3;
/** It ends when its connection is lost: what follows is up to the caller. On a Cluster a node refuses a channel of another one. */
const ALONE: RedisOptions = { retryStrategy: null, lazyConnect: true, autoResubscribe: false };

/**
 * Connects once, subscribes, and resolves when the connection is over. On a Cluster the subscription is sharded, and made at the node
 * which has the channel's slot. ioredis has its own subscribers for that; they try a node that is down a hundred times a second.
 * @throws Error when it can't connect or may not subscribe
 */
export async function subscribeAlone(subscription: Subscription): Promise<void> {
  let at: Address | undefined;
  for (let moves = 0; moves < MAX_MOVES; moves += 1) {
    const movedTo = await subscribeAt(subscription, at);
    if (movedTo === undefined) return;
    at = movedTo;
  }
  throw new Error('The channel of the bus moves from node to node.');
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** @returns where the channel is, when it is not there */
async function subscribeAt(
  subscription: Subscription,
  at: Address | undefined,
): Promise<Address | undefined> {
  const { client, channel, isSharded, signal, onSubscribed, onText } = subscription;
  const ear = connectionLike(client, at);
  if (ear === undefined) throw new Error('No node of the Cluster is known.');
  const ended = new Promise<void>((resolve) => void ear.once('end', () => resolve()));
  const giveUp = (): void => ear.disconnect();
  ear.on('error', () => {});
  ear.on('message', (_channel, text) => onText(text));
  ear.on('smessage', (_channel, text) => onText(text));
  try {
    signal.throwIfAborted();
    signal.addEventListener('abort', giveUp, { once: true });
    await ear.connect();
    if (isSharded) await ear.ssubscribe(channel);
    else await ear.subscribe(channel);
    onSubscribed();
    await ended;
    return undefined;
  } catch (error) {
    ear.disconnect();
    const movedTo = readMoved(error);
    if (movedTo === undefined) throw error;
    return movedTo;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

function connectionLike(client: Redis | Cluster, at: Address | undefined): Redis | undefined {
  if (!(client instanceof Cluster)) return client.duplicate(ALONE);
  const [node] = client.nodes('master');
  return node?.duplicate({ ...ALONE, ...at });
}

/** `MOVED 3999 127.0.0.1:6381`, an IPv6 address without brackets. */
function readMoved(error: unknown): Address | undefined {
  if (!(error instanceof Error)) return undefined;
  const [, host, port] = /^MOVED \d+ (\S+):(\d+)$/.exec(error.message) ?? [];
  return host === undefined || host === '' ? undefined : { host, port: Number(port) };
}
