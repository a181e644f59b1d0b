/**
 * The commands of `plugbay`, with what each takes. What one does lies in a file of its own, loaded when it is called: help and version need
 * none of them.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Link } from '../kernel/audit/chain.js'
import type { LastOptions, VerifyOptions } from './audit.js'
import type { CheckOptions } from './check.js'
import type { DevOptions } from './dev.js'
import type { Format, GraphOptions } from './graph.js'
import type { LearnMode } from './learn.js'
import type { ListOptions } from './list.js'
import type { NewOptions } from './new.js'
import type { StartOptions } from './start.js'

const FORMATS: readonly Format[] = ['text', 'mermaid', 'dot']
const LEARN_MODES: readonly LearnMode[] = ['print', 'write']

/** The folder and the configuration file, which every command that looks at plugins takes. */
const withPlace = (command: Command): Command =>
  command
    .argument('[folder]', 'where plugbay.config.* or the folder plugins is', '.')
    .option('--config <file>', 'a configuration file elsewhere')

const addNew = (program: Command): void => {
  const command = program.command('new').description('make something to start from').helpCommand(false)
  command
    .command('plugin')
    .description('make a plugin that runs at once: its manifest, its module, its test')
    .argument('<name>', 'lower-case words joined by -, _ or .')
    .option('--dir <folder>', 'the folder of plugins it goes into', 'plugins')
    .option('--ts', 'write the plugin in TypeScript (it needs no build)')
    .action(async (name: string, options: NewOptions) => (await import('./new.js')).newPlugin(name, options))
}

const addCheck = (program: Command): void => {
  withPlace(
    program
      .command('check')
      .description('say everything that is wrong with configuration, manifests and dependencies, and what each plugin may do'),
  )
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nNo plugin is run. Exit codes: 0 nothing to mend, 1 problems found, 2 wrong arguments.')
    .action(async (folder: string, options: CheckOptions) => (await import('./check.js')).check(folder, options))
}

const addList = (program: Command): void => {
  withPlace(program.command('list').description('list the plugins: where each runs, when it starts, what it needs'))
    .option('--json', 'print it as JSON')
    .action(async (folder: string, options: ListOptions) => (await import('./list.js')).list(folder, options))
}

const addGraph = (program: Command): void => {
  withPlace(program.command('graph').description('draw who waits for whom, and what leaves a plugin out'))
    .addOption(new Option('--format <format>', 'how to draw it').choices(FORMATS).default('text'))
    .action(async (folder: string, options: GraphOptions) => (await import('./graph.js')).graph(folder, options))
}

const addDev = (program: Command): void => {
  withPlace(program.command('dev').description('run the plugins, and replace each when its files are saved'))
    .addOption(
      new Option('--learn [how]', 'record what plugins use instead of holding them to their permissions; write: into their manifests')
        .choices(LEARN_MODES)
        .preset('print'),
    )
    .option('--inspect <plugin[:port]>', 'open an inspector for that plugin alone, before its first line; port: 9229, or a free one')
    .addOption(
      new Option('--inspect-brk <plugin[:port]>', 'the same, and stop at its first line until a debugger is there').conflicts('inspect'),
    )
    .addHelpText(
      'after',
      '\nCtrl-C drains and stops in order; a second one ends at once. Exit codes: 0 stopped, 1 the boot failed, 2 wrong arguments.',
    )
    .action(async (folder: string, options: DevOptions) => (await import('./dev.js')).dev(folder, options))
}

const addStart = (program: Command): void => {
  withPlace(program.command('start').description('run the plugins as the configuration says'))
    .addOption(new Option('--learn [how]').hideHelp())
    .addHelpText(
      'after',
      '\nSIGTERM or Ctrl-C drain and stop in order; a second one ends at once. Exit codes: 0 stopped, 1 the boot failed, 2 wrong arguments, 130 or 143 ended at once.',
    )
    .action(async (folder: string, options: StartOptions) => (await import('./start.js')).start(folder, options))
}

const wholeNumber = (text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.')
  return Number(text)
}

const anchors = (text: string, before: readonly Link[]): Link[] => {
  const [, seq, hash] = /^([1-9]\d*):([0-9a-f]{64})$/.exec(text) ?? []
  if (hash === undefined) throw new InvalidArgumentError('It must be a number and a hash, as `verify` prints them: 12:ab34…')
  return [...before, { seq: Number(seq), hash }]
}

const withLog = (command: Command): Command =>
  command
    .argument('[folder]', 'where the log is, or the configuration of the kernel that writes it', '.')
    .option('--config <file>', 'a configuration file elsewhere')
    .option('--json', 'print it as JSON')

const addAudit = (program: Command): void => {
  const audit = program.command('audit').description('show the last entries of the audit log, or verify it').helpCommand(false)
  withLog(audit.command('list', { isDefault: true }).description('show the last entries, the oldest first'))
    .option('--last <number>', 'how many', wholeNumber, 20)
    .action(async (folder: string, options: LastOptions) => (await import('./audit.js')).showLast(folder, options))
  withLog(audit.command('verify').description('find what was changed, taken out, moved or torn'))
    .option('--anchor <seq:hash>', 'a line noted earlier, which must still be as it was (may be repeated)', anchors, [])
    .addHelpText('after', '\nExit codes: 0 the log is as it was written, 1 it is not, 2 wrong arguments or no log.')
    .action(async (folder: string, options: VerifyOptions) => (await import('./audit.js')).verify(folder, options))
}

export const addCommands = (program: Command): void => {
  addNew(program)
  addCheck(program)
  addList(program)
  addGraph(program)
  addDev(program)
  addStart(program)
  addAudit(program)
}
