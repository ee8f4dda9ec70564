import type { MeteringConfig } from '../../config/config.ts';
import { type Msat, msat, ZERO_MSAT } from '../../node/msat.ts';
import { GatewayError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Meter, MeterEnd, MeteredPrice, MeterNotice, Meters, MeterTerms } from '../meter/index.ts';
import { type RequestPlan, type UsageBill, UsageReader } from '../meter/usage/index.ts';
import { announcedLength } from '../proxy/request-body.ts';
import { resetClient } from '../proxy/reset-client.ts';
import type { Charge, ChargeResult } from './charge.ts';
import type { Exchange } from './exchange.ts';
import { bodyOwner } from './held-bodies.ts';
import type { MeteredCharge } from './metered-charge.ts';
import type { UsageSource } from './plan-usage.ts';
import { isCharged } from './settle.ts';
import type { Unsettled } from './unsettled.ts';
import type { Grant } from './verify-credential.ts';

/** What charging by the meter needs. */
export interface MeteredDeps {
  readonly ledger: Ledger;
  readonly meters: Meters;
  readonly unsettled: Unsettled;
  /** What happens to a stream, for those who follow its account. */
  readonly onNotice: (accountId: string, notice: MeterNotice) => void;
  /** What an answer came to that is charged by the upstream's report. */
  readonly onUsage: (service: string, bill: UsageBill) => void;
}

/**
 * A reported total is counted in msat: the plan has priced the request (a model has rates of its own), and the meter takes
 * what it comes to.
 */
const REPORTED: MeteredPrice = {
  kind: 'metered',
  amountMsat: msat(1),
  per: 1,
  unit: 'unit',
  unitName: 'msat',
};

/**
 * Sets the first part of a metered charge aside, before anything is forwarded.
 * @param price - the lower of the locked and the present price
 * @param usageSource - for units that the upstream reports
 * @throws GatewayError `too-many-streams`, or when the request can't be priced
 * @throws StoreError
 */
export async function chargeMetered(
  deps: MeteredDeps,
  exchange: Exchange,
  grant: Grant,
  price: MeteredPrice,
  usageSource: UsageSource,
): Promise<ChargeResult> {
  const { metering } = exchange.service;
  if (metering === undefined) throw new Error('a metered price without its settings');
  const { accountId } = grant.minted;
  const plan = await planFor(deps, exchange, accountId, price, usageSource);
  if (plan?.kind === 'insufficient') return { kind: 'unpaid', reason: 'spent' };
  const usage = plan === undefined ? undefined : new UsageReader(plan.expected);
  let meter: Meter | undefined;
  const opened = await deps.meters.open({
    ...meterTerms(exchange, metering, accountId, price),
    ...(plan === undefined ? {} : reportedTerms(plan)),
    onNotice(notice) {
      // The credit is used up: what was produced so far is paid for, whether or not there will be more.
      if (notice.kind === 'exhausted' && usage !== undefined) meter?.report(usage.running().costMsat);
      // Before the answer's head there is nothing that the meter could end, and the upstream would go on for nothing.
      const { req, res, upgrade } = exchange;
      if (notice.kind === 'cut' && upgrade === undefined && !res.headersSent) resetClient(req.socket);
      deps.onNotice(accountId, notice);
    },
  });
  switch (opened.kind) {
    case 'opened':
      meter = opened.meter;
      return {
        kind: 'charged',
        charge: meteredCharge(deps, grant, { meter, metering, plan, usage, discarded: undefined }),
      };
    case 'too-many':
      throw new GatewayError(
        'too-many-streams',
        `This account has ${metering.maxStreams} streams open, which is the most that it may have at once. Close one first.`,
        { retryAfterSec: 1 },
      );
    case 'insufficient':
      return { kind: 'unpaid', reason: 'spent' };
    case 'unknown-account':
      return { kind: 'unpaid', reason: 'spent', isForgotten: true };
    case 'expired':
    case 'revoked':
      return { kind: 'unpaid', reason: opened.kind };
  }
}

async function planFor(
  deps: MeteredDeps,
  { service, client }: Exchange,
  accountId: string,
  price: MeteredPrice,
  usageSource: UsageSource,
): Promise<Exclude<RequestPlan, { kind: 'refused' }> | undefined> {
  if (service.metering?.usage === undefined) return undefined;
  // Only to fit the request to what there is: whether it is there is decided by the reservation.
  const balanceMsat = (await deps.ledger.account(accountId))?.balanceMsat ?? ZERO_MSAT;
  const request = await usageSource(bodyOwner(client.throttleKey, accountId, balanceMsat));
  return request?.plan(price, balanceMsat);
}

function reportedTerms({ reserveMsat }: { readonly reserveMsat: Msat }): Partial<MeterTerms> {
  return { price: REPORTED, firstUnits: reserveMsat, leastUnits: reserveMsat };
}

function meterTerms(
  exchange: Exchange,
  metering: MeteringConfig,
  accountId: string,
  price: MeteredPrice,
): MeterTerms {
  const { service, req, res, upgrade } = exchange;
  const uploads = price.unit === 'byte' && metering.count !== 'response';
  const length = uploads ? announcedLength(req) : undefined;
  return {
    accountId,
    service: service.name,
    price,
    transport: upgrade === undefined ? 'http' : 'websocket',
    // Downloads and calls are no streams: what each of them takes is charged in full.
    maxStreams: price.unit === 'second' || upgrade !== undefined ? metering.maxStreams : undefined,
    charge: metering.charge,
    sliceMs: metering.sliceMs,
    holdMs: metering.holdMs,
    warnMs: metering.warnMs,
    chargeFrom: metering.chargeFrom,
    count: metering.count,
    ...(length === undefined || length === 0 ? {} : { firstUnits: length }),
    charges: (status) => isCharged(service.chargeOn, status),
    paceBytesPerSec: metering.paceBytesPerSec,
    unsentBytes: () => res.writableLength,
  };
}

function meteredCharge(deps: MeteredDeps, { minted, validUntilSec }: Grant, metered: MeteredCharge): Charge {
  const { meter } = metered;
  // One for all calls of `end`: given back twice, it is given back once.
  const refundKey = deps.ledger.nextKey();
  return {
    accountId: minted.accountId,
    validUntilSec,
    amountMsat: ZERO_MSAT,
    get balanceMsat() {
      return meter.balanceMsat;
    },
    metered,
    mustEnd: () => true,
    end: async (how) => {
      if (how === 'refunded') await refund(deps, metered, refundKey);
      else await meter.end(await finalUnits(deps, metered));
    },
  };
}

/**
 * Nothing more is billed, and what was billed before the upstream failed (a long poll, an upload) goes back. Of a charge that
 * several streams share nobody can say which of them took it.
 */
async function refund(
  { ledger, unsettled }: MeteredDeps,
  { meter }: MeteredCharge,
  key: string,
): Promise<void> {
  const { accountId, terms } = meter;
  const { billedMsat } = await meter.end({ waive: true });
  const isShared = terms.charge === 'once' && terms.price.unit === 'second';
  if (billedMsat === 0 || isShared) return;
  await unsettled.settle(() => ledger.refundSpend({ accountId, amountMsat: billedMsat, key }));
}

/** The truth of a reported total; what the meter counted itself needs none. */
async function finalUnits(deps: MeteredDeps, { usage, meter }: MeteredCharge): Promise<MeterEnd> {
  if (usage === undefined) return {};
  const bill = await usage.end();
  deps.onUsage(meter.terms.service, bill);
  // It may be more than the estimate or the bound that was set aside, and the account may have it.
  return { units: bill.costMsat, payFrom: 'balance' };
}
