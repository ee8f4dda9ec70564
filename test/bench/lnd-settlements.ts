import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { LndNode } from '../../deploy/regtest/lnd-node.ts';
import type { RegtestNetwork } from '../../deploy/regtest/network.ts';
import { createLndNode } from '../../node/lnd.ts';
import { msat } from '../../node/msat.ts';
import type { LightningNode, Payer } from '../../node/node.ts';
import { askTopUp } from '../support/top-up.ts';
import type { BenchGateway } from './lnd-bench-gateway.ts';
import type { Latencies } from './paced.ts';
import { quantile } from './statistics.ts';
import { wallMs } from './wall-clock.ts';

const TOP_UP_MSAT = 1_000;
/** Between two looks at the balance: they must not be the load. */
const LOOK_EVERY_MS = 1;

const challengeSchema = z.object({ macaroon: z.string(), invoice: z.string() });
const accountSchema = z.object({ creditedMsat: z.number() });

/** One payment that has nothing to do with a gateway. */
export async function payOnce({ merchant, customer }: RegtestNetwork): Promise<void> {
  const [node, payer] = [clientOf(merchant), clientOf(customer)];
  try {
    const request = { amountMsat: msat(1_000), memo: 'the first', expirySec: 600 };
    await pay(payer, (await node.createInvoice(request)).bolt11);
  } finally {
    await Promise.all([node.close(), payer.close()]);
  }
}

function clientOf(node: LndNode): LightningNode & Payer {
  return createLndNode({
    url: node.url,
    macaroon: readFileSync(node.macaroonFile('admin'), 'hex'),
    tlsCertPem: readFileSync(node.tlsCertFile, 'utf8'),
  });
}

/** Tops an account up again and again, and watches it over HTTP as its owner would. */
export async function measureSettlements(
  { customer }: RegtestNetwork,
  gateway: BenchGateway,
  payments: number,
): Promise<Readonly<Record<string, Latencies>>> {
  const payer = clientOf(customer);
  try {
    const authorization = await openAccount(gateway.url, payer);
    const fromFeed: number[] = [];
    const fromPayer: number[] = [];
    for (let count = 0; count < payments; count += 1) {
      const made = await askTopUp(gateway.url, authorization, { amountMsat: TOP_UP_MSAT });
      const credited = (await credit(gateway.url, authorization)) + TOP_UP_MSAT;
      const paid = pay(payer, made.invoice).then(wallMs);
      const visibleAtMs = await untilCredited(gateway.url, authorization, credited);
      fromFeed.push(visibleAtMs - (await gateway.settledAtMs(made.paymentHash)));
      // The payer may hear of it after the receiver has the money: then it has waited for nothing.
      fromPayer.push(Math.max(0, visibleAtMs - (await paid)));
    }
    return {
      "LND's event at the gateway -> balance shows it": percentiles(fromFeed),
      'settled at the payer -> balance shows it': percentiles(fromPayer),
    };
  } finally {
    await payer.close();
  }
}

async function openAccount(url: string, payer: Payer): Promise<string> {
  const challenge = challengeSchema.parse(await (await fetch(`${url}/quote`)).json());
  const authorization = `L402 ${challenge.macaroon}:${await pay(payer, challenge.invoice)}`;
  const response = await fetch(`${url}/quote`, { headers: { Authorization: authorization } });
  if (response.status !== 200) throw new Error(`the paid call was answered ${response.status}`);
  await response.text();
  return authorization;
}

async function pay(payer: Payer, bolt11: string): Promise<string> {
  const outcome = await payer.payInvoice(bolt11, { maxFeeMsat: msat(0), timeoutMs: 20_000 });
  if (outcome.kind !== 'succeeded') throw new Error(`the payment ended ${outcome.kind}`);
  return outcome.preimage;
}

async function untilCredited(url: string, authorization: string, credited: number): Promise<number> {
  while ((await credit(url, authorization)) < credited) await sleep(LOOK_EVERY_MS);
  return wallMs();
}

async function credit(url: string, authorization: string): Promise<number> {
  const response = await fetch(`${url}/.l402/account`, { headers: { Authorization: authorization } });
  return accountSchema.parse(await response.json()).creditedMsat;
}

function percentiles(tookMs: readonly number[]): Latencies {
  return { p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) };
}
