import { runGateway } from '../../gateway/run.ts';

/*
 * `gateway/main.ts` for a test of workers that hang: one that is silent is killed after eight seconds in place of thirty. They report every
 * two seconds, so that a busy machine does not make one look dead.
 */

await runGateway({
  flags: {},
  env: process.env,
  cwd: process.cwd(),
  stdout: process.stdout,
  timing: { silenceLimitMs: 8_000 },
});
