import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { type Macaroon, macaroonFromText, macaroonToBase64 } from '../../gateway/l402/macaroon.ts';
import { append } from '../e2e/scene.ts';
import type { Incoming } from './sender.ts';
import { askFor, buy, orUndefined, type Shopper, trySend, type Wish } from './shopper.ts';

/** Presents one credential for one call at all gateways in the same moment, with different requests, and then again. */
export async function spendTwice(shopper: Shopper): Promise<void> {
  const credential = await buy(shopper, 'call');
  if (credential === undefined) return;
  const { authorization } = credential;
  for (let round = 0; round < 3; round += 1) {
    const rush = Array.from({ length: shopper.gateways }, (_, gateway) =>
      take(shopper, { id: shopper.nextId(), service: 'call', authorization, gateway, intent: 'contest' }),
    );
    await Promise.all(rush);
    await wait(shopper.random.between(0, 200));
  }
}

/** Changes credentials that it bought, and credentials that it did not buy, in every way that it can think of. */
export async function forge(shopper: Shopper): Promise<void> {
  const { random } = shopper;
  const [paid, unpaid] = [await buy(shopper, 'call'), await askFor(shopper, 'bundle')];
  if (paid === undefined || unpaid === undefined) return;
  const own = macaroonFromText(paid.macaroon);
  const forgeries: readonly string[] = [
    credentialOf(withoutLastCaveat(own), paid.preimage),
    credentialOf(withFlippedBit(own, random.between(0, 255)), paid.preimage),
    credentialOf(withOtherCredit(own), paid.preimage),
    credentialOf(append(own, 'call_credit_msat=99000000'), paid.preimage),
    credentialOf(append(own, 'services=bundle:0'), paid.preimage),
    credentialOf(append(own, 'call_price=1msat'), paid.preimage),
    credentialOf(macaroonFromText(unpaid.macaroon), paid.preimage),
    credentialOf(own, randomBytes(32).toString('hex')),
    credentialOf(own, paid.paymentHash),
  ];
  for (const authorization of forgeries) {
    const service = random.pick(['call', 'bundle']);
    await take(shopper, { id: shopper.nextId(), service, authorization, intent: 'cheat' });
  }
}

/** Wants to spend what others have bought, to spend at one service what was bought at another, and to widen a narrowed token. */
export async function poach(shopper: Shopper): Promise<void> {
  const { random, books } = shopper;
  const paid = await buy(shopper, 'call');
  if (paid === undefined) return;
  const own = macaroonFromText(paid.macaroon);
  const victims = [...books.bought.values()].filter(({ client }) => client !== shopper.number);
  for (let left = 3; left > 0 && victims.length > 0; left -= 1) {
    const victim = victims[random.between(0, victims.length - 1)];
    const authorization = credentialOf(append(own, `call_account=${victim?.accountId}`), paid.preimage);
    await take(shopper, { id: shopper.nextId(), service: 'call', authorization, intent: 'cheat' });
    // The victim's own token, without knowing the preimage.
    const stolen = credentialOf(macaroonFromText(victim?.macaroon ?? paid.macaroon), paid.preimage);
    const service = victim?.service ?? 'call';
    await take(shopper, { id: shopper.nextId(), service, authorization: stolen, intent: 'cheat' });
  }
  for (const service of ['bundle', 'pass', 'live', 'files'])
    await take(shopper, {
      id: shopper.nextId(),
      service,
      authorization: paid.authorization,
      intent: 'cheat',
    });
  const soonSec = Math.floor(Date.now() / 1000) + 600;
  const narrowed = credentialOf(append(own, `call_valid_until=${soonSec}`), paid.preimage);
  await askHelper(shopper, 'POST', '/.l402/topup', narrowed);
}

/** Has an invoice, does not pay it, and tries to be served all the same, at every gateway. */
export async function rideFree(shopper: Shopper): Promise<void> {
  const service = shopper.random.pick(['call', 'pass', 'live', 'files']);
  const unpaid = await askFor(shopper, service);
  if (unpaid === undefined) return;
  const guesses = [unpaid.paymentHash, '00'.repeat(32), randomBytes(32).toString('hex')];
  for (const guess of guesses) {
    const authorization = `L402 ${unpaid.macaroon}:${guess}`;
    const rush = Array.from({ length: shopper.gateways }, (_, gateway) =>
      take(shopper, { id: shopper.nextId(), service, authorization, gateway, intent: 'cheat' }),
    );
    await Promise.all(rush);
  }
  await askHelper(shopper, 'GET', '/.l402/account', `L402 ${unpaid.macaroon}:${guesses[0]}`);
  await askHelper(shopper, 'POST', '/.l402/topup', `L402 ${unpaid.macaroon}:${guesses[1]}`);
}

async function take(shopper: Shopper, wish: Wish): Promise<void> {
  const incoming = await trySend(shopper, wish);
  // A stream that was not refused would never end.
  if (incoming !== undefined) await readSome(incoming);
}

async function readSome(incoming: Incoming): Promise<void> {
  const timer = setTimeout(() => incoming.leave(), 2_000);
  await incoming.text();
  clearTimeout(timer);
}

async function askHelper(
  shopper: Shopper,
  method: string,
  path: string,
  authorization: string,
): Promise<void> {
  const id = shopper.nextId();
  const headers = { authorization, 'content-type': 'application/json' };
  const body = method === 'POST' ? { body: '{"amountSats": 5}' } : {};
  const outgoing = { id, path, method, headers, ...body, intent: 'cheat' } as const;
  const incoming = await shopper.sender.send(outgoing).catch(orUndefined);
  await incoming?.text();
}

function credentialOf(macaroon: Macaroon, preimage: string): string {
  return `L402 ${macaroonToBase64(macaroon)}:${preimage}`;
}

function withoutLastCaveat(macaroon: Macaroon): Macaroon {
  return { ...macaroon, caveats: macaroon.caveats.slice(0, -1) };
}

function withFlippedBit(macaroon: Macaroon, bit: number): Macaroon {
  const signature = Buffer.from(macaroon.signature);
  signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return { ...macaroon, signature };
}

function withOtherCredit(macaroon: Macaroon): Macaroon {
  const caveats = macaroon.caveats.map((caveat) =>
    caveat.replace(/_credit_msat=\d+/, '_credit_msat=99000000'),
  );
  return { ...macaroon, caveats };
}
