import type { LndNodeConfig } from '../../../config/config.ts';
import { readMacaroon } from '../../../node/index.ts';
import {
  BAKE_LINE,
  readMacaroonExpirySec,
  readMacaroonRights,
  reviewMacaroon,
} from '../../../node/lnd/macaroon-rights.ts';
import { type Diagnosis, reasonOf, scribe } from './diagnosis.ts';
import { describeSeconds } from './store.ts';

/** Without these nothing is sold. */
const REQUIRED = ['invoices:read', 'invoices:write'];

/** Without these it sells, and less is known; in words, what. */
const USEFUL: Readonly<Record<string, string>> = {
  'info:read': 'whether the node is synced',
  'offchain:read': 'how much can be received',
};

/** Rights that selling has no use for and that do no harm either: LND's own invoice.macaroon has them. */
const HARMLESS = /^(address:(read|write)|[a-z]+:read)$/;

const REMEDY = `bake one with: ${BAKE_LINE} offchain:read`;

/** What the macaroon may do, as it says itself: too little, too much, and until when. */
export function checkMacaroon(node: LndNodeConfig, nowMs: () => number): readonly Diagnosis[] {
  const say = scribe('macaroon');
  let hex: string;
  try {
    hex = node.macaroon ?? readMacaroon(node.macaroonFile);
  } catch (error) {
    return [
      say.problem(reasonOf(error).replace(/\.$/, ''), `make the file readable for this user, or ${REMEDY}`),
    ];
  }
  const rights = readMacaroonRights(hex);
  if (rights === undefined) {
    return [say.warning('what the macaroon may do can not be read from it; the node decides', REMEDY)];
  }
  const found = [...judgeExpiry(hex, nowMs), ...judgeRights(rights), ...judgeExcess(hex, rights)];
  return found.length > 0 ? found : [say.ok(`grants what is needed and no more: ${rights.join(', ')}`)];
}

function* judgeExpiry(hex: string, nowMs: () => number): Generator<Diagnosis> {
  const endsAtSec = readMacaroonExpirySec(hex);
  if (endsAtSec === undefined) return;
  const leftSec = endsAtSec - Math.floor(nowMs() / 1000);
  const say = scribe('macaroon');
  if (leftSec <= 0) yield say.problem(`it ended ${describeSeconds(-leftSec)} ago`, REMEDY);
  else yield say.warning(`it ends in ${describeSeconds(leftSec)}, and sales end with it`, REMEDY);
}

function* judgeRights(rights: readonly string[]): Generator<Diagnosis> {
  const say = scribe('macaroon');
  if (rights.some((right) => right.startsWith('uri:'))) {
    yield say.ok('grants single methods; whether they are enough, the checks of the node show');
    return;
  }
  const missing = REQUIRED.filter((right) => !rights.includes(right));
  if (missing.length > 0)
    yield say.problem(`lacks the right ${missing.join(' and ')}: nothing can be sold`, REMEDY);
  const unseen = Object.entries(USEFUL).filter(([right]) => !rights.includes(right));
  if (unseen.length > 0) {
    const what = unseen.map(([, words]) => words).join(' and ');
    const names = unseen.map(([right]) => right).join(' and ');
    yield say.warning(`lacks the right ${names}: ${what} can not be seen`, REMEDY);
  }
}

function* judgeExcess(hex: string, rights: readonly string[]): Generator<Diagnosis> {
  const say = scribe('macaroon');
  const dangerous = reviewMacaroon(hex)?.dangerous ?? [];
  if (dangerous.length > 0) {
    yield say.warning(
      `grants far more than selling needs (${dangerous.join(', ')}): whoever reads it can spend the node's money`,
      REMEDY,
    );
    return;
  }
  const needed = [...REQUIRED, ...Object.keys(USEFUL)];
  const extra = rights.filter(
    (right) => !needed.includes(right) && !HARMLESS.test(right) && !right.startsWith('uri:'),
  );
  if (extra.length > 0) yield say.warning(`grants more than selling needs: ${extra.join(', ')}`, REMEDY);
}
