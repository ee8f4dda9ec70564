import { StoreError } from '../store.ts';
import type { StoreFacts } from '../store-facts.ts';
import { integerAt } from './answers.ts';
import type { RedisClient } from './connect.ts';
import { damaged, judgeFailure } from './judge-failure.ts';
import { keyNames } from './key-names.ts';

/** Which ledger of a Redis. */
export interface InspectOptions {
  readonly client: RedisClient;
  /** For messages, without a password. */
  readonly name: string;
  readonly keyPrefix: string;
}

/**
 * Reads what the store in a Redis says of itself, and writes nothing to it.
 * @returns `undefined` when there is none
 * @throws StoreError
 */
export async function inspectRedisStore(options: InspectOptions): Promise<StoreFacts | undefined> {
  const { client, name, keyPrefix } = options;
  const { settings, fingerprints } = keyNames(keyPrefix);
  try {
    const fields = await client.hmget(settings, 'generation', 'epoch', 'clock', 'importing');
    const [generation, epoch, clock, importing] = fields;
    if (typeof importing === 'string') {
      throw new StoreError(
        'corrupt',
        `A ledger is being moved to ${name}, and is not whole yet: run \`sluice store migrate\` again, to its end.`,
      );
    }
    if (typeof generation !== 'string') return undefined;
    if (!/^[0-9a-f]{32}$/.test(generation)) throw damaged(name);
    return {
      generation,
      epoch: integerAt([epoch ?? '0'], 0),
      clockSec: integerAt([clock ?? '0'], 0),
      keyFingerprints: await client.smembers(fingerprints),
    };
  } catch (error) {
    throw judgeFailure(error, name);
  }
}
