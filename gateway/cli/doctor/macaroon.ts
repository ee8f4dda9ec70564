import type { LndNodeConfig } from '../../../config/config.ts';
import { readMacaroon } from '../../../node/index.ts';
import {
  BAKE_LINE,
  type MacaroonReview,
  readMacaroonExpirySec,
  readMacaroonRights,
  reviewMacaroon,
} from '../../../node/lnd/macaroon-rights.ts';
import { describeSeconds } from './describe-seconds.ts';
import { type CheckedFile, type Diagnosis, reasonOf, scribe } from './diagnosis.ts';

/** What can't be seen without a right that selling itself does not need. */
const SIGHT: Readonly<Record<string, string>> = {
  'info:read': 'whether the node is synced',
  'offchain:read': 'how much can be received',
};

/** Rights that selling has no use for and that do no harm either: LND's own invoice.macaroon has them. */
const HARMLESS = /^(address:(read|write)|[a-z]+:read)$/;

const REMEDY = `bake one with: ${BAKE_LINE}`;

/** What the macaroon may do, as it says itself: too little, too much, and until when. */
export function checkMacaroon(node: LndNodeConfig, nowMs: () => number): CheckedFile {
  let hex: string;
  try {
    hex = node.macaroon ?? readMacaroon(node.macaroonFile);
  } catch (error) {
    const remedy = `make the file readable for this user, or ${REMEDY}`;
    return {
      found: [scribe('macaroon').problem(reasonOf(error).replace(/\.$/, ''), remedy)],
      usable: false,
    };
  }
  return { found: judgeMacaroon(hex, nowMs), usable: true };
}

function judgeMacaroon(hex: string, nowMs: () => number): readonly Diagnosis[] {
  const say = scribe('macaroon');
  const rights = readMacaroonRights(hex);
  const review = reviewMacaroon(hex);
  if (rights === undefined || review === undefined) {
    return [say.warning('what the macaroon may do can not be read from it; the node decides', REMEDY)];
  }
  const found = [
    ...judgeExpiry(hex, nowMs),
    ...judgeLack(rights, review),
    ...judgeExcess(rights, review.dangerous),
  ];
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

function* judgeLack(rights: readonly string[], { missing, blind }: MacaroonReview): Generator<Diagnosis> {
  const say = scribe('macaroon');
  if (rights.some((right) => right.startsWith('uri:'))) {
    yield say.ok('grants single methods; whether they are enough, the checks of the node show');
    return;
  }
  if (missing.length > 0) {
    yield say.problem(`lacks the right ${missing.join(' and ')}: nothing can be sold`, REMEDY);
  }
  if (blind.length > 0) {
    const what = blind.map((right) => SIGHT[right] ?? 'something').join(' and ');
    yield say.warning(`lacks the right ${blind.join(' and ')}: ${what} can not be seen`, REMEDY);
  }
}

function* judgeExcess(rights: readonly string[], dangerous: readonly string[]): Generator<Diagnosis> {
  const say = scribe('macaroon');
  if (dangerous.length > 0) {
    yield say.warning(
      `grants far more than selling needs (${dangerous.join(', ')}): whoever reads it can take the node's money`,
      REMEDY,
    );
    return;
  }
  const extra = rights.filter(
    (right) => right !== 'invoices:write' && !HARMLESS.test(right) && !right.startsWith('uri:'),
  );
  if (extra.length > 0) yield say.warning(`grants more than selling needs: ${extra.join(', ')}`, REMEDY);
}
