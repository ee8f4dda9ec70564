import type { Msat } from '../../node/msat.ts';

/** What an account's holder is told while it happens. Amounts msat. */
export type AccountEvent =
  | { readonly kind: 'balance'; readonly balanceMsat: Msat }
  /** The credit lasts for `remainingMs` more at the present pace. */
  | { readonly kind: 'warning'; readonly balanceMsat: Msat; readonly remainingMs: number }
  /** A stream is held for `holdMs`, until `neededMsat` more has come. */
  | {
      readonly kind: 'payment-need-topup';
      readonly balanceMsat: Msat;
      readonly neededMsat: Msat;
      readonly holdMs: number;
    }
  /** A stream was ended. */
  | { readonly kind: 'session-timeout'; readonly cutBy: string }
  | { readonly kind: 'revoked' };

/** What a listener is called with: an event, or `changed`: the balance is another one, ask the ledger which. */
export type AccountListener = (event: AccountEvent | 'changed') => void;

/** Carries what happens to accounts to those who listen, within this process. */
export interface AccountEvents {
  /** Costs a look-up when nobody listens. Does not throw. */
  publish(accountId: string, event: AccountEvent): void;
  /** Says that the balance changed, by somebody who does not know what it is now. */
  touch(accountId: string): void;
  /** @returns how to stop */
  subscribe(accountId: string, listener: AccountListener): () => void;
  /** Accounts with listeners. */
  size(): number;
}

/** A bus without memory: who is not listening hears nothing. Listeners must not throw. */
export function createAccountEvents(): AccountEvents {
  const listeners = new Map<string, Set<AccountListener>>();
  const tell = (accountId: string, event: AccountEvent | 'changed'): void => {
    const own = listeners.get(accountId);
    if (own === undefined) return;
    for (const listener of own) listener(event);
  };
  return {
    publish: tell,
    touch: (accountId) => tell(accountId, 'changed'),
    subscribe(accountId, listener) {
      const own = listeners.get(accountId) ?? new Set();
      listeners.set(accountId, own.add(listener));
      return () => {
        own.delete(listener);
        if (own.size === 0 && listeners.get(accountId) === own) listeners.delete(accountId);
      };
    },
    size: () => listeners.size,
  };
}
