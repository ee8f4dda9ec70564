import { ZERO_MSAT } from '../../node/msat.ts';
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
    if (lease.pending !== undefined) await commitPending(tab, ledger);
    await coverTruth(tab, ledger);
    if (lease.gone) return;
    const ending = lease.ending(tab.finalUnits, tab.share);
    const { spendMsat } = ending;
    const again = tried;
    tried = true;
    const outcome = await ledger.release(ending);
    if (outcome.kind === 'released') tab.released(spendMsat, outcome.billedMsat ?? spendMsat);
    // Gone at the first try: the lease expired, and what it owed is lost. Gone at a later one: the first did it.
    else if (again) tab.released(spendMsat, spendMsat);
    else tab.released(ZERO_MSAT, ZERO_MSAT);
  });
}

/** Reservations that are tried for what is short: all of it, then what the store has said that there is. */
const COVER_TRIES = 2;

/**
 * What an upstream reports at its end may be more than was set aside for it, and the account may have it. Nothing else is ever short
 * here: what is counted while it passes waits until it is covered.
 */
async function coverTruth(tab: Tab, ledger: Pick<Ledger, 'commit'>): Promise<void> {
  const { lease, finalUnits } = tab;
  for (let tries = 0; tries < COVER_TRIES && !lease.gone && lease.shortOf(finalUnits) > 0; tries += 1) {
    const first = tries === 0;
    if (!first && lease.balanceMsat === 0) return;
    const needUnits = first ? finalUnits : lease.coveredUnits;
    const ask = { deliveredUnits: finalUnits, needUnits, wantUnits: finalUnits, credited: first };
    lease.prepare(ask, lease.renewedAtMs);
    await commitPending(tab, ledger);
  }
}

async function commitPending(tab: Tab, ledger: Pick<Ledger, 'commit'>): Promise<void> {
  const { lease } = tab;
  if (lease.pending === undefined) return;
  const [outcome] = await ledger.commit([lease.pending]);
  if (outcome === undefined) throw new StoreError('unavailable', 'the store gave no outcome');
  tab.applied(outcome, lease.renewedAtMs);
}
