/** Files on a plugin's behalf: the kernel reads and writes them where the plugin may, wherever links lead. */
import { appendFile, lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { PlugbayError } from '../errors.js'
import { entryFor, toAllow } from '../permission-set.js'
import type { Grants } from '../sandbox/grants.js'
import type { FileKind, KernelVerbs } from '../sandbox/protocol.js'
import { within } from '../within.js'

type FileRequest = KernelVerbs['file']['asks']
type Access = 'read' | 'write'

/** Bytes of one file that cross at once. */
const MAX_FILE = 64 * 1_024 * 1_024

export interface FileAccessOptions {
  plugin: string
  /** The plugin's own folder, which it may read. */
  root: string
  /** Its folder for data, which it may read and write; relative paths are relative to it. */
  dataDir: string
  grants: Grants['fs']
  /** Told of each denial. */
  denied(resource: string, action: Access): void
  /** Told of each file beyond its own folders that it reached. */
  used?: ((resource: string, action: Access) => void) | undefined
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

/** Where a path leads, all links followed; its last parts need not be there yet. Undefined for a link that leads nowhere: nobody knows what it will mean. */
const destinationOf = async (path: string): Promise<string | undefined> => {
  try {
    return await realpath(path)
  } catch (error) {
    if (!isMissing(error) || dirname(path) === path) throw error
  }
  const linked = await lstat(path).then(
    () => true,
    () => false,
  )
  if (linked) return undefined
  const folder = await destinationOf(dirname(path))
  return folder === undefined ? undefined : join(folder, basename(path))
}

/** The entry itself, be it a link or not. */
const entryOf = async (path: string): Promise<string | undefined> => {
  const folder = await destinationOf(dirname(path))
  return folder === undefined ? undefined : join(folder, basename(path))
}

const kindOf = (entry: { isFile(): boolean; isDirectory(): boolean }): FileKind =>
  entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other'

export class FileAccess {
  readonly #options: FileAccessOptions
  /** What it may without a permission. */
  readonly #own: Record<Access, string[]>
  readonly #folders: Record<Access, string[]>

  constructor(options: FileAccessOptions) {
    this.#options = options
    const { root, dataDir, grants } = options
    this.#own = { read: [root, dataDir], write: [dataDir] }
    this.#folders = { read: [...this.#own.read, ...grants.read], write: [...this.#own.write, ...grants.write] }
  }

  /** Does what is asked. Rejects with PERMISSION_DENIED, PAYLOAD_TOO_LARGE, or as the file system does (`code` ENOENT, EEXIST, …). */
  async run({ act, path, to, data, encoding }: FileRequest): Promise<unknown> {
    switch (act) {
      case 'readFile': {
        const file = await this.#allowed('read', path)
        this.#assertSize((await stat(file)).size, path)
        return encoding === undefined ? new Uint8Array(await readFile(file)) : readFile(file, encoding)
      }
      case 'readdir': {
        const entries = await readdir(await this.#allowed('read', path), { withFileTypes: true })
        return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) })).sort((a, b) => (a.name < b.name ? -1 : 1))
      }
      case 'stat': {
        const stats = await stat(await this.#allowed('read', path))
        return { kind: kindOf(stats), size: stats.size, modified: stats.mtime }
      }
      case 'writeFile':
        return writeFile(await this.#allowed('write', path), data ?? '')
      case 'appendFile':
        return appendFile(await this.#allowed('write', path), data ?? '')
      case 'mkdir':
        await mkdir(await this.#allowed('write', path), { recursive: true })
        return undefined
      case 'rm':
        return rm(await this.#allowed('write', path, entryOf), { recursive: true, force: true })
      case 'rename':
        return rename(await this.#allowed('write', path, entryOf), await this.#allowed('write', to ?? '', entryOf))
      default:
        throw new PlugbayError(
          'VERB_UNKNOWN',
          `The kernel does not know '${String(act)}', which plugin '${this.#options.plugin}' asked to do with a file.`,
        )
    }
  }

  /** The real path, if the plugin may. */
  async #allowed(action: Access, path: string, find = destinationOf): Promise<string> {
    const wanted = resolve(this.#options.dataDir, path)
    const real = await find(wanted)
    if (real !== undefined) {
      for (const folder of this.#folders[action]) {
        if (folder !== '*' && !within(await realpath(folder).catch(() => folder), real)) continue
        if (!this.#own[action].includes(folder)) this.#options.used?.(`fs:${real}`, action)
        return real
      }
    }
    this.#options.denied(`fs:${wanted}`, action)
    throw this.#denial(action, wanted, real)
  }

  #denial(action: Access, wanted: string, real: string | undefined): PlugbayError {
    const { plugin } = this.#options
    const leads = real === undefined ? ', a link that leads nowhere' : real === wanted ? '' : `, which leads to '${real}'`
    const own = action === 'read' ? 'its own folder and its data folder' : 'its data folder'
    return new PlugbayError(
      'PERMISSION_DENIED',
      `Plugin '${plugin}' may not ${action} '${wanted}'${leads}: it may ${action} ${own}, and what its permissions name. ` +
        toAllow(entryFor(`fs:${real ?? wanted}`, action)),
      { plugin, details: { resource: `fs:${wanted}`, action } },
    )
  }

  #assertSize(size: number, path: string): void {
    if (size <= MAX_FILE) return
    const { plugin } = this.#options
    throw new PlugbayError(
      'PAYLOAD_TOO_LARGE',
      `Plugin '${plugin}' may not read '${path}' at once: it has ${size} bytes, and the limit is ${MAX_FILE}. Keep it in smaller files, or grant the plugin the module 'node:fs'.`,
      { plugin, details: { size, limit: MAX_FILE } },
    )
  }
}
