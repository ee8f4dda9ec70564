import { acceptedOf, type Check, type Evidence, paidOf, sum } from './evidence.ts';

/* Node against wallets, ledger against node: where the money went. */

/** What wallets paid against what the node settled, payment by payment. */
export function checkPaid({ books, facts }: Evidence): Check {
  const paid = paidOf(books);
  const faults: string[] = [];
  for (const { paymentHash, amountMsat } of paid) {
    const settled = facts.settledMsat.get(paymentHash);
    if (settled !== amountMsat)
      faults.push(`${paymentHash}: paid ${amountMsat}, at the node ${settled ?? 'nothing'}`);
  }
  const hashes = new Set(paid.map(({ paymentHash }) => paymentHash));
  for (const hash of facts.settledMsat.keys())
    if (!hashes.has(hash)) faults.push(`${hash}: settled at the node, and no client paid it`);
  const [right, left] = [sum(facts.settledMsat.values()), sum(paid.map(({ amountMsat }) => amountMsat))];
  return {
    title: "what clients' wallets paid is what the node settled",
    found: `${paid.length} payments of ${left} msat = ${facts.settledMsat.size} payments of ${right} msat`,
    faults,
  };
}

/** Each settled payment was credited, has bought a pass, or was never presented by a client that meant it so. */
export function checkCredited({ books, facts }: Evidence): Check {
  const faults: string[] = [];
  let [credited, passes, unclaimed, unclaimedCount] = [0, 0, 0, 0];
  for (const [hash, paidMsat] of facts.settledMsat) {
    const bought = books.bought.get(hash);
    const entry = facts.entries.get(hash);
    const creditedMsat = (entry?.creditedMsat ?? 0) + (entry?.excessMsat ?? 0);
    const isNeverClaimed = entry?.claim === undefined && entry?.creditedMsat === undefined;
    if (isNeverClaimed && bought?.intention === 'abandon') {
      unclaimed += paidMsat;
      unclaimedCount += 1;
    } else if (bought?.service === 'pass' && entry?.claim !== undefined && creditedMsat === 0) {
      passes += paidMsat;
    } else {
      credited += creditedMsat;
      if (creditedMsat !== paidMsat) faults.push(`${hash}: paid ${paidMsat}, credited ${creditedMsat}`);
    }
  }
  const total = sum(facts.settledMsat.values());
  if (total !== credited + passes + unclaimed) faults.push('the sums differ');
  return {
    title: 'settled = credited + passes + never presented, and each payment was credited once',
    found: `${total} = ${credited} + ${passes} + ${unclaimed} msat (${unclaimedCount} never presented)`,
    faults,
  };
}

/** Claims and credits are what a store must not forget once it has acknowledged them: looked at before anybody makes them again. */
export function checkRemembered({ books, forgotten }: Evidence): Check {
  return {
    title: 'each payment that a gateway had served for was in the ledger, before it was presented once more',
    found: `${acceptedOf(books).length} payments served for, ${forgotten.length} forgotten`,
    faults: forgotten.map((hash) => `${hash}: it was served for, and the ledger has forgotten it`),
  };
}

/**
 * What a payer gave above the invoice is credited beside it, once. A gateway that was killed between the payment and the day on which its
 * credential is presented leaves that to the reconciliation, which has nothing else to mend.
 */
export function checkOverpaid({ books, facts }: Evidence): Check {
  const faults: string[] = [];
  let [overpaid, aboveMsat, byGatewaysMsat] = [0, 0, 0];
  for (const { paymentHash, amountMsat, creditMsat } of paidOf(books)) {
    const entry = facts.entries.get(paymentHash);
    const before = facts.unmended.get(paymentHash);
    if (creditMsat === 0 || entry?.creditedMsat === undefined) continue;
    const excessMsat = entry.excessMsat ?? 0;
    if (entry.creditedMsat !== creditMsat || excessMsat !== amountMsat - creditMsat)
      faults.push(
        `${paymentHash}: paid ${amountMsat} for ${creditMsat}, credited ${entry.creditedMsat} and ${excessMsat}`,
      );
    if (before?.creditedMsat !== entry.creditedMsat)
      faults.push(`${paymentHash}: its credit had to be mended`);
    if (excessMsat === 0) continue;
    overpaid += 1;
    aboveMsat += excessMsat;
    byGatewaysMsat += before?.excessMsat ?? 0;
    if (entry.offer !== undefined && before?.excessMsat === undefined)
      faults.push(`${paymentHash}: what was overpaid of a top-up had to be mended`);
  }
  return {
    title: 'what was paid above an invoice is credited beside it, and nothing else had to be mended',
    found:
      `${overpaid} overpaid by ${aboveMsat} msat = ${byGatewaysMsat} credited by the gateways + ` +
      `${aboveMsat - byGatewaysMsat} by \`sluice reconcile --mend\``,
    faults,
  };
}

/** The ledger's total has no other source than settled payments. */
export function checkNothingElseCredited({ books, facts }: Evidence): Check {
  const known = sum(
    [...facts.entries.values()].map(
      ({ creditedMsat, excessMsat }) => (creditedMsat ?? 0) + (excessMsat ?? 0),
    ),
  );
  const faults = [...books.bought.values()]
    .filter(({ paymentHash }) => !facts.settledMsat.has(paymentHash))
    .filter(({ paymentHash }) => facts.entries.get(paymentHash)?.creditedMsat !== undefined)
    .map(({ paymentHash }) => `${paymentHash}: credited, and not paid`);
  const { creditedMsat } = facts.totals;
  if (creditedMsat !== known) faults.push(`the ledger has credited ${creditedMsat - known} msat more`);
  return {
    title: 'the ledger has credited nothing but these payments',
    found: `${creditedMsat} = ${known} msat`,
    faults,
  };
}

/** The invariant of the store port, once more, from outside; and nothing is set aside any more. */
export function checkAccountSums({ facts }: Evidence): Check {
  const faults: string[] = [];
  for (const account of facts.accounts.values()) {
    const { accountId, creditedMsat, spentMsat, reservedMsat, expiredMsat, balanceMsat } = account;
    const right = spentMsat + reservedMsat + expiredMsat + balanceMsat;
    if (creditedMsat !== right) faults.push(`${accountId}: ${creditedMsat} ≠ ${right}`);
    if (reservedMsat !== 0) faults.push(`${accountId}: ${reservedMsat} msat are still set aside`);
    if (expiredMsat !== 0) faults.push(`${accountId}: ${expiredMsat} msat have expired`);
    if (balanceMsat < 0 || spentMsat < 0) faults.push(`${accountId}: below nothing`);
  }
  const { totals } = facts;
  const right = totals.spentMsat + totals.reservedMsat + totals.expiredMsat + totals.balanceMsat;
  if (totals.creditedMsat !== right) faults.push('the totals differ');
  return {
    title: 'credited = spent + reserved + expired + balance, for each account and in total',
    found:
      `${totals.creditedMsat} = ${totals.spentMsat} + ${totals.reservedMsat} + ${totals.expiredMsat} + ` +
      `${totals.balanceMsat} msat on ${facts.accounts.size} accounts`,
    faults,
  };
}

/** Account by account: a payment may not land on another account than the one that its token names. */
export function checkAccountCredits({ books, facts }: Evidence): Check {
  const owed = new Map<string, number>();
  for (const { accountId, paymentHash, amountMsat, service } of paidOf(books)) {
    const isClaimed = facts.entries.get(paymentHash)?.creditedMsat !== undefined;
    if (isClaimed && service !== 'pass') owed.set(accountId, (owed.get(accountId) ?? 0) + amountMsat);
  }
  const faults = [...owed]
    .filter(([accountId, amountMsat]) => facts.accounts.get(accountId)?.creditedMsat !== amountMsat)
    .map(
      ([id, msat]) => `${id}: paid ${msat}, credited ${facts.accounts.get(id)?.creditedMsat ?? 'nothing'}`,
    );
  const credited = sum([...facts.accounts.values()].map(({ creditedMsat }) => creditedMsat));
  return {
    title: 'each account was credited what was paid for it, and no other account exists',
    found: `${sum(owed.values())} = ${credited} msat, ${owed.size} = ${facts.totals.accounts} accounts`,
    faults: owed.size === facts.totals.accounts ? faults : [...faults, 'the ledger has other accounts'],
  };
}

/** The product's own reconciliation sees what this run sees. */
export function checkReconciled({ books, facts }: Evidence): Check {
  const { coverage, tallies, others } = facts.reconciled;
  const unclaimed = sum(
    paidOf(books)
      .filter(({ paymentHash }) => {
        const entry = facts.entries.get(paymentHash);
        return entry?.claim === undefined && entry?.creditedMsat === undefined;
      })
      .map(({ amountMsat }) => amountMsat),
  );
  const faults: string[] = [];
  if (coverage !== 'complete') faults.push(`the report is ${coverage}`);
  if (tallies.missing.payments > 0) faults.push(`${tallies.missing.payments} payments are missing`);
  if (tallies.unclaimed.paidMsat !== unclaimed) faults.push('the unclaimed payments differ');
  if (others > 0) faults.push(`${others} payments belong to nobody`);
  return {
    title: '`sluice reconcile` finds nothing missing, and the same payments never presented',
    found: `missing ${tallies.missing.paidMsat}, unclaimed ${tallies.unclaimed.paidMsat} = ${unclaimed} msat`,
    faults,
  };
}
