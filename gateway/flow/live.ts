import { type Placed, Roster } from '../proxy/roster.ts';

/** A paid response under way. */
export interface LiveResponse extends Placed {
  readonly accountId: string;
  /** Unix seconds: when what was paid for is over. */
  readonly validUntilSec: number;
  readonly kind: 'response' | 'tunnel';
  /** Breaks it off: it must not look complete. May be called again while it ends. */
  cut(why: 'expired' | 'revoked'): void;
}

/** The paid responses under way, so that none outlives its credential. */
export interface LiveResponses {
  add(response: LiveResponse): void;
  delete(response: LiveResponse): void;
  tunnels(): number;
  /** Cuts what has expired or was revoked. */
  sweep(): void;
  close(): void;
}

/** What {@link createLiveResponses} needs. */
export interface LiveDeps {
  readonly nowSec: () => number;
  readonly isRevoked: (accountId: string) => boolean;
}

/** A revocation reaches a live response within this and the ledger's own poll, together under a second, ms. */
const SWEEP_EVERY_MS = 400;

/**
 * Ends long-lived responses (SSE, WebSockets, downloads) when their pass expires or their account is revoked: both were
 * checked when the request came, and a response may live for hours.
 */
export function createLiveResponses(deps: LiveDeps): LiveResponses {
  const live = new Roster<LiveResponse>();
  let tunnels = 0;
  const sweep = (): void => {
    const now = deps.nowSec();
    live.each((response) => {
      if (deps.isRevoked(response.accountId)) response.cut('revoked');
      else if (response.validUntilSec <= now) response.cut('expired');
    });
  };
  const timer = setInterval(sweep, SWEEP_EVERY_MS);
  timer.unref();
  return {
    add(response) {
      live.add(response);
      if (response.kind === 'tunnel') tunnels += 1;
    },
    delete(response) {
      if (live.delete(response) && response.kind === 'tunnel') tunnels -= 1;
    },
    tunnels: () => tunnels,
    sweep,
    close: () => clearInterval(timer),
  };
}
