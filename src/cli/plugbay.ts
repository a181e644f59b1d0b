#!/usr/bin/env node
/** The command `plugbay`: takes what it is called with, and says how it ended. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { addCommands } from './commands.js'
import { reportFailure } from './usage.js'

const versionOf = (file: URL): string => {
  const { version }: { version?: unknown } = JSON.parse(readFileSync(file, 'utf8')) as object
  return String(version)
}

const program = new Command('plugbay')
  .description('Runs plugins of a Node.js application: in worker threads, joined by events and services, replaced while it runs.')
  .version(versionOf(new URL('../../package.json', import.meta.url)), '-v, --version', 'print the version')
  .helpOption('-h, --help', 'show this help')
  .helpCommand(false)
  .showSuggestionAfterError(true)
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .addHelpText('after', '\nExit codes: 0 done, 1 it could not be done, 2 wrong arguments. `plugbay <command> --help` says more.')

/** Milliseconds for what a configuration file or a plugin inline left running, once the command is done. */
const GRACE = 1_000

addCommands(program)

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportFailure(error, (text) => process.stderr.write(text), terminalStyle(wantsColor(process.stderr)))
}
setTimeout(() => process.stdout.write('', () => process.exit()), GRACE).unref()
