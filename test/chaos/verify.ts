import type { Account } from '../../gateway/ledger/store.ts';
import type { Books, Bought, Sent } from './books.ts';
import { type Bounds, boundsOfAccount, type Slack } from './charge-bounds.ts';
import type { Facts } from './facts.ts';
import type { Timeline } from './timeline.ts';
import type { Served } from './upstream.ts';
import { PRICES } from './world.ts';

/** One equation, with both of its sides. */
export interface Check {
  readonly title: string;
  /** What was found, in words: both sides. */
  readonly found: string;
  /** What does not fit; none when it holds. The first few are shown. */
  readonly faults: readonly string[];
}

/** Everything that is known in the end, by everybody for himself. */
export interface Evidence {
  readonly books: Books;
  readonly facts: Facts;
  readonly served: readonly Served[];
  readonly timeline: Timeline;
  /** What could not be done after all was up again, and what clients threw. */
  readonly complaints: readonly string[];
}

/** Holds everything against everything. */
export function verify(evidence: Evidence): Check[] {
  const ledger = accountsWithBounds(evidence);
  return [
    checkPaid(evidence),
    checkCredited(evidence),
    checkNothingElseCredited(evidence),
    checkAccountSums(evidence),
    checkAccountCredits(evidence),
    checkSpent(ledger, ['call', 'bundle'], 'calls'),
    checkSpent(ledger, ['live'], 'streams'),
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

function checkPaid({ books, facts }: Evidence): Check {
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

function checkCredited({ books, facts }: Evidence): Check {
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

function checkNothingElseCredited({ books, facts }: Evidence): Check {
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

function checkAccountSums({ facts }: Evidence): Check {
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

function checkAccountCredits({ books, facts }: Evidence): Check {
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

interface AccountWithBounds {
  readonly account: Account;
  readonly sent: readonly Sent[];
  readonly bounds: Bounds;
}

function accountsWithBounds({ books, facts, timeline }: Evidence): AccountWithBounds[] {
  const byAccount = Map.groupBy(books.sent, ({ accountId }) => accountId);
  return [...facts.accounts.values()].map((account) => {
    const sent = byAccount.get(account.accountId) ?? [];
    return { account, sent, bounds: boundsOfAccount(sent, timeline) };
  });
}

function checkSpent(ledger: readonly AccountWithBounds[], services: readonly string[], what: string): Check {
  const here = ledger.filter(({ account }) => services.includes(account.service));
  const faults = here
    .filter(
      ({ account: { spentMsat }, bounds }) => spentMsat < bounds.leastMsat || spentMsat > bounds.mostMsat,
    )
    .map(({ account, bounds, sent }) => {
      const requests = sent.map(({ id, status, end }) => `${id} ${status ?? '-'} ${end}`).join(', ');
      return `${account.accountId}: spent ${account.spentMsat}, between ${bounds.leastMsat} and ${bounds.mostMsat} (${requests})`;
    });
  const spent = sum(here.map(({ account }) => account.spentMsat));
  const [least, most] = [
    sum(here.map(({ bounds }) => bounds.leastMsat)),
    sum(here.map(({ bounds }) => bounds.mostMsat)),
  ];
  const exact = here.filter(({ bounds }) => bounds.leastMsat === bounds.mostMsat).length;
  return {
    title: `${what}: each account was charged for what its client received`,
    found: `received at least ${least} ≤ spent ${spent} ≤ at most ${most} msat; ${exact} of ${here.length} accounts to the msat`,
    faults,
  };
}

/** The upstream's own record: what it gave for an account, and what a client of that account saw, was paid for. */
function checkServed({ books, facts, served }: Evidence): Check {
  const seen = new Set(
    books.sent.filter(({ status, fromUpstream }) => status === 200 && fromUpstream).map(({ id }) => id),
  );
  const calls = served.filter(
    ({ service, end }) => ['call', 'bundle'].includes(service) && end !== 'refused-on-purpose',
  );
  const passedOn = calls.filter(({ id }) => seen.has(id));
  const faults: string[] = [];
  for (const [accountId, ofAccount] of Map.groupBy(passedOn, (one) => one.accountId)) {
    const distinct = new Set(ofAccount.map(({ id }) => id)).size;
    const spentMsat = facts.accounts.get(accountId)?.spentMsat ?? 0;
    if (distinct * PRICES.call > spentMsat)
      faults.push(`${accountId}: ${distinct} calls for ${spentMsat} msat`);
  }
  const known = new Set(books.sent.map(({ id, accountId }) => `${id} ${accountId}`));
  for (const { id, accountId } of served)
    if (!known.has(`${id} ${accountId}`))
      faults.push(`${id}: served for account ${accountId || '(none)'}, whose client did not ask`);
  const distinct = new Set(passedOn.map(({ id }) => id)).size;
  const spent = sum(
    [...facts.accounts.values()]
      .filter(({ service }) => service === 'call' || service === 'bundle')
      .map(({ spentMsat }) => spentMsat),
  );
  if (distinct * PRICES.call > spent) faults.push('more was served than paid for');
  return {
    title: "nobody was served unpaid, by the upstream's own record",
    found: `${distinct} calls served ≤ ${spent / PRICES.call} paid for; ${calls.length - passedOn.length} answers of the upstream reached nobody`,
    faults,
  };
}

function checkPasses({ books, facts, served }: Evidence): Check {
  const claimed = new Set(
    [...facts.entries.values()].flatMap(({ claim }) => (claim?.service === 'pass' ? [claim.accountId] : [])),
  );
  const used = served.filter(({ service }) => service === 'pass');
  return {
    title: 'passes served only those who had paid for one',
    found: `${used.length} answers for ${new Set(used.map(({ accountId }) => accountId)).size} of ${claimed.size} passes; ${
      [...books.bought.values()].filter(
        ({ service, payment }) => service === 'pass' && payment.kind === 'paid',
      ).length
    } paid`,
    faults: used
      .filter(({ accountId }) => !claimed.has(accountId))
      .map(({ id }) => `${id}: served without a pass`),
  };
}

function checkContests({ books, served }: Evidence): Check {
  const contest = books.sent.filter(({ intent }) => intent === 'contest');
  const ids = new Set(contest.map(({ id }) => id));
  const won = Map.groupBy(
    served.filter(({ id }) => ids.has(id)),
    ({ accountId }) => accountId,
  );
  const accounts = new Set(contest.map(({ accountId }) => accountId));
  return {
    title: 'one paid call that was presented at all gateways at once was served once',
    found: `${contest.length} requests on ${accounts.size} accounts with money for one call each: ${[...won.values()].flat().length} served`,
    faults: [...won].filter(([, all]) => all.length > 1).map(([id, all]) => `${id}: ${all.length} served`),
  };
}

function checkCheats({ books, served }: Evidence): Check {
  const cheats = books.sent.filter(({ intent }) => intent === 'cheat');
  const atUpstream = new Set(served.map(({ id }) => id));
  const refused = cheats.filter(({ status = 0 }) => status >= 400 && status < 500).length;
  return {
    title: 'cheats got nothing',
    found: `${cheats.length} cheats, ${refused} refused, ${cheats.length - refused} met a gateway or store that was away; 0 served`,
    faults: cheats
      .filter(({ id, status = 0 }) => atUpstream.has(id) || (status >= 200 && status < 400))
      .map(({ id, service, status }) => `${id} at ${service}: ${status}`),
  };
}

function checkCuts({ books }: Evidence, ledger: readonly AccountWithBounds[]): Check {
  const slacks = ledger.flatMap(({ bounds }) => bounds.slacks);
  const counts = Map.groupBy(slacks, ({ slack }) => slack);
  const inWords = (slack: Slack): string => `${slack} ${counts.get(slack)?.length ?? 0}`;
  const faults = (counts.get('unexplained') ?? []).map(
    ({ id }) => `${id}: cut off, and nothing was done to its gateway`,
  );
  for (const { id, status, gateway, fromUpstream } of books.sent)
    if (status === 500 && !fromUpstream) faults.push(`${id}: gateway ${gateway} failed with 500`);
  return {
    title: 'every request without its whole answer was cut by a fault that is known, or by its client',
    found: (['cut', 'left', 'refund-lost', 'repeated-after-cut', 'slice'] as const).map(inWords).join(', '),
    faults,
  };
}

function checkReconciled({ books, facts }: Evidence): Check {
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

type PaidFor = Bought & { readonly amountMsat: number };

function paidOf(books: Books): PaidFor[] {
  return [...books.bought.values()].flatMap((bought) =>
    bought.payment.kind === 'paid' ? [{ ...bought, amountMsat: bought.payment.amountMsat }] : [],
  );
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const one of numbers) total += one;
  return total;
}
