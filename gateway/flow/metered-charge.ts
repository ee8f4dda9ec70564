import type { MeteringConfig } from '../../config/config.ts';
import type { Meter } from '../meter/index.ts';
import type { RequestPlan, UsageReader } from '../meter/usage/index.ts';

/** A charge that grows while the answer is delivered. */
export interface MeteredCharge {
  readonly meter: Meter;
  readonly metering: MeteringConfig;
  /** For units that the upstream reports: reads its answer. */
  readonly usage: UsageReader | undefined;
  /** What the plan changed of the request. */
  readonly plan: Extract<RequestPlan, { kind: 'planned' }> | undefined;
  /** Why the upstream's answer was not passed on. */
  discarded: 'unaffordable' | 'unpaced' | undefined;
}
