import { createHmac } from 'node:crypto';
import { MAX_MEMO_BYTES, signInvoice } from '../bolt11.ts';
import { msat, ZERO_MSAT } from '../msat.ts';
import { paymentHashOf } from '../sha256.ts';
import { announce, type Core, mergePage, nowSecOf, type Peer } from './core.ts';
import type { OpenInvoice } from './open-invoices.ts';
import {
  type NewInvoice,
  type Page,
  type SignedInvoice,
  type SimnetInvoice,
  type SimnetInvoiceState,
  SimnetRefusal,
  STATUS,
} from './types.ts';

/** LND stores a longer memo than BOLT 11 can carry, and refuses such an invoice when it encodes it. */
const LND_MEMO_BYTES = 1024;

/** LND's bound: a year. */
const MAX_EXPIRY_SEC = 365 * 24 * 3600;

/** LND's bound: 100,000 BTC. It is above 2^53 msat, which is ours. */
const MAX_AMOUNT_MSAT = Number.MAX_SAFE_INTEGER;

/** Add indexes are recorded as used up in blocks, so that an unpaid invoice writes nothing to disk. */
const ADD_INDEX_BLOCK = 10_000;

/** Issues an invoice. About 250 µs, of which signing is nearly all. @throws SimnetRefusal */
export function addInvoice(core: Core, peer: Peer, wanted: NewInvoice): SignedInvoice {
  refuseUnlikeLnd(wanted);
  const addIndex = takeAddIndex(core, peer);
  const paymentHash = wanted.paymentHash ?? paymentHashOf(wanted.preimage ?? derive(peer, addIndex).preimage);
  if (core.open.get(paymentHash) !== undefined || isSettledHash(core, wanted, paymentHash)) {
    throw new SimnetRefusal(STATUS.unknown, 'invoice with payment hash already exists');
  }
  const open: OpenInvoice = {
    wallet: peer.name,
    addIndex,
    amountMsat: wanted.amountMsat,
    memo: wanted.memo,
    descriptionHash: wanted.descriptionHash,
    createdSec: nowSecOf(core),
    expirySec: wanted.expirySec,
    preimage: wanted.preimage,
    hold: wanted.paymentHash !== undefined,
    held: undefined,
    cancelled: false,
  };
  core.open.add(paymentHash, open);
  const invoice = signed(core, peer, toInvoice(core, paymentHash, open));
  announce(peer, { kind: 'added', invoice });
  return invoice;
}

/** An invoice of this wallet. */
export function findInvoice(core: Core, peer: Peer, paymentHash: string): SimnetInvoice | undefined {
  const open = core.open.get(paymentHash);
  if (open !== undefined) return open.wallet === peer.name ? toInvoice(core, paymentHash, open) : undefined;
  const settled = core.records.settled(paymentHash);
  return settled?.wallet === peer.name ? settled : undefined;
}

/** A page of this wallet's invoices, by add index. */
export function listInvoices(core: Core, peer: Peer, page: Page): readonly SimnetInvoice[] {
  const live: SimnetInvoice[] = [];
  for (const [hash, open] of core.open.ofWallet(peer.name)) live.push(toInvoice(core, hash, open));
  return mergePage<SimnetInvoice>(
    core.records.settledPage(peer.name, page),
    live,
    (one) => one.addIndex,
    page,
  );
}

/** Cancels an open invoice, or gives back what is held; repeating it is no error. @throws SimnetRefusal */
export function cancelInvoice(core: Core, peer: Peer, paymentHash: string): void {
  const open = core.open.get(paymentHash);
  if (open !== undefined && open.wallet === peer.name) {
    if (open.cancelled) return;
    open.cancelled = true;
    open.held?.cancel();
    announce(peer, { kind: 'cancelled', invoice: toInvoice(core, paymentHash, open) });
    return;
  }
  throw new SimnetRefusal(
    STATUS.unknown,
    findInvoice(core, peer, paymentHash) === undefined
      ? 'unable to locate invoice'
      : 'invoice already settled',
  );
}

/** Takes the payment that a hold invoice holds; repeating it is no error. @throws SimnetRefusal in LND's words. */
export function settleInvoice(core: Core, peer: Peer, preimage: string): void {
  const paymentHash = paymentHashOf(preimage);
  const invoice = findInvoice(core, peer, paymentHash);
  if (invoice === undefined) throw new SimnetRefusal(STATUS.unknown, 'unable to locate invoice');
  if (invoice.state === 'settled') return;
  const held = core.open.get(paymentHash)?.held;
  if (held === undefined) {
    const isOpen = invoice.state === 'open';
    throw new SimnetRefusal(STATUS.unknown, isOpen ? 'invoice still open' : 'invoice already canceled');
  }
  held.settle(preimage);
}

/** Adds the BOLT 11 string: signatures are deterministic (RFC 6979), so it is the same one each time. */
export function signed(core: Core, peer: Peer, invoice: SimnetInvoice): SignedInvoice {
  if (isSigned(invoice)) return invoice;
  const paymentSecret = derive(peer, invoice.addIndex).paymentSecret;
  const bolt11 = signInvoice(
    {
      network: core.network,
      amountMsat: invoice.amountMsat,
      paymentHash: invoice.paymentHash,
      paymentSecret,
      memo: invoice.memo,
      ...(invoice.descriptionHash === undefined ? {} : { descriptionHash: invoice.descriptionHash }),
      timestampSec: invoice.createdSec,
      expirySec: invoice.expirySec,
    },
    peer.privateKey,
  );
  return { ...invoice, bolt11, paymentSecret };
}

/** The preimage of an open invoice that is no hold invoice. For settling only: nobody else may see it before it is paid. */
export function preimageOf(peer: Peer, open: OpenInvoice): string {
  return open.preimage ?? derive(peer, open.addIndex).preimage;
}

/** An open invoice as its receiver sees it, by the clock. */
export function toInvoice(core: Core, paymentHash: string, open: OpenInvoice): SimnetInvoice {
  return {
    wallet: open.wallet,
    addIndex: open.addIndex,
    settleIndex: 0,
    paymentHash,
    amountMsat: open.amountMsat,
    memo: open.memo,
    ...(open.descriptionHash === undefined ? {} : { descriptionHash: open.descriptionHash }),
    createdSec: open.createdSec,
    expirySec: open.expirySec,
    state: stateOf(core, open),
    paidMsat: open.held?.paidMsat ?? ZERO_MSAT,
    settledSec: 0,
  };
}

/** What is held stays held when the invoice's time is over, as with LND. */
function stateOf(core: Core, open: OpenInvoice): SimnetInvoiceState {
  if (open.cancelled) return 'cancelled';
  if (open.held !== undefined) return 'accepted';
  return nowSecOf(core) > open.createdSec + open.expirySec ? 'expired' : 'open';
}

function refuseUnlikeLnd(wanted: NewInvoice): void {
  const memoBytes = Buffer.byteLength(wanted.memo);
  if (memoBytes > LND_MEMO_BYTES) {
    throw new SimnetRefusal(STATUS.unknown, `memo too large: ${memoBytes} bytes (maxsize=${LND_MEMO_BYTES})`);
  }
  if (memoBytes > MAX_MEMO_BYTES) {
    const groups = Math.ceil((memoBytes * 8) / 5);
    throw new SimnetRefusal(STATUS.unknown, `data length too big to fit within 10 bits: ${groups}`);
  }
  const { descriptionHash } = wanted;
  if (descriptionHash !== undefined && !/^[0-9a-f]{64}$/.test(descriptionHash)) {
    const bytes = Math.floor(descriptionHash.length / 2);
    throw new SimnetRefusal(STATUS.unknown, `description hash is ${bytes} bytes, must be 32`);
  }
  if (!Number.isSafeInteger(wanted.expirySec) || wanted.expirySec < 1 || wanted.expirySec > MAX_EXPIRY_SEC) {
    throw new SimnetRefusal(
      STATUS.unknown,
      `expiry of ${wanted.expirySec} seconds greater than max expiry of ${MAX_EXPIRY_SEC} seconds`,
    );
  }
  if (wanted.amountMsat > MAX_AMOUNT_MSAT)
    throw new SimnetRefusal(STATUS.unknown, 'invoice amount is too large');
  msat(wanted.amountMsat);
}

function takeAddIndex(core: Core, peer: Peer): number {
  if (peer.nextAddIndex >= peer.reservedAddIndex) {
    peer.reservedAddIndex = peer.nextAddIndex + ADD_INDEX_BLOCK;
    core.records.reserveAddIndexes(peer.name, peer.reservedAddIndex);
  }
  const addIndex = peer.nextAddIndex;
  peer.nextAddIndex += 1;
  return addIndex;
}

/** Only what the receiver chose can have been used before; a derived preimage is new. */
function isSettledHash(
  core: Core,
  { preimage, paymentHash: chosen }: NewInvoice,
  paymentHash: string,
): boolean {
  return (preimage !== undefined || chosen !== undefined) && core.records.settled(paymentHash) !== undefined;
}

function derive(peer: Peer, addIndex: number): { preimage: string; paymentSecret: string } {
  const bytes = createHmac('sha512', peer.invoiceSecret).update(String(addIndex)).digest('hex');
  return { preimage: bytes.slice(0, 64), paymentSecret: bytes.slice(64) };
}

function isSigned(invoice: SimnetInvoice): invoice is SignedInvoice {
  return 'bolt11' in invoice;
}
