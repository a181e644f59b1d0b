/** `plugbay audit`: the last entries of an audit log, and whether it is still as it was written. */
import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { PlugbayError } from '../errors.js'
import { type AuditEntry, HEAD, type Link, logFiles } from '../kernel/audit/chain.js'
import { lastEntries, verifyAudit } from '../kernel/audit/verify.js'
import { resolveOptions } from '../kernel/options/options.js'
import { type TerminalStyle, terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { visible, visibleLine } from '../kernel/text/visible-text.js'
import { type PlaceOptions, readOptions } from './project.js'
import { EXIT } from './usage.js'

export interface LastOptions extends PlaceOptions {
  last: number
  json?: true
}

export interface VerifyOptions extends PlaceOptions {
  anchor: Link[]
  json?: true
}

/** The folder of the log: the given one, if it holds one, else the one that the configuration in it means. */
const logFolder = async (folder: string, place: PlaceOptions): Promise<string> => {
  const given = resolve(folder)
  if (place.config === undefined && existsSync(join(given, HEAD))) return given
  if (place.config === undefined && (await logFiles(given).catch(() => [])).length > 0) return given
  const options = await readOptions(folder, place)
  const { audit } = resolveOptions({ ...options, audit: options.audit || true })
  const dir = audit?.dir ?? given
  if (existsSync(dir)) return dir
  throw new PlugbayError('USAGE', `There is no audit log in ${dir}. \`plugbay start\` writes one, or a kernel with the option 'audit'.`)
}

const screenLine = (
  { kind, plugin, generation, actor, reason, details, time }: AuditEntry & { time: string },
  style: TerminalStyle,
): string => {
  const who = plugin === undefined ? '' : ` ${style.bold(generation === undefined ? plugin : `${plugin}#${generation}`)}`
  const facts = Object.entries(details ?? {}).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const rest = [`by ${actor}`, ...facts].join(' ')
  return `${style.dim(time)} ${style.cyan(kind.padEnd(15))}${who} ${visibleLine(rest)}${reason === undefined ? '' : `: ${visible(reason.replaceAll(/\s+/g, ' '))}`}`
}

export const showLast = async (folder: string, { last, json, ...place }: LastOptions): Promise<void> => {
  const entries = await lastEntries(await logFolder(folder, place), last)
  const style = terminalStyle(wantsColor(process.stdout))
  for (const entry of entries) process.stdout.write(`${json ? JSON.stringify(entry) : screenLine(entry, style)}\n`)
}

export const verify = async (folder: string, { anchor, json, ...place }: VerifyOptions): Promise<void> => {
  const dir = await logFolder(folder, place)
  const report = await verifyAudit(dir, anchor)
  const { faults, files, lines, dropped, last } = report
  if (faults.length > 0) process.exitCode = EXIT.failed
  if (json) {
    process.stdout.write(`${JSON.stringify({ dir, ...report, last: last ?? null }, null, 2)}\n`)
    return
  }
  const style = terminalStyle(wantsColor(process.stdout))
  const seen = `${lines} ${lines === 1 ? 'line' : 'lines'} in ${files} ${files === 1 ? 'file' : 'files'}`
  for (const { file, line, message } of faults) {
    const where = relative(process.cwd(), join(dir, file)) || file
    process.stdout.write(`${style.red('✗')} ${style.bold(line === undefined ? where : `${where}:${line}`)}: ${message}\n`)
  }
  if (faults.length > 0) process.stdout.write(`\n${style.red(faults.length === 1 ? '1 fault' : `${faults.length} faults`)} in ${seen}.\n`)
  else {
    process.stdout.write(
      `${style.green('✓')} ${seen}; nothing was changed${dropped > 0 ? ` (lines up to ${dropped} were dropped with old files)` : ''}.\n`,
    )
    if (last)
      process.stdout.write(`  Its last line is ${last.seq}:${last.hash}. Noted elsewhere, it proves later what was there: --anchor\n`)
  }
}
