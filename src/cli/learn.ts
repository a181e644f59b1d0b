/**
 * `plugbay dev --learn`: what each plugin used, as a change to the permissions in its manifest, printed and, where that is asked for,
 * written.
 */
import { readFile, writeFile } from 'node:fs/promises'
import type { Kernel } from '../kernel/kernel.js'
import type { Learned } from '../kernel/permissions/least-permissions.js'
import { actionsIn, MAX_ACTIONS } from '../kernel/schema/permission-grammar.js'
import { type TerminalStyle, terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { visible } from '../kernel/text/visible-text.js'
import type { Permission } from '../permission-set.js'
import { permissionLine, withPermissions } from './manifest-edit.js'
import { shortPath } from './project.js'

/** What is done at the end with what was learnt. */
export type LearnMode = 'print' | 'write'

/** Prints it on demand, beside at the end. Windows has no such signal. */
const ON_DEMAND = 'SIGUSR2'

/** Lines that are alike where they say the same. */
const textsOf = (permissions: readonly Permission[]): string[] =>
  permissions.map(({ resource, actions }) => permissionLine({ resource, actions: actions.toSorted() }))

const changes = ({ asked, least }: Learned): boolean => textsOf(asked).sort().join('\n') !== textsOf(least).sort().join('\n')

/** One plugin: what its manifest lacks, what it has and the plugin did not use, what stays. */
const sectionOf = (learned: Learned, style: TerminalStyle): string => {
  const { plugin, manifestPath, least, asked, notes } = learned
  const [before, after] = [textsOf(asked), textsOf(least)]
  const kept = after.filter((line) => before.includes(line))
  const lines = [
    ...before.filter((line) => !after.includes(line)).map((line) => style.red(`  - ${visible(line)}`)),
    ...after.filter((line) => !before.includes(line)).map((line) => style.green(`  + ${visible(line)}`)),
    ...kept.map((line) => style.dim(`    ${visible(line)}`)),
  ]
  const remarks = notes.map((note) => `  ${style.yellow('!')} ${visible(note)}`)
  const where = style.dim(manifestPath === undefined ? 'it has no plugin.json to hold permissions' : shortPath(manifestPath))
  return [
    `${style.bold(plugin)}  ${where}`,
    ...(lines.length === 0 ? [style.dim('    nothing that takes a permission')] : lines),
    ...remarks,
  ].join('\n')
}

const learnScreen = (learned: readonly Learned[], style: TerminalStyle): string => {
  if (learned.length === 0) return 'Nothing was learnt: no plugin came to run.'
  const legend = style.dim('What each plugin used (+ is missing in its manifest, - was not used in this run):')
  return [legend, ...learned.map((each) => sectionOf(each, style))].join('\n\n')
}

/** Writes the least permissions into the manifests that differ. Resolves with their paths. */
const writeLearned = async (learned: readonly Learned[]): Promise<string[]> => {
  const written: string[] = []
  for (const each of learned) {
    const { manifestPath, least } = each
    if (manifestPath === undefined || !changes(each) || actionsIn(least) > MAX_ACTIONS) continue
    await writeFile(manifestPath, withPermissions(await readFile(manifestPath, 'utf8'), least))
    written.push(manifestPath)
  }
  return written
}

/** Prints what was learnt whenever it is asked for; what it returns is called at the end. */
export const learnFrom =
  (mode: LearnMode) =>
  (kernel: Kernel): (() => Promise<void>) => {
    const style = terminalStyle(wantsColor(process.stdout))
    const say = (text: string): void => void process.stdout.write(`${text}\n`)
    const print = async (): Promise<Learned[]> => {
      const learned = await kernel.learned()
      say(`\n${learnScreen(learned, style)}\n`)
      return learned
    }
    const onDemand = (): void => void print()
    if (process.platform !== 'win32') {
      process.on(ON_DEMAND, onDemand)
      say(style.dim(`learning: \`kill -USR2 ${process.pid}\` prints what was learnt so far`))
    }
    return async () => {
      process.off(ON_DEMAND, onDemand)
      const learned = await print()
      if (mode === 'write') for (const path of await writeLearned(learned)) say(`wrote ${shortPath(path)}`)
      else if (learned.some(changes)) say(style.dim('`plugbay dev --learn=write` writes it into the manifests at the end.'))
    }
  }
