import { writeSync } from 'node:fs';
import { msat, ZERO_MSAT } from '../../../node/msat.ts';
import { createSimnet } from '../../../node/simnet/simnet.ts';

/* Run by simnet.test.ts in a process of its own, which it kills: pays, and prints each hash once the preimage is known. */

const simnet = createSimnet({ nowMs: Date.now, file: process.argv[2] ?? '' });
const [gateway, payer] = [simnet.wallet('gateway'), simnet.wallet('default')];
for (let count = 0; count < 10_000; count += 1) {
  const invoice = gateway.addInvoice({ amountMsat: msat(10_000), memo: 'quote', expirySec: 60 });
  payer.pay({ bolt11: invoice.bolt11, maxFeeMsat: ZERO_MSAT });
  const paid = await payer.finalPayment(invoice.paymentHash);
  if (paid?.preimage !== undefined) writeSync(1, `${invoice.paymentHash}\n`);
}
