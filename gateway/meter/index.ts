/*
 * Charges streams while they are delivered. One wheel a process: what is due is settled in one store call.
 *
 *   createMeters  ->  meters.open (sets the first slice aside)  ->  meter.tap / meter.upload / createMeteringDuplex  ->  meter.end
 */
export { createMeteringDuplex } from './metering-duplex.ts';
export { createMeters, type MeterObserver, type Meters } from './meters.ts';
export { costOf, type MeteredPrice, rateOf } from './rate.ts';
export type {
  CutReason,
  Meter,
  MeterEnd,
  MeterNotice,
  MeterReport,
  MeterTerms,
  Opened,
  UploadTap,
} from './terms.ts';
