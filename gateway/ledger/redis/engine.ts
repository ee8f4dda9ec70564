import { performance } from 'node:perf_hooks';
import type { ChainableCommander } from 'ioredis';
import { StoreError } from '../store.ts';
import { type Acknowledge, acknowledgedWrites } from './acknowledge.ts';
import type { RedisClient } from './connect.ts';
import { closeRedis } from './connect.ts';
import { damaged, judgeFailure, mismatch } from './judge-failure.ts';
import type { KeyNames } from './key-names.ts';
import { mismatchOf, type Proofs } from './proofs.ts';
import { defineScripts, type RunScript, type ScriptName } from './scripts.ts';

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
  /** {@link Engine.runStrongly} for one command that is no script, and writes to `key`. */
  strongly(key: string, command: (pipeline: ChainableCommander) => void): Promise<void>;
  /** Whether strong writes wait for replicas. */
  readonly hasReplicas: boolean;
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
    hasReplicas: acknowledge !== undefined,
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

/** Without replicas to wait for, a strong write is one like all others. */
function strongSide(
  { client, name, acknowledge, proofs }: EngineOptions,
  runWeakly: (script: ScriptName, keysAndArgs: readonly string[]) => Promise<string>,
): Pick<Engine, 'runStrongly' | 'strongly'> {
  if (acknowledge !== undefined) {
    const writes = acknowledgedWrites(acknowledge, { proofs, name });
    return {
      runStrongly: (script, ...keysAndArgs) => writes.run(script, keysAndArgs),
      strongly: async (key, command) => void (await writes.send(key, command)),
    };
  }
  return {
    runStrongly: (script, ...keysAndArgs) => runWeakly(script, keysAndArgs),
    async strongly(_key, command) {
      const pipeline = client.pipeline();
      command(pipeline);
      const [[error] = []] = (await pipeline.exec()) ?? [];
      if (error) throw error;
    },
  };
}
