import { type Flags, FlagsError, parseFlags } from '../config/flags.ts';
import { ConfigError } from '../config/problem.ts';
import { NodeError } from '../node/node.ts';
import { StoreMismatchError } from './ledger/ledger.ts';
import { StoreError } from './ledger/store.ts';
import { notifySystemd, type SystemdState } from './notify-systemd.ts';
import { type RunningGateway, runGateway } from './run.ts';

/**
 * Runs the gateway as this process, until SIGTERM or Ctrl-C. The first signal drains, the second one ends it at once.
 * @param flags - read late, so that what is wrong with them is said in the same way as everything else
 */
export async function runProcess(flags: () => Flags): Promise<void> {
  let running: RunningGateway;
  try {
    running = await runGateway({
      flags: flags(),
      env: process.env,
      cwd: process.cwd(),
      stdout: process.stdout,
    });
  } catch (error) {
    fail(error);
    return;
  }
  const tell = async (state: SystemdState): Promise<void> => {
    const failure = await notifySystemd(state, process.env);
    if (failure !== undefined) running.log.error('the service manager heard nothing', { err: failure });
  };
  void tell('READY=1');
  const stop = (): void => {
    void tell('STOPPING=1');
    process.once('SIGTERM', () => process.exit(1)).once('SIGINT', () => process.exit(1));
    running.log.info('stopping: requests under way are finished; press Ctrl-C once more to end at once');
    running.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        running.log.error('stopping failed', { err: error });
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

/** What an operator can mend is said in words; anything else is a bug and keeps its stack. */
function fail(error: unknown): void {
  if (error instanceof FlagsError) {
    (error.exitCode === 0 ? process.stdout : process.stderr).write(`${error.message}\n`);
    process.exitCode = error.exitCode;
    return;
  }
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'EADDRINUSE') {
    const where = 'port' in error ? ` ${String(error.port)}` : '';
    return `Port${where} is in use, perhaps by another gateway. Stop that one, or choose others with --port and --admin-port.`;
  }
  const known =
    error instanceof ConfigError ||
    error instanceof NodeError ||
    error instanceof StoreError ||
    error instanceof StoreMismatchError;
  return known || 'code' in error || error.constructor === Error
    ? error.message
    : (error.stack ?? error.message);
}

if (import.meta.main) await runProcess(() => parseFlags(process.argv.slice(2)));
