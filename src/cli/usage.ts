/** What a command ends with, and how a wrong call is told. */
import { CommanderError } from 'commander'
import { PlugbayError } from '../errors.js'
import type { TerminalStyle } from '../kernel/text/terminal-style.js'
import { visible } from '../kernel/text/visible-text.js'

/** Exit codes of the command. A second Ctrl-C ends with 128 and the signal's number, as shells do. */
export const EXIT = {
  /** Done; or a kernel that was asked to stop and did. */
  ok: 0,
  /** It could not be done: a check that found problems, a boot that failed, a plugin that is there already. */
  failed: 1,
  /** The command was called with arguments it does not take. */
  usage: 2,
} as const

/** commander's text (`error: unknown option '--wach'\n(Did you mean --watch?)`) as one sentence of ours. */
const asSentence = (message: string): string => {
  const text = message
    .replace(/^error: /, '')
    .replace(/\s*\(Did you mean (?:one of )?(.+?)\?\)$/s, (_all, names: string) => `. Did you mean '${names.split(', ').join("' or '")}'?`)
    .trim()
  const sentence = /[.?]$/.test(text) ? text : `${text}.`
  return sentence.charAt(0).toUpperCase() + sentence.slice(1)
}

/** Whether commander only says that it printed the help or the version that was asked for. */
const isAnswer = (error: CommanderError): boolean => error.exitCode === 0

/** Writes what went wrong in a command, and says what the process should exit with. */
export const reportFailure = (error: unknown, write: (text: string) => void, style: TerminalStyle): number => {
  if (error instanceof CommanderError) {
    if (isAnswer(error)) return EXIT.ok
    // Asked for nothing (`plugbay new`): commander printed the help of that command already.
    if (error.code !== 'commander.help') {
      write(`${style.red('USAGE')} ${asSentence(error.message)}\n${style.dim('`plugbay --help` lists what there is.')}\n`)
    }
    return EXIT.usage
  }
  if (PlugbayError.is(error)) {
    write(`${style.red(error.code)} ${visible(error.message)}\n`)
    return error.code === 'USAGE' ? EXIT.usage : EXIT.failed
  }
  // Nothing that was foreseen: the stack is what a report needs.
  write(`${style.red('unexpected')} ${visible(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`)
  return EXIT.failed
}
