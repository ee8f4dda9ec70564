/*
 * Loaded before every test file (package.json): a file whose tests are over, and which something keeps from its end, fails and says what.
 * Node's runner would wait for it for ever: its time limit is one of tests, not of files.
 */
import { after } from 'node:test';

/** For what the hooks of a file still have to stop, ms: a network of LND nodes is down in seconds. */
const GRACE_MS = 120_000;

// The runner itself, and what tests fork, have this loaded too.
if (/\.(test|redis|lnd|deploy|browser)\.ts$/.test(process.argv[1] ?? '')) after(watchEnd);

function watchEnd(): void {
  const giveUp = (): void => {
    const open = process.getActiveResourcesInfo().join(', ');
    process.stderr.write(
      `The tests of this file are over for ${GRACE_MS / 1_000} s, and it does not end. Open: ${open}.\n`,
    );
    process.exit(1);
  };
  setTimeout(giveUp, GRACE_MS).unref();
}
