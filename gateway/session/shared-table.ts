import { LRUCache } from 'lru-cache';
import { GatewayError } from '../errors.ts';
import { StoreError } from '../ledger/store.ts';
import { MAX_SEALED_BYTES, seal, sessionKey, unseal } from './seal.ts';
import type { SessionShelf } from './shelf.ts';
import { endOf, type HeldCredential, MAX_CREDENTIALS, newSessionId, type SessionTable } from './table.ts';

/** What {@link createSharedSessions} needs. */
export interface SharedSessionsOptions {
  readonly shelf: SessionShelf;
  readonly nowSec: () => number;
  /** Monotonic ms; default `performance.now`. */
  readonly steadyMs?: () => number;
}

/** What was read is good for so long: a session that was closed at another gateway ends here within it, ms. */
const FRESH_MS = 500;
/** While the shelf does not answer, what was read last is good for so long, ms: a film goes on. */
const STALE_MS = 300_000;
const MAX_REMEMBERED = 10_000;
/** Reads under way: the cookies of strangers must not queue up at the store. */
const MAX_READS = 256;

interface Remembered {
  readonly held: readonly HeldCredential[];
  readonly readAtMs: number;
}

/**
 * Sessions that are good at every gateway on the store, and outlive this process. They are kept sealed under a key that is made of the
 * id, which the browser alone has. What was read is remembered for half a second, so that a player's many requests cost one read.
 */
export function createSharedSessions(options: SharedSessionsOptions): SessionTable {
  const { shelf, nowSec, steadyMs = () => performance.now() } = options;
  const remembered = new LRUCache<string, Remembered>({ max: MAX_REMEMBERED });
  const reading = new Map<string, Promise<readonly HeldCredential[]>>();

  const readNow = async (id: string, key: string): Promise<readonly HeldCredential[]> => {
    const sealed = await shelf.get(key);
    const held = sealed === undefined ? [] : unseal(id, sealed);
    // A stranger's made-up cookies push nobody out.
    if (held.length === 0) remembered.delete(key);
    else remembered.set(key, { held, readAtMs: steadyMs() });
    return held;
  };
  const readOnce = (id: string, key: string): Promise<readonly HeldCredential[]> => {
    const underWay = reading.get(key);
    if (underWay !== undefined) return underWay;
    if (reading.size >= MAX_READS) {
      throw new GatewayError('busy', 'Too many sessions are looked up at the moment. Try again shortly.', {
        retryAfterSec: 1,
      });
    }
    const read = readNow(id, key).finally(() => reading.delete(key));
    reading.set(key, read);
    return read;
  };
  const read = async (id: string): Promise<readonly HeldCredential[]> => {
    const key = sessionKey(id);
    const known = remembered.get(key);
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : steadyMs() - known.readAtMs;
    if (known !== undefined && ageMs < FRESH_MS) return known.held;
    try {
      return await readOnce(id, key);
    } catch (error) {
      const isAway = error instanceof StoreError && error.code === 'unavailable';
      if (known === undefined || !isAway || ageMs >= STALE_MS) throw error;
      return known.held;
    }
  };
  const credentials = async (id: string): Promise<readonly HeldCredential[]> =>
    (await read(id)).filter(({ validUntilSec }) => validUntilSec > nowSec());
  const close = async (id: string): Promise<void> => {
    const key = sessionKey(id);
    remembered.delete(key);
    await shelf.drop(key);
  };

  return {
    credentials,
    close,
    async open(credential, previousId) {
      const before = previousId === undefined ? [] : await credentials(previousId);
      const others = before.filter(({ service }) => service !== credential.service);
      const held = [credential, ...others].slice(0, MAX_CREDENTIALS);
      const id = newSessionId();
      const sealed = seal(id, held);
      if (sealed.length > MAX_SEALED_BYTES) throw tooLong();
      const expiresAtSec = endOf(held);
      const accountIds = [...new Set(held.map(({ accountId }) => accountId))];
      await shelf.put({ key: sessionKey(id), sealed, accountIds, untilSec: expiresAtSec });
      if (previousId !== undefined) await close(previousId);
      return { id, expiresAtSec };
    },
  };
}

function tooLong(): GatewayError {
  return new GatewayError(
    'session-refused',
    'The credentials of this browser are too long to be kept. Send them in Authorization.',
  );
}
