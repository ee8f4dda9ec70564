import type { Account } from '../../gateway/ledger/store.ts';
import type { Sent } from './books.ts';
import { type Bounds, boundsOfAccount, failoversNear, mayBeForgotten, type Slack } from './charge-bounds.ts';
import { type Check, type Evidence, sum } from './evidence.ts';
import { PRICES } from './world.ts';

/* What was served against what was paid: by the clients' books and by the upstream's. */

/** An account, the requests that named it, and what they can have cost. */
export interface AccountWithBounds {
  readonly account: Account;
  readonly sent: readonly Sent[];
  readonly bounds: Bounds;
}

/** Puts the requests of each account beside it. */
export function accountsWithBounds({ books, facts, served, timeline }: Evidence): AccountWithBounds[] {
  const servedFor = Map.groupBy(served, ({ accountId }) => accountId);
  const byAccount = Map.groupBy(books.sent, ({ accountId }) => accountId);
  return [...facts.accounts.values()].map((account) => {
    const sent = byAccount.get(account.accountId) ?? [];
    const bounds = boundsOfAccount(sent, timeline, servedFor.get(account.accountId) ?? []);
    return { account, sent, bounds };
  });
}

/** What accounts were charged lies between what their clients surely received and what they can have received. */
export function checkSpent(
  ledger: readonly AccountWithBounds[],
  services: readonly string[],
  what: string,
): Check {
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
export function checkServed({ books, facts, served, timeline }: Evidence): Check {
  const forgettable = new Set(books.sent.filter((one) => mayBeForgotten(one, timeline)).map(({ id }) => id));
  const seen = new Set(
    books.sent
      .filter(({ status, fromUpstream, id }) => status === 200 && fromUpstream && !forgettable.has(id))
      .map(({ id }) => id),
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
  const tries = Map.groupBy(books.sent, ({ id }) => id);
  // One that hung up on purpose is asked once more by the gateway, which takes it for an old connection.
  const answered = served.filter(({ end }) => end !== 'refused-on-purpose');
  for (const [id, answers] of Map.groupBy(answered, (one) => one.id)) {
    const sent = tries.get(id)?.length ?? 0;
    if (answers.length > sent)
      faults.push(`${id}: sent ${sent} times, and forwarded ${answers.length} times`);
  }
  const distinct = new Set(passedOn.map(({ id }) => id)).size;
  const spent = sum(
    [...facts.accounts.values()]
      .filter(({ service }) => service === 'call' || service === 'bundle')
      .map(({ spentMsat }) => spentMsat),
  );
  if (distinct * PRICES.call > spent) faults.push('more was served than paid for');
  return {
    title: "nobody was served unpaid, by the upstream's own record",
    found:
      `${distinct} calls served ≤ ${spent / PRICES.call} paid for; ${calls.length - passedOn.length} answers of the upstream ` +
      'reached nobody, or may be forgotten by the store',
    faults,
  };
}

/** A pass has no balance: its use is held against its claim. */
export function checkPasses({ books, facts, served }: Evidence): Check {
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

/** Of many requests with money for one, one was served. */
export function checkContests({ books, served, timeline }: Evidence): Check {
  const contest = books.sent.filter(({ intent }) => intent === 'contest');
  const ids = new Set(contest.map(({ id }) => id));
  const won = Map.groupBy(
    served.filter(({ id }) => ids.has(id)),
    ({ accountId }) => accountId,
  );
  const byAccount = Map.groupBy(contest, ({ accountId }) => accountId);
  // With each failover the store may forget that the one call was made.
  const mostOf = (accountId: string): number => {
    const all = byAccount.get(accountId) ?? [];
    const [fromMs, untilMs] = [Math.min(...all.map(({ sentAtMs }) => sentAtMs)), Math.max(...all.map(endOf))];
    return 1 + failoversNear(timeline, fromMs, untilMs).length;
  };
  return {
    title: 'one paid call that was presented at all gateways at once was served once',
    found: `${contest.length} requests on ${byAccount.size} accounts with money for one call each: ${[...won.values()].flat().length} served`,
    faults: [...won]
      .filter(([accountId, all]) => all.length > mostOf(accountId))
      .map(([id, all]) => `${id}: ${all.length} served`),
  };
}

function endOf({ endedAtMs }: Sent): number {
  return endedAtMs;
}

/** Nothing that was forged, stolen or not paid for reached the upstream. */
export function checkCheats({ books, served }: Evidence): Check {
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

/** There is a known reason for every answer that did not come whole. */
export function checkCuts({ books }: Evidence, ledger: readonly AccountWithBounds[]): Check {
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
    found: (['cut', 'left', 'refund-lost', 'repeated-after-cut', 'forgotten', 'slice'] as const)
      .map(inWords)
      .join(', '),
    faults,
  };
}
