import { msat } from '../../node/msat.ts';
import { QUICK } from '../e2e/streams-scene.ts';

/** Sold by the gateway that is killed and by the one that is left. */
export const WARE = {
  price: '10 sat/second',
  metering: { ...QUICK, depositMsat: msat(900_000), charge: 'once', maxStreams: 2 },
} as const;
