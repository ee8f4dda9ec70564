import type { Command } from 'commander';
import { addFlags, readFlags } from '../../config/flags.ts';
import { runProcess } from '../main.ts';

/** `sluice start`: the gateway itself, with the same flags as `npm start --`. */
export function registerStart(program: Command): void {
  const start = program.command('start').description('start the gateway; without a file it sells a demo');
  addFlags(start).action((options: Readonly<Record<string, unknown>>) =>
    runProcess(() => readFlags(options)),
  );
}
