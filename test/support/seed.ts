/*
 * Loaded before every test file (package.json): property tests run with one seed, so that a run can be repeated and what failed
 * yesterday fails today. `FC_SEED=<number>` chooses another one, `FC_SEED=random` a new one each time: for hunting, not for CI.
 */
import fc from 'fast-check';

const DEFAULT_SEED = 20_261_123;

const wanted = process.env['FC_SEED'];
if (wanted !== 'random')
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(wanted ?? DEFAULT_SEED) });
