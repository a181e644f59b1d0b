/** The logger: what it is to the kernel, and the one that writes when the embedder gives none: readable lines on standard error. */
import { fileURLToPath } from 'node:url'
import { inspect, styleText } from 'node:util'
import { PlugbayError } from '../../errors.js'
import type { OptionsFile } from '../schema/schema-types.generated.js'
import { visible, visibleLine } from '../text/visible-text.js'

export type LogLevel = NonNullable<OptionsFile['logLevel']>

/** One method of a structured logger: fields, then a message. */
export type LogMethod = (fields: Record<string, unknown>, message?: string) => void

/** A logger like pino: a method for each level that takes fields and a message. */
export interface Logger {
  debug: LogMethod
  info: LogMethod
  warn: LogMethod
  error: LogMethod
}

const RANK: Record<LogLevel, number> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: 99 }
const COLOR = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const

/** Further lines are indented, so that none passes for a line of the log. */
const indented = (text: string): string => visible(text).replaceAll('\n', '\n    ')

interface StackHolder {
  stack: string
  code?: unknown
  cause?: unknown
  errors?: unknown
}

const hasStack = (value: unknown): value is StackHolder =>
  typeof value === 'object' && value !== null && 'stack' in value && typeof value.stack === 'string'

/** plugbay's own files, as stacks name them. */
const OWN_FILES = [new URL('../..', import.meta.url).href, fileURLToPath(new URL('../..', import.meta.url))]

const isOwn = (frame: string): boolean => OWN_FILES.some((folder) => frame.includes(folder))
const isFrame = (line: string): boolean => /^\s*at /.test(line)
const isInFile = (frame: string): boolean => /:\d+:\d+\)?$/.test(frame) && !/[ (]node:/.test(frame)

/**
 * A stack ends where plugbay begins: how it came to call the code that failed leads nowhere. One that begins in plugbay is its own, and
 * told whole.
 */
const upToPlugbay = (stack: string): string => {
  const lines = stack.split('\n')
  const own = lines.findIndex((line) => isFrame(line) && isOwn(line))
  return lines.slice(0, own).some((line) => isFrame(line) && isInFile(line)) ? lines.slice(0, own).join('\n') : stack
}

/** No deeper: an error may have itself as its cause. */
const MAX_DEPTH = 8

/**
 * Stacks that lead to somebody's code: ours end at the one who noticed, so where there is a cause, that is what helps; of an
 * AggregateError, its members.
 */
const renderStack = (error: StackHolder, depth = 0): string => {
  const { cause, errors } = error
  if (depth < MAX_DEPTH) {
    if (hasStack(cause)) return renderStack(cause, depth + 1)
    const members = Array.isArray(errors) ? errors.filter(hasStack) : []
    if (members.length > 0) return members.map((each) => renderStack(each, depth + 1)).join('')
  }
  return PlugbayError.is(error) ? '' : `\n    ${indented(upToPlugbay(error.stack))}`
}

/** Fields as `key=value`; the stack of an error on lines of its own. */
const renderFields = (fields: Record<string, unknown>): string => {
  let line = ''
  let stack = ''
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || key === 'plugin' || key === 'generation') continue
    if (!hasStack(value)) line += ` ${key}=${typeof value === 'string' ? value : shown(value)}`
    else {
      stack += renderStack(value)
      if (value.code !== undefined) line += ` code=${String(value.code)}`
    }
  }
  return visibleLine(line) + stack
}

/** JSON as far as there is any: a bigint and a circle have none. */
const shown = (value: unknown): string => {
  try {
    const json: unknown = JSON.stringify(value)
    if (typeof json === 'string') return json
  } catch {
    // shown as code then
  }
  return inspect(value, { breakLength: Number.POSITIVE_INFINITY, customInspect: false })
}

/** A pino-like logger of readable lines: time, level, plugin#generation, message, fields. */
export const readableLogger = (level: LogLevel, write: (line: string) => void = (line) => process.stderr.write(line)): Logger => {
  const colors = process.stderr.isTTY && !process.env['NO_COLOR']
  const paint = (color: 'gray' | 'green' | 'yellow' | 'red' | 'cyan', text: string): string => (colors ? styleText(color, text) : text)
  const log =
    (at: keyof typeof COLOR) =>
    (fields: Record<string, unknown>, message = '') => {
      if (RANK[at] < RANK[level]) return
      const who = fields['plugin'] === undefined ? 'kernel' : `${String(fields['plugin'])}#${String(fields['generation'] ?? '-')}`
      const time = new Date().toISOString().slice(11, 23)
      write(
        `${paint('gray', time)} ${paint(COLOR[at], at.toUpperCase().padEnd(5))} ${paint('cyan', who)} ${indented(message)}${paint('gray', renderFields(fields))}\n`,
      )
    }
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
}
