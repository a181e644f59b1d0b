/** What the names of files tell: which of them can be a plugin, its entry, or another module of it. */
import { basename, extname } from 'node:path'

const ENTRY_NAMES = ['index', 'plugin', 'main']
/** Of a module that a plugin can be, or begin with. */
export const ENTRY_ENDINGS = ['.js', '.mjs', '.ts', '.mts']
/** Of one that a manifest can name. A CommonJS module in TypeScript runs from Node 22 on only. */
export const MAIN_ENDINGS: ReadonlySet<string> = new Set([...ENTRY_ENDINGS, '.cjs'])
/** The entries that a folder may have, in words. */
export const ENTRIES_TOLD = `${ENTRY_NAMES.join(', ')} with ${ENTRY_ENDINGS.join(', ')}`
const ENTRIES = ENTRY_NAMES.flatMap((name) => ENTRY_ENDINGS.map((ending) => name + ending))

/** Whether a file name can be a single-file plugin. */
export const isPluginModule = (file: string): boolean =>
  ENTRY_ENDINGS.includes(extname(file)) && !/\.(?:d|test|spec)\.[cm]?[jt]s$/.test(file) && !basename(file).startsWith('.')

/** The entry module among the names in a folder without a manifest, or whose manifest names none. */
export const entryAmong = (names: readonly string[]): string | undefined => ENTRIES.find((entry) => names.includes(entry))

/** The names that a module for Node or for its tools has, but those of tests, types and configurations. */
export const modulesAmong = (names: readonly string[]): string[] =>
  names.filter((name) => /^[^.].*\.[cm]?[jt]sx?$/.test(name) && !/\.(?:d|test|spec|config)\.[cm]?[jt]sx?$/.test(name))
