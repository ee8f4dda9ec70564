import { type ChainableCommander, Cluster } from 'ioredis';
import type { RedisClient } from './connect.ts';
import { slotOf, slotTags } from './slots.ts';
import { writeTogether } from './write-together.ts';

/*
 * A Redis may come back empty, or with an older copy of its data, in the middle of a request. Scripts on it would find no claim and sell
 * the same payment a second time. So there is a proof in it: a key that holds the store's generation and an epoch, written once when the
 * store is made, and never again by anything but the raising of its epoch. Every script looks at the proof in the same step in which it
 * works, and does nothing without it. On a Cluster a single node may lose its data, so there is a proof in each slot.
 * See docs/decisions/0017-a-proof-in-every-script.md.
 */

/** What a script answers in place of working. */
export const MISMATCH = 'SLUICEMISMATCH';

/** Begins every script: takes the proof's key off KEYS, generation and epoch off ARGV, and compares. */
const CHECK = `
local wanted_epoch, wanted_generation = tonumber(table.remove(ARGV)), table.remove(ARGV)
local proof = redis.call('GET', table.remove(KEYS))
if not proof then return redis.error_reply('${MISMATCH} empty') end
if string.sub(proof, 1, 32) ~= wanted_generation then return redis.error_reply('${MISMATCH} generation') end
if tonumber(string.sub(proof, 34)) < wanted_epoch then return redis.error_reply('${MISMATCH} older') end
`;

/** KEYS: proof. ARGV: generation, epoch. A proof that is missing is not made. */
const RAISE = `
local proof = redis.call('GET', KEYS[1])
if not proof or string.sub(proof, 1, 32) ~= ARGV[1] then return 0 end
if tonumber(string.sub(proof, 34)) < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2]) end
return 1
`;

/** KEYS: proof. ARGV: generation. A proof of that generation stays: another gateway that begins with us may have raised its epoch. */
const WRITE = `
local proof = redis.call('GET', KEYS[1])
if not proof or string.sub(proof, 1, 32) ~= ARGV[1] then redis.call('SET', KEYS[1], ARGV[1] .. ':0') end
return 1
`;

/** Slots that one check looks at: evenly apart, so that every node is among them, which owns whole ranges of slots. */
const CHECKED = 32;

/** Commands under way at a time while every slot is visited. */
const BATCH = 512;

/** A script that works only where the proof is; it is called with {@link Proofs.keyFor} as its last key, and {@link Proofs.wanted} as its last arguments. */
export function guardScript(lua: string): string {
  return `${CHECK}${lua}`;
}

/** Why a script did not work; `undefined`: for another reason. */
export function mismatchOf(error: unknown): 'empty' | 'generation' | 'older' | undefined {
  if (!(error instanceof Error)) return undefined;
  const why = new RegExp(`${MISMATCH} (empty|generation|older)`).exec(error.message)?.[1];
  return why === 'empty' || why === 'generation' || why === 'older' ? why : undefined;
}

/** The proofs of one store. */
export interface Proofs {
  /** The key of the proof that stands in the slot of a key. */
  keyFor(key: string): string;
  /** Generation and epoch that the scripts of this process ask for. */
  wanted(): readonly [generation: string, epoch: string];
  /** From now on asks for this generation, and for no epoch yet. */
  wantGeneration(generation: string): void;
  /** From now on asks for this epoch at least; a lower one changes nothing. */
  wantEpoch(epoch: number): void;
  /** Writes every proof that is not of this generation: for a store that is made, or that gets a new generation. */
  write(client: RedisClient, generation: string): Promise<void>;
  /** Raises every proof that is there. @returns how many slots had lost theirs */
  raise(client: RedisClient, epoch: number): Promise<number>;
  /** Has a pipeline raise the proof of one server, as {@link Proofs.raise} does. */
  addRaise(pipeline: ChainableCommander, epoch: number): void;
  /**
   * On a Cluster, reads the proofs of some slots of every node, and of those that were missing at the last time. On one server, the
   * scripts do.
   * @throws Error as a script would
   */
  check(client: RedisClient): Promise<void>;
}

/** @param isCluster - a proof in each slot; else a single one */
export function createProofs(options: { readonly keyPrefix: string; readonly isCluster: boolean }): Proofs {
  const { keyPrefix, isCluster } = options;
  const single = `${keyPrefix}proof`;
  const bySlot = isCluster ? slotTags().map((tag) => `${keyPrefix}{${tag}}proof`) : [single];
  let wanted: readonly [string, string] = ['', '0'];
  let offset = 0;
  let missing: readonly string[] = [];
  return {
    keyFor: (key) => (isCluster ? (bySlot[slotOf(key)] ?? single) : single),
    wanted: () => wanted,
    wantGeneration(generation) {
      wanted = [generation, '0'];
    },
    wantEpoch(epoch) {
      if (epoch > Number(wanted[1])) wanted = [wanted[0], String(epoch)];
    },
    write: (client, generation) =>
      eachBatch(client, bySlot, async (key) => void (await client.eval(WRITE, 1, key, generation))),
    addRaise(pipeline, epoch) {
      pipeline.eval(RAISE, 1, single, wanted[0], String(epoch));
    },
    async check(client) {
      if (!isCluster) return;
      const [generation] = wanted;
      const apart = bySlot.length / CHECKED;
      const looked = bySlot.filter((_, slot) => slot % apart === offset);
      offset = (offset + 1) % apart;
      let why: 'empty' | 'generation' = 'empty';
      const lost: string[] = [];
      await eachBatch(client, [...missing, ...looked], async (key) => {
        const proof = await client.get(key);
        if (proof?.startsWith(generation) === true) return;
        why = proof === null ? 'empty' : 'generation';
        lost.push(key);
      });
      missing = lost.slice(0, BATCH);
      if (lost.length > 0) throw new Error(`${MISMATCH} ${why}`);
    },
    async raise(client, epoch) {
      let lost = 0;
      const [generation] = wanted;
      await eachBatch(client, bySlot, async (key) => {
        if ((await client.eval(RAISE, 1, key, generation, String(epoch))) === 0) lost += 1;
      });
      return lost;
    },
  };
}

async function eachBatch(
  client: RedisClient,
  keys: readonly string[],
  work: (key: string) => Promise<void>,
): Promise<void> {
  const aboutToWrite = writeTogether(client);
  for (let from = 0; from < keys.length; from += BATCH) {
    aboutToWrite();
    await Promise.all(keys.slice(from, from + BATCH).map(work));
  }
}

/** Whether a client speaks to a Cluster. */
export function isClusterClient(client: RedisClient): client is Cluster {
  return client instanceof Cluster;
}
