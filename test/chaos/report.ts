import type { Books } from './books.ts';
import type { Check } from './evidence.ts';
import type { FaultCounts } from './run-faults.ts';
import type { Plan } from './schedule.ts';
import { tallyOf } from './tally.ts';
import type { Served } from './upstream.ts';

/** What a run came to. */
export interface Report {
  readonly plan: Plan;
  readonly guarantee: string;
  readonly faultCounts: FaultCounts;
  readonly books: Books;
  readonly served: readonly Served[];
  readonly checks: readonly Check[];
}

const FAULTS_SHOWN = 10;

/** For people, and for whoever counts passed and failed tests. */
export function formatReport(report: Report): string {
  const { plan, guarantee, faultCounts, books, checks } = report;
  const tally = tallyOf(books);
  const failed = checks.filter(({ faults }) => faults.length > 0).length;
  return [
    '',
    `seed ${plan.seed}; store: ${guarantee}`,
    `faults: ${inWords(faultCounts)}`,
    `clients: ${inWords(countBy(plan.clients, ({ behaviour }) => behaviour))}`,
    `requests: ${books.sent.length} sent; ${inWords(countBy(books.sent, ({ status, end }) => `${status ?? 'no answer'} ${end}`))}`,
    `answered: ${tally.callsAnswered} calls (${tally.callsRepeated} repeated under one key), ${tally.passUses} by pass, ` +
      `${tally.downloads} downloads, ${tally.streams} streams of ${tally.streamedSec} s, of them ${tally.shared} charged once`,
    `top-ups: ${tally.topUps}, of them ${tally.topUpsHeard} that the gateways had to hear of; cheats: ${tally.cheats}, and ` +
      `${tally.contests} requests for calls that were paid once`,
    `payments: ${inWords(countBy([...books.bought.values()], ({ payment, service }) => `${service} ${payment.kind}`))}`,
    `given up: ${inWords(books.givenUp)}`,
    '',
    ...checks.flatMap(formatCheck),
    '',
    `ℹ tests ${checks.length}`,
    `ℹ pass ${checks.length - failed}`,
    `ℹ fail ${failed}`,
  ].join('\n');
}

function formatCheck({ title, found, faults }: Check): string[] {
  const shown = faults.slice(0, FAULTS_SHOWN).map((fault) => `      ${fault}`);
  const more = faults.length > FAULTS_SHOWN ? [`      … and ${faults.length - FAULTS_SHOWN} more`] : [];
  return [`${faults.length === 0 ? '✔' : '✖'} ${title}`, `    ${found}`, ...shown, ...more];
}

function countBy<T>(items: readonly T[], key: (item: T) => string): Map<string, number> {
  return new Map([...Map.groupBy(items, key)].map(([name, group]) => [name, group.length]));
}

function inWords(counts: ReadonlyMap<string, number>): string {
  const parts = [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}
