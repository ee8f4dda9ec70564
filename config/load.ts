import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { checkConfig, warnConfig } from './check.ts';
import type { Config } from './config.ts';
import { demoFile } from './demo.ts';
import { explainIssues } from './explain-issues.ts';
import type { Flags } from './flags.ts';
import { checkMetering } from './metering.ts';
import { type Origin, placeFinding } from './place-finding.ts';
import { ConfigError, type Finding } from './problem.ts';
import { readYaml, type YamlText } from './read-yaml.ts';
import { resolveConfig } from './resolve.ts';
import { type ConfigFile, fileSchema } from './schema.ts';
import { substitute } from './substitute.ts';

/** What to load, and where from. */
export interface LoadOptions {
  /** The file, when it was not given as a flag. */
  readonly file?: string;
  readonly flags?: Flags;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative paths of flags are under it. */
  readonly cwd: string;
  /** URL of the demo's upstream, for a gateway without a file. */
  readonly demoUpstream?: string;
}

/** Where a configuration comes from. */
export type ConfigSource =
  | {
      readonly kind: 'file';
      /** Absolute. */
      readonly file: string;
    }
  /** `--upstream`, `--price` and what belongs to them. */
  | { readonly kind: 'flags' }
  | { readonly kind: 'demo' };

/** A configuration that can be used, deeply frozen. */
export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
  readonly source: ConfigSource;
  /** Absolute: the file itself and the secret files that it names, to be watched. */
  readonly files: readonly string[];
}

const MAX_FILE_BYTES = 1_000_000;
const CORRECT_YAML =
  'correct the YAML: indentation counts, each key stands once, and text with { } or [ ] in it needs quotes';
const DEFAULT_FILE = 'sluice.yaml';
const DEMO_UPSTREAM = 'http://127.0.0.1:8405';

/** Which configuration would be loaded: a named file, the flags, ./sluice.yaml when it is there, else the demo. */
export function findConfigSource({
  file,
  flags = {},
  cwd,
}: Pick<LoadOptions, 'file' | 'flags' | 'cwd'>): ConfigSource {
  const named = flags.config ?? file;
  if (named !== undefined) return { kind: 'file', file: path.resolve(cwd, named) };
  if (flags.upstream !== undefined) return { kind: 'flags' };
  const usual = path.join(cwd, DEFAULT_FILE);
  return statSync(usual, { throwIfNoEntry: false })?.isFile()
    ? { kind: 'file', file: usual }
    : { kind: 'demo' };
}

/**
 * Loads, checks and freezes the configuration.
 * @throws ConfigError with everything that is wrong, each with its place and a remedy.
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const source = findConfigSource(options);
  const { label, value, yaml } = readSource(source, options);
  const { flags = {}, env, cwd } = options;
  const baseDir = source.kind === 'file' ? path.dirname(source.file) : cwd;
  const {
    value: filled,
    findings: missing,
    replaced,
    files,
  } = substitute(withFlagValues(value, options), { env, baseDir });
  const origin: Origin = { label, yaml, flags, replaced };
  refuse(missing, origin);
  const parsed = fileSchema.safeParse(filled);
  if (!parsed.success) throw errorOf(explainIssues(parsed.error.issues, filled), origin);
  const { file, findings } = withFlags(parsed.data, flags);
  const config = resolveConfig(file, baseDir);
  refuse([...findings, ...checkMetering(file.services), ...checkConfig(config)], origin);
  const watched = source.kind === 'file' ? [source.file, ...files] : files;
  return { config, warnings: warnConfig(config), source, files: watched };
}

/** A configuration as written, before anything was filled in. */
interface Written {
  /** For messages. */
  readonly label: string;
  readonly value: unknown;
  readonly yaml: YamlText | undefined;
}

function readSource(source: ConfigSource, { flags = {}, demoUpstream }: LoadOptions): Written {
  if (source.kind === 'demo')
    return { label: 'the demo', value: demoFile(demoUpstream ?? DEMO_UPSTREAM), yaml: undefined };
  if (source.kind === 'flags') {
    const { upstream, price, deposit, hold, warn } = flags;
    const metering = {
      ...(deposit !== undefined && { deposit }),
      ...(hold !== undefined && { hold }),
      ...(warn !== undefined && { warn }),
    };
    return {
      label: 'the command line',
      value: { services: [{ name: 'api', path: '/*', upstream, price, ...metering }] },
      yaml: undefined,
    };
  }
  const yaml = readYaml(readText(source.file));
  if (!('value' in yaml)) {
    throw new ConfigError(
      yaml.map((problem) => ({ file: source.file, key: '', remedy: CORRECT_YAML, ...problem })),
    );
  }
  // A file of comments alone is null: no keys yet, so that what is missing is named.
  return { label: source.file, value: yaml.value ?? {}, yaml };
}

function readText(file: string): string {
  const refused = (problem: string, remedy: string): ConfigError =>
    new ConfigError([{ file, key: '', problem, remedy }]);
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE_BYTES) throw refused('the file is larger than 1 MB', 'name a configuration file');
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (error instanceof TypeError) throw refused('the file is not UTF-8 text', 'save it as UTF-8');
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw refused(
      `the file can not be read (${code})`,
      'check its path and rights, or write one with `sluice init`',
    );
  }
}

/** Flags that take the place of a whole key go in before the schema reads it, so that they are checked by it too. */
function withFlagValues(value: unknown, { flags = {}, cwd }: LoadOptions): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { data, node, store, workers } = flags;
  return {
    ...value,
    ...(data !== undefined && { data: path.resolve(cwd, data) }),
    ...(node !== undefined && { node }),
    ...(store !== undefined && { store }),
    ...(workers !== undefined && { workers }),
  };
}

/** Flags that change a part of a key. */
function withFlags(
  file: ConfigFile,
  flags: Flags,
): { readonly file: ConfigFile; readonly findings: readonly Finding[] } {
  const [first, ...others] = file.listen;
  const listen =
    first === undefined
      ? []
      : [
          {
            ...first,
            address: { host: flags.host ?? first.address.host, port: flags.port ?? first.address.port },
          },
          ...others,
        ];
  const admin = { ...file.admin, port: flags.adminPort ?? file.admin.port };
  const { node } = file;
  if (flags.simnetPort === undefined) return { file: { ...file, listen, admin }, findings: [] };
  if (node.type === 'simulated' && node.url === undefined) {
    return { file: { ...file, listen, admin, node: { ...node, port: flags.simnetPort } }, findings: [] };
  }
  const problem = 'is not a simulated node in this process, so --simnet-port moves nothing';
  return { file, findings: [{ path: ['node'], problem, remedy: 'leave --simnet-port out' }] };
}

function refuse(findings: readonly Finding[], origin: Origin): void {
  if (findings.length > 0) throw errorOf(findings, origin);
}

function errorOf(findings: readonly Finding[], origin: Origin): ConfigError {
  const problems = findings.map((finding) => placeFinding(finding, origin));
  problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  return new ConfigError(problems);
}
