import type { Command } from 'commander';
import type { Io } from '../../client/cli/io.ts';
import { addFlags, readFlags } from '../../config/flags.ts';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { ConfigError, type ConfigProblem } from '../../config/problem.ts';
import { checkClock } from './doctor/clock.ts';
import { checkDataFolder } from './doctor/data-folder.ts';
import { type Diagnosis, reasonOf, scribe } from './doctor/diagnosis.ts';
import { checkListeners } from './doctor/listeners.ts';
import { checkNode } from './doctor/node.ts';
import { checkProxy, findRunningGateway } from './doctor/running-gateway.ts';
import { checkStoreAndKeys } from './doctor/store.ts';
import { checkUpstreams } from './doctor/upstreams.ts';

const MARKS: Readonly<Record<Diagnosis['status'], string>> = { ok: '✓', warning: '!', problem: '✗' };

/** `sluice doctor`: looks at everything that has to work, changes nothing, and says what to do. Exit code 1 when something is wrong. */
export function registerDoctor(program: Command, io: Io): void {
  const command = program
    .command('doctor')
    .description('look at everything that has to work, and say what to do where it does not')
    .option('--json', 'the findings as JSON');
  addFlags(command).action(async (options: Readonly<Record<string, unknown>>) => {
    const { json, ...flags } = options;
    const checks = await examine(() => loadConfig({ flags: readFlags(flags), env: io.env, cwd: io.cwd }));
    const ok = checks.every(({ status }) => status !== 'problem');
    io.stdout.write(json === true ? `${JSON.stringify({ ok, checks }, null, 2)}\n` : formatChecks(checks));
    if (!ok) io.setExitCode(1);
  });
}

async function examine(load: () => LoadedConfig): Promise<readonly Diagnosis[]> {
  let loaded: LoadedConfig;
  try {
    loaded = load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(explainProblem);
  }
  const { config } = loaded;
  const isDemo = loaded.source.kind === 'demo';
  const [running, upstreams, node] = await Promise.all([
    findRunningGateway(config),
    isDemo ? { found: [], clocks: [] } : checkUpstreams(config, Date.now),
    guarded('node', async () => checkNode(config, Date.now)),
  ]);
  const nodeFindings = 'found' in node ? node : { found: [node], clock: undefined };
  return [
    ...describeConfig(loaded),
    ...(await several('data folder', async () => checkDataFolder(config))),
    ...(await several('store', () => checkStoreAndKeys(config, Date.now))),
    ...(await several('port', () => checkListeners(config, running, Date.now))),
    checkProxy(config, running),
    ...upstreams.found,
    ...nodeFindings.found,
    ...checkClock(nodeFindings.clock, upstreams.clocks),
  ];
}

/** A check that itself breaks must not keep the others from being heard. */
async function guarded<T>(check: string, work: () => Promise<T>): Promise<T | Diagnosis> {
  try {
    return await work();
  } catch (error) {
    return scribe(check).problem(`could not be checked: ${reasonOf(error)}`, 'mend that, and run this again');
  }
}

async function several(
  check: string,
  work: () => Promise<readonly Diagnosis[]>,
): Promise<readonly Diagnosis[]> {
  const result = await guarded(check, work);
  return 'check' in result ? [result] : result;
}

function describeConfig({ config, source, warnings }: LoadedConfig): readonly Diagnosis[] {
  const say = scribe('configuration');
  const from = {
    file: source.kind === 'file' ? source.file : '',
    flags: 'the command line',
    demo: 'the demo',
  };
  const count = config.services.length;
  return [
    say.ok(`${from[source.kind]} sells ${count} ${count === 1 ? 'service' : 'services'}`),
    ...warnings.map((warning) =>
      say.warning(warning.replace(/\.$/, ''), 'look at it in docs/reference/configuration.md'),
    ),
  ];
}

function explainProblem({ file, line, column, key, problem, remedy }: ConfigProblem): Diagnosis {
  const place = line === undefined ? file : `${file}:${line}:${column}`;
  return scribe('configuration').problem(`${place}: ${key === '' ? '' : `${key} `}${problem}`, remedy);
}

/** A line each, the remedy under it. */
function formatChecks(checks: readonly Diagnosis[]): string {
  const width = Math.max(...checks.map(({ check }) => check.length));
  const lines = checks.map(({ check, status, message, remedy }) => {
    const line = `${MARKS[status]} ${check.padEnd(width)}  ${message}\n`;
    return remedy === undefined ? line : `${line}  ${' '.repeat(width)}  → ${remedy}\n`;
  });
  const problems = checks.filter(({ status }) => status === 'problem').length;
  const warnings = checks.filter(({ status }) => status === 'warning').length;
  return `${lines.join('')}\n${conclude(problems, warnings)}\n`;
}

function conclude(problems: number, warnings: number): string {
  if (problems === 0 && warnings === 0) return 'All is well.';
  const count = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`;
  return problems === 0
    ? `${count(warnings, 'warning')}.`
    : `${count(problems, 'problem')}, ${count(warnings, 'warning')}.`;
}
