import { describeSeconds } from './describe-seconds.ts';
import type { Diagnosis } from './diagnosis.ts';
import { scribe } from './diagnosis.ts';
import type { SeenClock } from './upstreams.ts';

/** Invoices of a node whose clock differs by more are refused (node/bolt11.ts), seconds. */
const REFUSED_SEC = 60;
/** More than what a Date header and the way cost, seconds. */
const WORTH_A_WORD_SEC = 5;

/** Compares this machine's clock with those that were seen: the node's decides about invoices, the others tell who is wrong. */
export function checkClock(node: SeenClock | undefined, others: readonly SeenClock[]): readonly Diagnosis[] {
  const say = scribe('clock');
  const remedy = 'set the clock of both machines by NTP';
  const found: Diagnosis[] = [];
  if (node !== undefined && Math.abs(node.aheadSec) > REFUSED_SEC) {
    found.push(
      say.problem(`${describe(node)}: its invoices look expired or too long, and are refused`, remedy),
    );
  } else if (node !== undefined && Math.abs(node.aheadSec) > WORTH_A_WORD_SEC) {
    found.push(say.warning(describe(node), remedy));
  }
  for (const clock of others) {
    if (Math.abs(clock.aheadSec) > REFUSED_SEC) found.push(say.warning(describe(clock), remedy));
  }
  const seen = others.length + (node === undefined ? 0 : 1);
  if (found.length > 0) return found;
  if (seen === 0) return [say.ok('no other clock could be seen to compare with')];
  return [
    say.ok(`agrees with ${seen === 1 ? 'the other clock' : `all ${seen} other clocks`} that could be seen`),
  ];
}

function describe({ whose, aheadSec }: SeenClock): string {
  const side = aheadSec > 0 ? 'ahead of' : 'behind';
  return `the clock of ${whose} is ${describeSeconds(Math.abs(aheadSec))} ${side} this machine's`;
}
