import { createHash } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { type FSWatcher, readFileSync, realpathSync, watch } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { checkConfig } from './check.ts';
import type { Config } from './config.ts';
import type { LoadedConfig } from './load.ts';
import { ConfigError, formatKey } from './problem.ts';

/** What {@link watchConfig} may be told. */
export interface WatchOptions {
  /** What is in use now; without it, `load` is called once. */
  readonly current?: LoadedConfig;
  /** How long the files must be quiet, ms. Editors write in several steps. */
  readonly debounceMs?: number;
  /** Where SIGHUP comes from. */
  readonly signals?: EventEmitter;
}

/** A watch that is running. */
export interface ConfigWatch {
  /** Reads the files again now, as SIGHUP does. */
  reload(): void;
  close(): void;
}

/** What is taken at start and never again: sockets, files and keys that are open. */
const FIXED = [
  'listen',
  'admin',
  'adminToken',
  'dataDir',
  'store',
  'workers',
  'node',
  'masterKeys',
] as const satisfies readonly (keyof Config)[];
const WRITTEN_AS: Partial<Record<(typeof FIXED)[number], string>> = { dataDir: 'data' };

/**
 * Loads the configuration again on SIGHUP and when one of its files changes: also when an editor replaces the file, and when
 * Kubernetes swaps the link behind a mounted folder. A configuration is swapped in whole or not at all.
 * @param load - reads and checks everything, and throws when something is wrong
 * @param onChange - gets what to use from now on; what can't change live is kept as it was and named in its warnings
 * @param onError - gets why the old configuration stays, or why changes are not noticed
 */
export function watchConfig(
  load: () => LoadedConfig,
  onChange: (loaded: LoadedConfig) => void,
  onError: (error: Error) => void,
  options: WatchOptions = {},
): ConfigWatch {
  const { debounceMs = 250, signals = process } = options;
  let current = options.current ?? load();
  let seen = fingerprint(current.files);
  let timer: NodeJS.Timeout | undefined;
  const watchers = new Map<string, FSWatcher>();

  const reload = (): void => {
    seen = fingerprint(current.files);
    try {
      const loaded = load();
      current = keepFixed(loaded, current.config);
      seen = fingerprint(current.files);
      watchFolders();
      onChange(current);
    } catch (error) {
      onError(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const reloadIfChanged = (): void => {
    watchFolders();
    if (fingerprint(current.files) !== seen) reload();
  };
  const onEvent = (): void => {
    clearTimeout(timer);
    timer = setTimeout(reloadIfChanged, debounceMs);
  };
  /** Folders and not files: a file that is replaced takes its watch with it. */
  const watchFolders = (): void => {
    const wanted = foldersOf(current.files);
    for (const [folder, watcher] of watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (!watchers.has(folder)) watchFolder(folder);
    }
  };
  const watchFolder = (folder: string): void => {
    const gone = (error: unknown): void => {
      watchers.get(folder)?.close();
      watchers.delete(folder);
      const reason = error instanceof Error ? error.message : String(error);
      onError(new Error(`changes in ${folder} are not noticed (${reason}); send SIGHUP after a change`));
    };
    try {
      watchers.set(folder, watch(folder, { persistent: false }, onEvent).on('error', gone));
    } catch (error) {
      gone(error);
    }
  };

  signals.on('SIGHUP', reload);
  watchFolders();
  return {
    reload,
    close: () => {
      clearTimeout(timer);
      signals.off('SIGHUP', reload);
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}

/** The folder of each file, and of what it links to. */
function foldersOf(files: readonly string[]): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const file of files) {
    folders.add(path.dirname(file));
    try {
      folders.add(path.dirname(realpathSync(file)));
    } catch {
      // Gone for the moment: its folder tells when it is back.
    }
  }
  return folders;
}

/** Changes with the content of any of the files. Events alone say too much: folders hold other files, and reading touches them. */
function fingerprint(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    let content: Buffer | string;
    try {
      content = readFileSync(file);
    } catch {
      content = 'unreadable';
    }
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/**
 * The new configuration with what can't change live left as it is.
 * @throws ConfigError when the two do not go together, though each does by itself
 */
function keepFixed(loaded: LoadedConfig, old: Config): LoadedConfig {
  const changed = FIXED.filter((key) => !isDeepStrictEqual(loaded.config[key], old[key]));
  if (changed.length === 0) return loaded;
  const kept = Object.fromEntries(FIXED.map((key) => [key, old[key]]));
  const names = changed.map((key) => WRITTEN_AS[key] ?? key).join(', ');
  const config = Object.freeze({ ...loaded.config, ...kept });
  const wrong = checkConfig(config);
  if (wrong.length > 0) {
    const file = `until a restart, which a change of ${names} needs`;
    throw new ConfigError(
      wrong.map(({ path: at, problem, remedy }) => ({ file, key: formatKey(at), problem, remedy })),
    );
  }
  return {
    ...loaded,
    config,
    warnings: [
      ...loaded.warnings,
      `${names} changed in the file; this needs a restart and stays as it was until then`,
    ],
  };
}
