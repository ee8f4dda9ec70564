import { GatewayError } from '../errors.ts';
import type { StoreError } from '../ledger/store.ts';

/** Seconds that a client is told to wait when the store is another one than before: somebody has to see to it. */
const MISMATCH_RETRY_SEC = 60;
/** And when it does not answer. */
const STORE_RETRY_SEC = 5;

/** What a client is told when the store fails; undefined when that is a bug of ours. */
export function answerStoreError(error: StoreError): GatewayError | undefined {
  switch (error.code) {
    case 'unavailable':
      return new GatewayError(
        'store-unavailable',
        'Balances can not be read at the moment; try again shortly. If something was taken for this request all the same, it goes back to ' +
          'the balance by itself, or pays for the retry with the same Idempotency-Key.',
        { cause: error, retryAfterSec: STORE_RETRY_SEC },
      );
    case 'mismatch':
      return new GatewayError(
        'store-mismatch',
        'Nothing can be sold or charged at the moment: the books of this gateway are not the ones that it kept before. The operator finds ' +
          'more in the log. Nothing was taken for this request; keep your credential.',
        { cause: error, retryAfterSec: MISMATCH_RETRY_SEC },
      );
    default:
      return undefined;
  }
}
