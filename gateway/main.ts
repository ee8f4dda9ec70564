import { type Flags, FlagsError, parseFlags } from '../config/flags.ts';
import { explainFailure } from './explain-failure.ts';
import { keepObjectsYoung } from './keep-objects-young.ts';
import { notifySystemd, type SystemdState } from './notify-systemd.ts';
import { type RunningGateway, runGateway } from './run.ts';

/**
 * Runs the gateway as this process, until SIGTERM or Ctrl-C. The first signal drains, the second one ends it at once.
 * @param flags - read late, so that what is wrong with them is said in the same way as everything else
 */
export async function runProcess(flags: () => Flags): Promise<void> {
  keepObjectsYoung();
  let running: RunningGateway;
  // Left to themselves, HUP and USR2 would end a gateway that starts, and TERM would not when it is process 1 of a container.
  // One listener stays from first to last: a signal that has come and not been told is lost when its listener goes, also if another takes over.
  let end = (): void => process.exit(0);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end());
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});
  try {
    running = await runGateway({
      flags: flags(),
      env: process.env,
      cwd: process.cwd(),
      stdout: process.stdout,
      onFailed: (error) => {
        fail(error);
        running.stop().finally(() => process.exit(1));
      },
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
  const endAtOnce = (): void => {
    running.kill();
    process.exit(1);
  };
  end = (): void => {
    end = endAtOnce;
    void tell('STOPPING=1');
    running.log.info('stopping: requests under way are finished; press Ctrl-C once more to end at once');
    running.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        running.log.error('stopping failed', { err: error });
        process.exit(1);
      },
    );
  };
  process.on('SIGUSR2', () => void running.renew());
}

function fail(error: unknown): void {
  if (error instanceof FlagsError) {
    (error.exitCode === 0 ? process.stdout : process.stderr).write(`${error.message}\n`);
    process.exitCode = error.exitCode;
    return;
  }
  process.stderr.write(`${explainFailure(error)}\n`);
  process.exitCode = 1;
}

if (import.meta.main) await runProcess(() => parseFlags(process.argv.slice(2)));
