import { holdsSignature, type Macaroon } from '../l402/macaroon.ts';
import { rootKeysOf } from '../l402/root-key.ts';

/** The keys that this gateway mints and verifies with. Root keys are derived from them, never stored. */
export interface Keyring {
  /** The root key to mint with, from the newest master key. @param identifier - encoded */
  mintingKey(identifier: Buffer): Buffer;
  /** Whether the macaroon was minted with any configured master key, under this store's generation. */
  holds(macaroon: Macaroon): boolean;
}

/**
 * @param masterKeys - 32 bytes each, newest first, at least one
 * @param generation - of the store: a store that lost its claims has another, and with it every old credential is void
 */
export function createKeyring(masterKeys: readonly Buffer[], generation: string): Keyring {
  const rootKeys = masterKeys.map((masterKey) => rootKeysOf(masterKey, generation));
  const [newest] = rootKeys;
  if (newest === undefined) throw new Error('a keyring needs a master key');
  return {
    mintingKey: newest,
    holds: (macaroon) =>
      rootKeys.some((rootKeyOf) => holdsSignature(rootKeyOf(macaroon.identifier), macaroon)),
  };
}
