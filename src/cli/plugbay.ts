#!/usr/bin/env node
/** The command `plugbay`: one file for each of its commands, this one calls them. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { terminalStyle, wantsColor } from '../kernel/terminal-style.js'
import { addAudit } from './audit.js'
import { addCheck } from './check.js'
import { addDev } from './dev.js'
import { addGraph } from './graph.js'
import { addList } from './list.js'
import { addNew } from './new.js'
import { addStart } from './start.js'
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

addNew(program)
addCheck(program)
addList(program)
addGraph(program)
addDev(program)
addStart(program)
addAudit(program)

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportFailure(error, (text) => process.stderr.write(text), terminalStyle(wantsColor(process.stderr)))
}
