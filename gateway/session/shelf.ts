/** A session as all gateways on one store keep it: sealed, so that who reads the store can't spend. */
export interface ShelvedSession {
  /** Hash of the session's id, 64 hex digits. */
  readonly key: string;
  readonly sealed: Buffer;
  /** The accounts of its credentials. */
  readonly accountIds: readonly string[];
  /** Unix seconds: forgotten then. */
  readonly untilSec: number;
}

/**
 * Where the sessions of all gateways on one store are. Bounded: of one account the oldest is forgotten beyond `MAX_PER_ACCOUNT`, and of
 * all the oldest beyond `MAX_SESSIONS`. Every method rejects with StoreError and with nothing else.
 */
export interface SessionShelf {
  put(session: ShelvedSession): Promise<void>;
  /** `undefined` when there is none, or it was forgotten. */
  get(key: string): Promise<Buffer | undefined>;
  drop(key: string): Promise<void>;
}

/** Sessions of one store; each is some kilobytes. */
export const MAX_SESSIONS = 50_000;
