import { attemptContract } from './store/attempts.ts';
import { creditContract } from './store/credits.ts';
import { identityContract } from './store/identity.ts';
import { inputContract } from './store/input.ts';
import { leaseContract } from './store/leases.ts';
import { offerContract } from './store/offers.ts';
import { paymentContract } from './store/payments.ts';
import { sharedTimeContract } from './store/shared-time.ts';
import { spendContract } from './store/spends.ts';
import { contractTest, type OpenBackend } from './store/subject.ts';
import { timeContract } from './store/time.ts';

export type { OpenBackend, StoreBackend } from './store/subject.ts';

/**
 * What every store promises, as tests.
 * @param name - begins the title of each test
 * @param openBackend - makes a new, empty place for one test's store
 */
export function storeContract(name: string, openBackend: OpenBackend): void {
  const it = contractTest(name, openBackend);
  creditContract(it);
  spendContract(it);
  attemptContract(it);
  leaseContract(it);
  sharedTimeContract(it);
  offerContract(it);
  paymentContract(it);
  identityContract(it);
  timeContract(it);
  inputContract(it);
}
