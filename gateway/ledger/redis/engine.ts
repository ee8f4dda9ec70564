import { performance } from 'node:perf_hooks';
import { StoreError } from '../store.ts';
import type { RedisClient } from './connect.ts';
import { closeRedis } from './connect.ts';
import { damaged, judgeFailure, mismatch } from './judge-failure.ts';
import type { KeyNames } from './key-names.ts';
import { mismatchOf, type Proofs } from './proofs.ts';
import { defineScripts, type RunScript, type ScriptName } from './scripts.ts';

/** How many replicas must have what may not be lost, and how long they may take, ms. */
export interface Acknowledge {
  /** A client of its own: WAIT holds up everything behind it on its connection, and counts what was written over that connection. */
  readonly client: RedisClient;
  readonly replicas: number;
  readonly timeoutMs: number;
  /** Also on the disk of the master (WAITAOF, Redis 7.2): for `appendonly yes` with `appendfsync everysec`. */
  readonly fsync?: boolean;
}

/** What the verbs of the store run on. */
export interface Engine {
  readonly keys: KeyNames;
  readonly proofs: Proofs;
  /** The clock that every script is given first. */
  clock(): string;
  /** Runs a verb: counted while under way, refused when the store is closed, and whatever fails becomes a StoreError. */
  verb<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Runs a script that answers one string. A failover may forget what it wrote. */
  run(script: ScriptName, ...keysAndArgs: string[]): Promise<string>;
  /** As {@link Engine.run}, and resolves when as many replicas as configured have what it wrote to the slot of its first key. */
  runStrongly(script: ScriptName, ...keysAndArgs: string[]): Promise<string>;
  /** {@link Engine.runStrongly} for what is no script. */
  strongly<T>(key: string, work: (client: RedisClient) => Promise<T>): Promise<T>;
  readonly client: RedisClient;
  /** An answer that this program does not give. */
  damaged(): StoreError;
  /** The store has lost its data. */
  lost(): StoreError;
  close(): Promise<void>;
}

/** What {@link createEngine} needs. */
export interface EngineOptions {
  readonly client: RedisClient;
  readonly keys: KeyNames;
  readonly proofs: Proofs;
  /** For messages; without a password. */
  readonly name: string;
  readonly acknowledge?: Acknowledge;
  readonly clock: () => string;
  /** Told when a script found that the store is not the one that this process knows, each time. */
  readonly onMismatch: () => void;
  readonly onLatency: (verb: string, ms: number) => void;
}

/** Runs scripts on a client, which it closes in the end. */
export function createEngine(options: EngineOptions): Engine {
  const { client, keys, proofs, name, clock, onLatency, acknowledge } = options;
  const runWeakly = stringsOnly(defineScripts(client, proofs), name);
  const strong = strongSide(options, runWeakly);
  let underWay = 0;
  let closing: Promise<void> | undefined;
  let whenIdle: (() => void) | undefined;

  async function drain(): Promise<void> {
    if (underWay > 0) {
      await new Promise<void>((resolve) => {
        whenIdle = resolve;
      });
    }
    await Promise.all([client, ...(acknowledge === undefined ? [] : [acknowledge.client])].map(closeRedis));
  }

  return {
    keys,
    proofs,
    client,
    clock,
    damaged: () => damaged(name),
    lost: () => mismatch(name, 'empty'),
    run: (script, ...keysAndArgs) => runWeakly(script, keysAndArgs),
    runStrongly: strong.runStrongly,
    strongly: strong.strongly,
    async verb(verb, work) {
      if (closing !== undefined) throw new StoreError('unavailable', `The store at ${name} is closed.`);
      const startedMs = performance.now();
      underWay += 1;
      try {
        return await work();
      } catch (error) {
        if (mismatchOf(error) !== undefined) options.onMismatch();
        throw judgeFailure(error, name);
      } finally {
        onLatency(verb, performance.now() - startedMs);
        underWay -= 1;
        if (underWay === 0) whenIdle?.();
      }
    },
    close() {
      closing ??= drain();
      return closing;
    },
  };
}

function stringsOnly(
  run: RunScript,
  name: string,
): (script: ScriptName, keysAndArgs: readonly string[]) => Promise<string> {
  return async (script, keysAndArgs) => {
    const answer = await run(script, keysAndArgs);
    if (typeof answer !== 'string') throw damaged(name);
    return answer;
  };
}

type StrongSide = Pick<Engine, 'runStrongly' | 'strongly'>;

function strongSide(
  { client, name, acknowledge, proofs }: EngineOptions,
  runWeakly: (script: ScriptName, keysAndArgs: readonly string[]) => Promise<string>,
): StrongSide {
  if (acknowledge === undefined) {
    return {
      runStrongly: (script, ...keysAndArgs) => runWeakly(script, keysAndArgs),
      strongly: (_key, work) => work(client),
    };
  }
  const run = stringsOnly(defineScripts(acknowledge.client, proofs), name);
  const strongly = async <T>(key: string, work: (client: RedisClient) => Promise<T>): Promise<T> => {
    const answer = await work(acknowledge.client);
    await acknowledged(key, name, acknowledge);
    return answer;
  };
  return {
    strongly,
    runStrongly: (script, ...keysAndArgs) => strongly(keysAndArgs[0] ?? '', () => run(script, keysAndArgs)),
  };
}

async function acknowledged(
  key: string,
  name: string,
  { client, replicas, timeoutMs, fsync = false }: Acknowledge,
): Promise<void> {
  // On a Cluster, a command without a key goes along with the one before it, to the node of that key.
  const pipeline = client.pipeline().exists(key);
  if (fsync) pipeline.call('WAITAOF', '1', String(replicas), String(timeoutMs));
  else pipeline.wait(replicas, timeoutMs);
  const [, [error, answer] = []] = (await pipeline.exec()) ?? [];
  if (error) throw error;
  const [onDisk, got] = Array.isArray(answer) ? answer.map(Number) : [1, Number(answer)];
  if ((got ?? 0) >= replicas && onDisk === 1) return;
  throw new StoreError(
    'unavailable',
    `The store at ${name} has written it, but ${got ?? 0} of ${replicas} replicas acknowledged it within ${timeoutMs} ms: ` +
      'look at its replicas.',
  );
}
