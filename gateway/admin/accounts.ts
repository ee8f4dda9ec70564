import { type Request, Router } from 'express';
import type { Config, ServiceConfig } from '../../config/config.ts';
import { sendError, sendJson } from '../endpoints/answer.ts';
import { type Account, CLAIM_GRACE_SEC, type Store } from '../ledger/store.ts';
import type { Log } from '../observe/log.ts';

/** What the account pages work with. */
export interface AccountsDeps {
  readonly store: Pick<Store, 'account' | 'revoke'>;
  readonly config: () => Config;
  readonly nowMs: () => number;
  readonly log: Log;
  /** Told at once, so that this process's cache and live streams know before they ask the store. */
  readonly onRevoked?: (accountId: string) => void;
}

/** `GET /accounts/:id` and `POST /accounts/:id/revoke`. */
export function accountsRouter(deps: AccountsDeps): Router {
  const router = Router();
  router.get('/accounts/:id', async (request, response) => {
    const accountId = readAccountId(request);
    const account = accountId === undefined ? undefined : await deps.store.account(accountId);
    if (account === undefined) {
      sendError(
        response,
        404,
        'not-found',
        'Nothing was ever credited to such an account, or it was purged.',
      );
      return;
    }
    sendJson(response, 200, { account });
  });
  router.post('/accounts/:id/revoke', async (request, response) => {
    const accountId = readAccountId(request);
    if (accountId === undefined) {
      sendError(response, 400, 'bad-request', 'An account id is 64 hex digits.');
      return;
    }
    // Not only accounts with credit: passes have none, and a challenge may still be unpaid.
    const account = await deps.store.account(accountId);
    const untilSec = revocationEndSec(deps.config(), account, Math.floor(deps.nowMs() / 1000));
    await deps.store.revoke(accountId, untilSec);
    deps.onRevoked?.(accountId);
    deps.log.warn('an account was revoked by the operator', { accountId, untilSec });
    sendJson(response, 200, { accountId, revoked: true, untilSec });
  });
  return router;
}

/**
 * When nothing of an account can be valid any more, unix seconds: what it has lives until its end, and a challenge that was
 * made a moment ago, under the longest terms on sale, may still be paid. A day more for clocks and claims.
 */
export function revocationEndSec(config: Config, account: Account | undefined, nowSec: number): number {
  const longestSec = Math.max(0, ...config.services.map(soldForSec));
  const newestSec = nowSec + config.challenge.invoiceExpirySec + longestSec;
  return Math.max(account?.expiresAtSec ?? 0, newestSec) + CLAIM_GRACE_SEC;
}

function soldForSec({ price, validForSec }: ServiceConfig): number {
  return price.kind === 'pass' ? Math.max(price.durationSec, validForSec) : validForSec;
}

function readAccountId(request: Request): string | undefined {
  const id = String(request.params['id']).toLowerCase();
  return /^[0-9a-f]{64}$/.test(id) ? id : undefined;
}
