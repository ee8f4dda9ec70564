import type { MeteringConfig } from '../../config/config.ts';
import type { Msat } from '../../node/msat.ts';
import type { Meter } from '../meter/index.ts';
import type { RequestPlan, UsageReader } from '../meter/usage/index.ts';

/** Why an answer of the upstream is not passed on. */
export type Discarded =
  /** It costs more than there is: `neededMsat` in all. */
  | { readonly kind: 'unaffordable'; readonly neededMsat: Msat }
  /** A whole file at a price a second, without `pace` or `allowBurst`. */
  | { readonly kind: 'unpaced' };

/** A charge that grows while the answer is delivered. */
export interface MeteredCharge {
  readonly meter: Meter;
  readonly metering: MeteringConfig;
  /** For units that the upstream reports: reads its answer. */
  readonly usage: UsageReader | undefined;
  /** What the plan changed of the request. */
  readonly plan: Extract<RequestPlan, { kind: 'planned' }> | undefined;
  /** Why the upstream's answer was not passed on. */
  discarded: Discarded | undefined;
}
