import type { Ledger } from '../ledger/ledger.ts';
import { StoreError } from '../ledger/store.ts';
import type { Tab } from './tab.ts';

/** The last step of a charge, tried again when the store is away: `Unsettled` of the flow. Never rejects. */
export interface Settling {
  settle(verb: () => Promise<unknown>): Promise<void>;
}

/**
 * Pays what an ended tab still owes and gives the rest back, once. A step whose answer was lost is resolved first: the
 * release must not spend what that step spent.
 */
export async function settleTab(
  tab: Tab,
  ledger: Pick<Ledger, 'commit' | 'release'>,
  settling: Settling,
): Promise<void> {
  await tab.answer();
  let tried = false;
  await settling.settle(async () => {
    const { lease } = tab;
    if (lease.pending !== undefined) {
      const [outcome] = await ledger.commit([lease.pending]);
      if (outcome === undefined) throw new StoreError('unavailable', 'the store gave no outcome');
      tab.applied(outcome, lease.renewedAtMs);
    }
    if (lease.gone) return;
    const spendMsat = lease.owed(tab.finalUnits);
    const again = tried;
    tried = true;
    const { accountId, leaseId } = lease;
    const outcome = await ledger.release({ accountId, leaseId, spendMsat });
    // Gone at the first try: the lease expired, and what it owed is lost. Gone at a later one: the first did it.
    tab.released(outcome.kind === 'released' || again ? spendMsat : undefined);
  });
}
