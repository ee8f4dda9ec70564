import type { ChainableCommander } from 'ioredis';
import { StoreError } from '../store.ts';
import type { RedisClient } from './connect.ts';
import { damaged } from './judge-failure.ts';
import type { Proofs } from './proofs.ts';
import { prepareScript, type ScriptName } from './scripts.ts';

/** How many replicas must have what may not be lost, and how long they may take, ms. */
export interface Acknowledge {
  /** A client of its own: WAIT holds up everything behind it on its connection. */
  readonly client: RedisClient;
  readonly replicas: number;
  readonly timeoutMs: number;
  /** Also on the disk of the master (WAITAOF, Redis 7.2): for `appendonly yes` with `appendfsync everysec`. */
  readonly fsync?: boolean;
}

/** Writes that replicas acknowledge. */
export interface AcknowledgedWrites {
  /** Runs a script that answers one string. */
  run(script: ScriptName, keysAndArgs: readonly string[]): Promise<string>;
  /** Sends one command that writes to `key`. */
  send(key: string, command: (pipeline: ChainableCommander) => void): Promise<unknown>;
}

/** Sendings of one write: what moved to another master, or was not known there, was not carried out. */
const MAX_SENDINGS = 3;

/**
 * Each write leaves in one piece with the WAIT behind it, for one connection. Sent one after the other, a Cluster whose slot changes hands
 * between the two would have the old master write it and the new one acknowledge it, which has never seen it.
 */
export function acknowledgedWrites(
  acknowledge: Acknowledge,
  { proofs, name }: { readonly proofs: Proofs; readonly name: string },
): AcknowledgedWrites {
  const write = (key: string, add: (pipeline: ChainableCommander, refusal: string) => void) =>
    writeAndWait(acknowledge, name, key, add);
  return {
    send: write,
    async run(script, keysAndArgs) {
      const { lua, sha, keyCount, args } = prepareScript(proofs, script, keysAndArgs);
      const answer = await write(args[0] ?? '', (pipeline, refusal) => {
        if (refusal.startsWith('NOSCRIPT')) pipeline.eval(lua, keyCount, ...args);
        else pipeline.evalsha(sha, keyCount, ...args);
      });
      if (typeof answer !== 'string') throw damaged(name);
      return answer;
    },
  };
}

/** @param add - adds the write; told why the one before it was not carried out, '' at first */
async function writeAndWait(
  { client, replicas, timeoutMs, fsync = false }: Acknowledge,
  name: string,
  key: string,
  add: (pipeline: ChainableCommander, refusal: string) => void,
): Promise<unknown> {
  let refusal = '';
  for (let sendings = 1; ; sendings += 1) {
    const pipeline = client.pipeline();
    add(pipeline, refusal);
    // Without a key, it goes on a Cluster where the rest of its pipeline goes.
    if (fsync) pipeline.call('WAITAOF', '1', String(replicas), String(timeoutMs));
    else pipeline.wait(replicas, timeoutMs);
    const [[error, answer] = [], [waitError, waited] = []] = (await pipeline.exec()) ?? [];
    if (!error) {
      if (waitError) throw waitError;
      checkAcknowledged(waited, { name, replicas, timeoutMs });
      return answer;
    }
    refusal = error.message;
    if (sendings === MAX_SENDINGS || !/^(NOSCRIPT|MOVED) /.test(refusal)) throw error;
    // A pipeline that waits is not led on to the new master; a command that reads is, and the client learns the way by it.
    if (refusal.startsWith('MOVED')) await client.exists(key);
  }
}

function checkAcknowledged(
  waited: unknown,
  { name, replicas, timeoutMs }: { name: string; replicas: number; timeoutMs: number },
): void {
  // WAITAOF answers how many disks of masters, then how many of replicas; WAIT how many replicas.
  const [onDisk, got] = Array.isArray(waited) ? waited.map(Number) : [1, Number(waited)];
  if ((got ?? 0) >= replicas && onDisk === 1) return;
  throw new StoreError(
    'unavailable',
    `The store at ${name} has written it, but ${got ?? 0} of ${replicas} replicas acknowledged it within ${timeoutMs} ms: ` +
      'look at its replicas.',
  );
}
