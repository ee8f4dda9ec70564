import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Account, Offer, Store } from '../../gateway/ledger/store.ts';
import { serveLndRest } from '../../node/simnet/lnd-rest.ts';
import { createSimnet, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import type { Simnet } from '../../node/simnet/types.ts';
import { openScene, termsOf } from '../e2e/scene.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, withCredential } from '../support/gateway.ts';
import { askTopUp, payAmount, requestTopUp } from '../support/top-up.ts';

const CHILD = join(import.meta.dirname, 'crash-child.ts');

type KillPoint = 'before-offer' | 'after-offer' | 'before-credit' | 'after-credit';

interface Child {
  readonly url: string;
  readonly killed: Promise<unknown>;
  kill(): Promise<unknown>;
}

/** A place whose gateway is killed and started again: a SQLite file, and a node that lives on. */
interface Place {
  readonly simnet: Simnet;
  /** The gateway that is about to die. */
  readonly dying: Child;
  /** A credential whose account is open and spent. */
  readonly credential: string;
  start(killAt?: KillPoint): Promise<Child>;
  /** Looks into the file. */
  look<T>(read: (store: Store) => Promise<T>): Promise<T>;
}

async function openPlace(t: TestContext, killAt: KillPoint): Promise<Place> {
  const scene = openScene(t);
  const upstream = (await scene.upstream()).origin;
  const simnet = createSimnet({ nowMs: Date.now });
  const rest = await serveLndRest(simnet, { host: '127.0.0.1', port: 0 });
  scene.keep({ close: async () => simnet.close() });
  scene.keep(rest);
  const file = join(await scene.folder(), 'ledger.db');
  const { macaroon } = simnet.wallet(GATEWAY_WALLET);
  const start = async (point = ''): Promise<Child> => {
    const options = [
      '--disable-warning=ExperimentalWarning',
      CHILD,
      file,
      rest.url,
      macaroon,
      upstream,
      point,
    ];
    const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'inherit'] });
    const killed = once(child, 'exit').then(([, signal]) => assert.equal(signal, 'SIGKILL'));
    const kill = (): Promise<unknown> => {
      child.kill('SIGKILL');
      return killed;
    };
    scene.keep({ close: async () => void child.kill('SIGKILL') });
    return { url: await firstLine(child), killed, kill };
  };
  const look = async <T>(read: (store: Store) => Promise<T>): Promise<T> => {
    const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
    try {
      return await read(store);
    } finally {
      await store.close();
    }
  };
  const dying = await start(killAt);
  const challenge = await askChallenge(`${dying.url}/quote`);
  const credential = `L402 ${challenge.macaroon}:${await payAmount(simnet, challenge.invoice)}`;
  assert.equal((await fetch(`${dying.url}/quote`, withCredential(credential))).status, 200);
  return { simnet, dying, credential, start, look };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  assert.ok(stdout);
  const [line] = await once(createInterface({ input: stdout }), 'line');
  return String(line);
}

function accountOf({ credential, look }: Place): Promise<Account | undefined> {
  return look((store) => store.account(termsOf(credential).accountId));
}

function offersOf({ look }: Place): Promise<readonly Offer[]> {
  return look((store) => store.openOffers('', 100));
}

/** Waits until a gateway has gone through both settlements, and shows what the account came to. */
async function comesTo(place: Place, creditedMsat: number): Promise<void> {
  await eventually(
    () => place.look((store) => store.settlementCursor()),
    (cursor) => cursor === 2,
  );
  const account = await accountOf(place);
  assert.deepEqual([account?.creditedMsat, account?.spentMsat], [creditedMsat, 10_000]);
  assert.deepEqual(await offersOf(place), []);
  const totals = await place.look((store) => store.totals());
  const { spentMsat, reservedMsat, expiredMsat, balanceMsat } = totals;
  assert.equal(totals.creditedMsat, spentMsat + reservedMsat + expiredMsat + balanceMsat);
}

test('killed between invoice and offer: nothing is left behind, and the next top-up is credited once', async (t) => {
  const place = await openPlace(t, 'before-offer');
  await assert.rejects(requestTopUp(place.dying.url, place.credential));
  await place.dying.killed;
  assert.deepEqual(await offersOf(place), []);
  const next = await place.start();
  const made = await askTopUp(next.url, place.credential, { amountSats: 20 });
  await payAmount(place.simnet, made.invoice);
  await comesTo(place, 30_000);
  await next.kill();
});

test('killed between offer and answer: the offer stands, and a payment of it is credited once', async (t) => {
  const place = await openPlace(t, 'after-offer');
  await assert.rejects(requestTopUp(place.dying.url, place.credential));
  await place.dying.killed;
  const [offer] = await offersOf(place);
  assert.ok(offer);
  const wallet = place.simnet.wallet(GATEWAY_WALLET);
  const invoice = wallet.invoice(offer.paymentHash);
  assert.ok(invoice);
  await payAmount(place.simnet, wallet.signed(invoice).bolt11);
  const next = await place.start();
  await comesTo(place, 20_000);
  await next.kill();
});

test('killed between settlement and credit: the next start credits it, once', async (t) => {
  const place = await openPlace(t, 'before-credit');
  const made = await askTopUp(place.dying.url, place.credential, { amountSats: 20 });
  await payAmount(place.simnet, made.invoice, 21_000);
  await place.dying.killed;
  assert.equal((await accountOf(place))?.creditedMsat, 10_000);
  const next = await place.start();
  await comesTo(place, 31_000);
  await next.kill();
});

test('killed between credit and cursor: what is reported again is not credited again', async (t) => {
  const place = await openPlace(t, 'after-credit');
  const made = await askTopUp(place.dying.url, place.credential, { amountSats: 20 });
  await payAmount(place.simnet, made.invoice, 21_000);
  await place.dying.killed;
  assert.equal((await accountOf(place))?.creditedMsat, 31_000);
  assert.ok((await place.look((store) => store.settlementCursor())) < 2);
  const next = await place.start();
  await comesTo(place, 31_000);
  await next.kill();
});
