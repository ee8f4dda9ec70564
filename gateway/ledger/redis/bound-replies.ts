import type { Socket } from 'node:net';
import { Cluster, type Redis } from 'ioredis';

/** How much one connection may send. */
export interface ReplyBound {
  readonly maxBytes: number;
  /** In each span of so many ms. */
  readonly perMs: number;
}

/**
 * Cuts a connection that sends far more than anybody asked for: the parser of ioredis would keep an answer without an end in memory until
 * there is none left.
 */
export function boundReplies(client: Redis | Cluster, bound: ReplyBound): void {
  if (client instanceof Cluster) {
    client.on('+node', (node: Redis) => watchConnections(node, bound));
  } else {
    watchConnections(client, bound);
  }
}

function watchConnections(redis: Redis, bound: ReplyBound): void {
  redis.on('connect', () => {
    const { stream } = redis;
    watchStream(stream, bound);
  });
}

function watchStream(stream: Socket, { maxBytes, perMs }: ReplyBound): void {
  let received = 0;
  let sinceMs = performance.now();
  stream.on('data', (data: Buffer) => {
    const nowMs = performance.now();
    if (nowMs - sinceMs > perMs) {
      sinceMs = nowMs;
      received = 0;
    }
    received += data.length;
    if (received > maxBytes) stream.destroy(new Error('it sends too much at once'));
  });
}
