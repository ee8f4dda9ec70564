import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../../config/config.ts';
import { findConfigSource, type LoadedConfig, loadConfig } from '../../config/load.ts';
import { ConfigError } from '../../config/problem.ts';
import type { OperatorIo } from './io.ts';
import { formatServices } from './print-table.ts';

/** `sluice check-config [FILE]`: says `OK` and what is sold, or everything that is wrong with exit code 1. */
export function registerCheckConfig(program: Command, io: OperatorIo): void {
  program
    .command('check-config')
    .description('check a configuration file and show what it sells')
    .argument('[file]', 'the file (default: ./sluice.yaml)')
    .action((file: string | undefined) => checkConfigFile(file, io));
}

function checkConfigFile(file: string | undefined, io: OperatorIo): void {
  const loaded = loadForOperator(file, io);
  if (loaded === undefined) return;
  for (const warning of [...loaded.warnings, ...unreadableFiles(loaded.config)])
    io.stderr.write(`warning: ${warning}\n`);
  io.stdout.write(`OK\n\n${formatServices(loaded.config.services)}`);
}

/**
 * Loads a file for a command that needs one. What is wrong is written to stderr and the exit code set; then the result is `undefined`.
 * @param file - as the operator wrote it; `undefined`: ./sluice.yaml
 */
export function loadForOperator(file: string | undefined, io: OperatorIo): LoadedConfig | undefined {
  const options = { env: io.env, cwd: io.cwd, ...(file !== undefined && { file }) };
  if (findConfigSource(options).kind !== 'file') {
    io.stderr.write('There is no sluice.yaml here. Name a file, or write one with `sluice init`.\n');
    io.setExitCode(1);
    return undefined;
  }
  try {
    return loadConfig(options);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const count = error.problems.length;
    io.stderr.write(`${error.message}\n\n${count} ${count === 1 ? 'problem' : 'problems'}.\n`);
    io.setExitCode(1);
    return undefined;
  }
}

/** Files that the gateway opens at start. On the machine where a file is checked they may be missing rightly, so these are warnings. */
function unreadableFiles({ listen, node }: Config): readonly string[] {
  const files = listen.flatMap(({ tls }) => (tls === undefined ? [] : [tls.certFile, tls.keyFile]));
  if (node.type === 'lnd') {
    const { tlsCertFile, macaroonFile, clientCertFile, clientKeyFile } = node;
    const named = [tlsCertFile, macaroonFile, clientCertFile, clientKeyFile];
    files.push(...named.filter((file) => file !== undefined));
  }
  return files
    .filter((file) => !isReadable(file))
    .map((file) => `${path.normalize(file)} can not be read here`);
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
