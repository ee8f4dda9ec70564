import type { Command } from 'commander';
import type { Io } from '../../../client/cli/io.ts';
import { addFlags, readFlags } from '../../../config/flags.ts';
import { loadConfig } from '../../../config/load.ts';
import { acceptCopy } from '../../ledger/ledger.ts';
import { openStore } from '../../open-store.ts';

/** `sluice store accept-copy`: goes on with an older copy of the store, without voiding what was sold. */
export function registerAcceptCopy(store: Command, io: Io): void {
  const command = store
    .command('accept-copy')
    .description(
      'go on with an older copy of the store: credit stays good, and what the copy forgot may be sold twice',
    )
    .option('--yes', 'do it: without this, only say what would happen');
  addFlags(command).action(async (options: Readonly<Record<string, unknown>>) => {
    const { yes, ...flags } = options;
    const { config } = loadConfig({ flags: readFlags(flags), env: io.env, cwd: io.cwd });
    const opened = await openStore(config.store, Date.now);
    try {
      const outcome = await acceptCopy(opened.store, config.dataDir, yes === true ? 'accept' : 'look');
      if (outcome.kind === 'another-store' || outcome.kind === 'older') io.setExitCode(1);
      (outcome.kind === 'accepted' || outcome.kind === 'current' ? io.stdout : io.stderr).write(
        say(outcome, opened.name),
      );
    } finally {
      await opened.store.close();
    }
  });
}

function say(outcome: Awaited<ReturnType<typeof acceptCopy>>, name: string): string {
  switch (outcome.kind) {
    case 'current':
      return `${name} is not older than what this gateway used last: there is nothing to accept.\n`;
    case 'another-store':
      return `${name} is another store than the one that this gateway used last, not a copy of it. Only \`sluice store new-generation\` accepts it.\n`;
    case 'older':
      return (
        `${name} is at epoch ${outcome.epoch}, and ${outcome.seenEpoch} was seen: about ${outcome.seenEpoch - outcome.epoch} minutes of one gateway are ` +
        'missing. Payments that were first presented since are unknown to it: whoever presents one again is credited again. Calls since are not ' +
        'counted, revocations since are lost. Credit from before stays good. Stop the gateways, then add --yes, for each data folder.\n'
      );
    case 'accepted':
      return `${name} is accepted at epoch ${outcome.epoch}. Do the same for the data folder of every other gateway, then start them.\n`;
  }
}
