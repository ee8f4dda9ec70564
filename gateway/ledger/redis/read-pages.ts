import type { Redis } from 'ioredis';
import type { RedisClient } from './connect.ts';
import type { KeyNames } from './key-names.ts';
import { mastersOf } from './masters.ts';

/** Keys that one SCAN looks at. */
const SCAN_COUNT = 1_000;
/** Keys that one script reads: nothing else runs on that server meanwhile, for less than a millisecond. */
const READ_AT_ONCE = 200;

/** A key of the store that a SCAN has named. */
export interface FoundKey {
  readonly name: string;
  readonly kind: 'account' | 'claim' | 'offer';
  readonly id: string;
}

/** What one SCAN has named, and the master that has it. */
export interface KeyPage {
  readonly master: Redis;
  readonly found: readonly FoundKey[];
}

/**
 * The keys of a store on all masters, each once, while gateways go on: what comes or goes meanwhile may be named or not.
 * @param pattern - one of those of {@link KeyNames}
 */
export async function* keyPages(
  client: RedisClient,
  keys: KeyNames,
  pattern: string,
): AsyncGenerator<KeyPage> {
  // SCAN may name a key twice when Redis resizes its table meanwhile.
  const seen = new Set<string>();
  for (const master of mastersOf(client)) {
    let page: Promise<[string, string[]]> | undefined = scan(master, pattern, '0');
    while (page !== undefined) {
      const [cursor, names]: [string, string[]] = await page;
      // The next page is on its way while this one is read.
      page = cursor === '0' ? undefined : scan(master, pattern, cursor);
      const found = names.flatMap((name) => {
        const record = seen.has(name) ? undefined : keys.readRecord(name);
        return record === undefined ? [] : [{ name, ...record }];
      });
      for (const { name } of found) seen.add(name);
      if (found.length > 0) yield { master, found };
    }
  }
}

function scan(master: Redis, pattern: string, cursor: string): Promise<[string, string[]]> {
  const page = master.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
  // Whoever stops reading never asks for the page that was on its way.
  page.catch(() => {});
  return page;
}

/**
 * Reads keys of one master, each at one moment: many by one script, because a command for each costs a gateway ten times as much. Their
 * names are arguments, as they lie in many slots; scripts without a header may read what its node has.
 * @param lua - an expression for what is read of `name`
 * @returns what each gave, in the order of the names
 */
export async function readTogether(
  master: Redis,
  lua: string,
  names: readonly string[],
): Promise<readonly unknown[]> {
  const script = `local rows = {}\nfor at, name in ipairs(ARGV) do rows[at] = ${lua} end\nreturn rows`;
  const pipeline = master.pipeline();
  for (let from = 0; from < names.length; from += READ_AT_ONCE) {
    pipeline.eval(script, 0, ...names.slice(from, from + READ_AT_ONCE));
  }
  const answers = (await pipeline.exec()) ?? [];
  return answers.flatMap(([error, rows]) => {
    if (error) throw error;
    return Array.isArray(rows) ? (rows as readonly unknown[]) : [];
  });
}
