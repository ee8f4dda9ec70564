import { StoreError } from '../store.ts';
import type { Words } from './answers.ts';
import type { Engine } from './engine.ts';

/** Each time, somebody else's lease may end between the refreshing and the judging. */
const MAX_TRIES = 8;

/**
 * Runs a script that does not look at leases. It answers `stale` when some have ended whose money it would need: they are given back,
 * and it runs again.
 */
export async function whileStale(
  engine: Engine,
  accountId: string,
  run: () => Promise<Words>,
): Promise<Words> {
  for (let tries = 1; tries <= MAX_TRIES; tries += 1) {
    const words = await run();
    if (words[0] !== 'stale') return words;
    const { account, leases, endedLeases } = engine.keys.of(accountId);
    await engine.run('refresh-account', account, leases, endedLeases, engine.clock());
  }
  throw new StoreError(
    'unavailable',
    'The leases of an account end faster than it can be brought up to date.',
  );
}
