/** The fields of a line that a plugin logs, as a logger takes them. */
import { asWritten, toWire } from '../../wire-error.js'

/**
 * What says whose line it is, and what loggers such as pino write into each line themselves: of two with one name, who reads the line takes
 * the last.
 */
const OF_THE_LINE = new Set(['plugin', 'generation', 'level', 'time', 'pid', 'hostname', 'msg'])
/** What a plugin gives by such a name lies below this one. */
const BELOW = 'fields'

/** `fields`: whatever the plugin gave. */
export const pluginFields = (fields: unknown, plugin: string, generation: number): Record<string, unknown> => {
  if (typeof fields !== 'object' || fields === null) return { ...(fields === undefined ? {} : { value: fields }), plugin, generation }
  const entries = Object.entries(fields).map(([key, value]: [string, unknown]): [string, unknown] => [key, printable(key, value)])
  const taken = entries.filter(([key]) => OF_THE_LINE.has(key))
  if (taken.length === 0) return { ...Object.fromEntries(entries), plugin, generation }
  const isBelow = ([key]: [string, unknown]): boolean => OF_THE_LINE.has(key) || key === BELOW
  return {
    ...Object.fromEntries(entries.filter((entry) => !isBelow(entry))),
    [BELOW]: Object.fromEntries(entries.filter(isBelow)),
    plugin,
    generation,
  }
}

/** Loggers print an error as `err` alone: in another field it would be `{}`, so there it is passed on as plain data. */
const printable = (key: string, value: unknown): unknown =>
  value instanceof Error ? (key === 'err' ? asWritten(value) : toWire(value)) : value
