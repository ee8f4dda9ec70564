import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** Where the two programs of a private network are. */
export interface Binaries {
  readonly btcd: string;
  readonly lnd: string;
  /** How they were come by, for a person. */
  readonly origin: string;
}

/** What looking for the programs needs of the process. */
export interface BinariesDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly say: (line: string) => void;
}

/** Neither the programs nor a Go that could build them are here. */
export class MissingBinariesError extends Error {
  constructor(reason: string) {
    super(
      `${reason} The private network needs lnd and btcd on the PATH, or Go 1.25.10 or newer to build them ` +
        '(about five minutes, once): https://go.dev/dl, "apt install golang" or "brew install go".',
    );
    this.name = 'MissingBinariesError';
  }
}

/** LND's REST calls that Sluice makes belong to these sub-servers; releases are built with them. */
const TAGS = 'chainrpc invoicesrpc peersrpc routerrpc signrpc walletrpc';
const PACKAGES = {
  btcd: 'github.com/btcsuite/btcd',
  btcctl: 'github.com/btcsuite/btcd/cmd/btcctl',
  lnd: 'github.com/lightningnetwork/lnd/cmd/lnd',
  lncli: 'github.com/lightningnetwork/lnd/cmd/lncli',
} as const;

/** The folder with our go.mod: which versions are built. */
const MODULE_DIR = import.meta.dirname;

/**
 * Finds lnd and btcd on the PATH, else builds the versions of go.mod into the user's cache folder; what was built before is
 * used again.
 * @throws MissingBinariesError when neither is possible
 */
export async function findBinaries({ env, say }: BinariesDeps): Promise<Binaries> {
  const [btcd, lnd] = [onPath('btcd', env), onPath('lnd', env)];
  if (btcd !== undefined && lnd !== undefined) return { btcd, lnd, origin: `from the PATH (${lnd})` };
  const folder = cacheFolder(env);
  const built: Binaries = {
    btcd: path.join(folder, executable('btcd')),
    lnd: path.join(folder, executable('lnd')),
    origin: `built from deploy/regtest/go.mod, in ${folder}`,
  };
  if (isExecutable(built.btcd) && isExecutable(built.lnd)) return built;
  const go = onPath('go', env);
  if (go === undefined)
    throw new MissingBinariesError('lnd and btcd are not on the PATH, and Go is not either.');
  say('Building lnd and btcd: about five minutes the first time, then never again.');
  await build(go, folder, env, say);
  return built;
}

/** Into a draft folder that becomes the real one when all are there: a build that was interrupted is not used. */
async function build(
  go: string,
  folder: string,
  env: BinariesDeps['env'],
  say: BinariesDeps['say'],
): Promise<void> {
  const draft = `${folder}.${process.pid}.draft`;
  mkdirSync(draft, { recursive: true });
  const flags = ['build', '-tags', TAGS, '-o', `${draft}${path.sep}`];
  const started = Date.now();
  try {
    await run(go, [...flags, ...Object.values(PACKAGES)], env);
    rmSync(folder, { recursive: true, force: true });
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  say(`Built in ${Math.round((Date.now() - started) / 1000)} s.`);
}

function run(command: string, args: readonly string[], env: BinariesDeps['env']): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: MODULE_DIR,
      env: { ...env },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.once('error', (cause) =>
      reject(new MissingBinariesError(`${command} can't be run: ${cause.message}.`)),
    );
    child.once('close', (code) => {
      if (code === 0) resolve();
      else
        reject(
          new MissingBinariesError(`Building lnd and btcd failed (go ended with ${code ?? 'a signal'}).`),
        );
    });
  });
}

/** One folder for each set of versions. */
function cacheFolder(env: BinariesDeps['env']): string {
  const digest = createHash('sha256');
  for (const name of ['go.mod', 'go.sum']) digest.update(readFileSync(path.join(MODULE_DIR, name)));
  const { XDG_CACHE_HOME, LOCALAPPDATA } = env;
  const root = XDG_CACHE_HOME ?? LOCALAPPDATA ?? path.join(homedir(), '.cache');
  return path.join(root, 'sluice', `regtest-${digest.digest('hex').slice(0, 12)}`);
}

function onPath(name: string, env: BinariesDeps['env']): string | undefined {
  const { PATH = '' } = env;
  return PATH.split(path.delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => path.join(folder, executable(name)))
    .find(isExecutable);
}

function executable(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
