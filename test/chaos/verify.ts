import type { Check, Evidence } from './evidence.ts';
import {
  checkAccountCredits,
  checkAccountSums,
  checkCredited,
  checkNothingElseCredited,
  checkOverpaid,
  checkPaid,
  checkReconciled,
  checkRemembered,
} from './verify-money.ts';
import {
  accountsWithBounds,
  checkCheats,
  checkContests,
  checkCuts,
  checkPasses,
  checkServed,
  checkSpent,
} from './verify-service.ts';

/** Holds everything against everything. */
export function verify(evidence: Evidence): Check[] {
  const ledger = accountsWithBounds(evidence);
  return [
    checkPaid(evidence),
    checkCredited(evidence),
    checkRemembered(evidence),
    checkOverpaid(evidence),
    checkNothingElseCredited(evidence),
    checkAccountSums(evidence),
    checkAccountCredits(evidence),
    checkSpent(ledger, ['call', 'bundle'], 'calls'),
    checkSpent(ledger, ['live'], 'streams'),
    checkSpent(ledger, ['shared'], 'streams that are charged once'),
    checkSpent(ledger, ['files'], 'downloads'),
    checkServed(evidence),
    checkPasses(evidence),
    checkContests(evidence),
    checkCheats(evidence),
    checkCuts(evidence, ledger),
    checkReconciled(evidence),
    {
      title: 'with everything up again, what was paid for is accepted and can be spent',
      found: `${evidence.complaints.length} complaints`,
      faults: evidence.complaints,
    },
  ];
}
