import { hash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { CredentialCandidate } from '../l402/credential.ts';

/** A credential that a session stands for. It was verified when the session was opened, and is again at each use. */
export interface HeldCredential {
  readonly candidate: CredentialCandidate;
  readonly service: string;
  readonly accountId: string;
  /** Unix seconds. */
  readonly validUntilSec: number;
}

/** A session just opened. */
export interface OpenedSession {
  /** The cookie's value: 32 random bytes in base64url. A secret. */
  readonly id: string;
  /** Unix seconds: when the last of its credentials ends. */
  readonly expiresAtSec: number;
}

/** Sessions, of this process or of all gateways on one store. What is shared rejects with StoreError when it does not answer. */
export interface SessionTable {
  /**
   * Opens a session for a credential. It takes over what the browser's session before stood for at other services, and that
   * one ends: an id that somebody else may know is worth nothing after this.
   */
  open(credential: HeldCredential, previousId: string | undefined): Promise<OpenedSession>;
  /** What a session stands for now; empty when there is no such session. */
  credentials(id: string): Promise<readonly HeldCredential[]>;
  close(id: string): Promise<void>;
}

/** Sessions in memory, which can be counted. */
export interface MemorySessions extends SessionTable {
  size(): number;
}

/** What {@link createSessionTable} needs. */
export interface SessionTableOptions {
  readonly nowSec: () => number;
  /** Rough bytes of all sessions together; beyond it the least recently used is forgotten. */
  readonly maxBytes?: number;
  /** Sessions of one account; beyond it its oldest is forgotten, so that nobody can push out the others'. */
  readonly maxPerAccount?: number;
}

const MAX_BYTES = 64 * 1024 * 1024;
/** Sessions of one account. */
export const MAX_PER_ACCOUNT = 16;
/** Services that one session may stand for. */
export const MAX_CREDENTIALS = 4;
const SESSION_BYTES = 500;

/**
 * Sessions in the memory of this process, for a store that is there as well: after a restart the browser presents its credential once
 * more. The table keeps hashes of the ids, so that how long a look-up takes says nothing about them.
 */
export function createSessionTable(options: SessionTableOptions): MemorySessions {
  const { nowSec, maxBytes = MAX_BYTES, maxPerAccount = MAX_PER_ACCOUNT } = options;
  /** Keys of an account's sessions, oldest first. */
  const byAccount = new Map<string, Set<string>>();
  const sessions = new LRUCache<string, readonly HeldCredential[]>({
    maxSize: maxBytes,
    sizeCalculation: (held) =>
      held.reduce((size, one) => size + 2 * one.candidate.cacheKey.length, SESSION_BYTES),
    dispose: (held, key) => {
      for (const { accountId } of held) {
        const keys = byAccount.get(accountId);
        keys?.delete(key);
        if (keys?.size === 0) byAccount.delete(accountId);
      }
    },
  });

  const live = (key: string): readonly HeldCredential[] =>
    (sessions.get(key) ?? []).filter(({ validUntilSec }) => validUntilSec > nowSec());

  const enter = (key: string, held: readonly HeldCredential[]): void => {
    sessions.set(key, held);
    for (const { accountId } of held) {
      const keys = byAccount.get(accountId) ?? new Set();
      byAccount.set(accountId, keys.add(key));
      const [oldest] = keys;
      if (keys.size > maxPerAccount && oldest !== undefined) sessions.delete(oldest);
    }
  };

  return {
    async open(credential, previousId) {
      const previous = previousId === undefined ? undefined : keyOf(previousId);
      const others = (previous === undefined ? [] : live(previous)).filter(
        ({ service }) => service !== credential.service,
      );
      if (previous !== undefined) sessions.delete(previous);
      const held = [credential, ...others].slice(0, MAX_CREDENTIALS);
      const id = newSessionId();
      enter(keyOf(id), held);
      return { id, expiresAtSec: endOf(held) };
    },
    async credentials(id) {
      const key = keyOf(id);
      const held = live(key);
      if (held.length === 0) sessions.delete(key);
      return held;
    },
    close: async (id) => void sessions.delete(keyOf(id)),
    size: () => sessions.size,
  };
}

/** Nobody can guess it. */
export function newSessionId(): string {
  return randomBytes(32).toString('base64url');
}

/** Unix seconds: when the last of these credentials ends. */
export function endOf(held: readonly HeldCredential[]): number {
  return Math.max(...held.map(({ validUntilSec }) => validUntilSec));
}

function keyOf(id: string): string {
  return hash('sha256', id, 'base64');
}
