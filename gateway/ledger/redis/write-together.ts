import type { Redis } from 'ioredis';
import type { RedisClient } from './connect.ts';
import { mastersOf } from './masters.ts';

/**
 * Has everything that is sent in one turn of the event loop leave in one write: ioredis writes each command by itself, and a system call
 * costs more than all else that a spend does here. What it returns is called before a command is sent.
 */
export function writeTogether(client: RedisClient): () => void {
  let isHolding = false;
  return () => {
    if (isHolding) return;
    isHolding = true;
    const held = mastersOf(client).flatMap(hold);
    setImmediate(() => {
      isHolding = false;
      for (const stream of held) stream.uncork();
    });
  };
}

function hold({ stream }: Redis): readonly Redis['stream'][] {
  // Before the first connection there is none.
  if (stream === undefined || stream === null) return [];
  stream.cork();
  return [stream];
}
